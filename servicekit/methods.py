"""The options of each RPC in the protos: its access, its path, its `Location` header, its idempotency keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import attrgetter

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from marketplace.common.v1 import options_pb2
from servicekit.call import Caller
from servicekit.errors import Forbidden, Unauthenticated
from servicekit.internal_tls import CALL_FOR_USERS

PATH_FIELD = re.compile(r"{(\w+)}")
# In a location, also a field of a message in the response: `{offer.id}`.
RESPONSE_FIELD = re.compile(r"{([\w.]+)}")


@dataclass(frozen=True)
class Method:
    """One RPC.

    `anyone` and `roles` say who may call it; without either, any signed-in caller may. An RPC for the marketplace's own
    services has the names of those that may call it in `services`. `path_fields` are the fields of
    the request that its path contains. `location` is the path of a created resource, with fields of the response in
    braces; empty for an RPC that creates none. `is_get` says that it only reads.
    """

    name: str
    full_name: str
    anyone: bool
    roles: frozenset[str]
    services: frozenset[str]
    path_fields: frozenset[str]
    location: str
    takes_idempotency_key: bool
    is_get: bool
    response: type[Message]

    @classmethod
    def of(cls, descriptor: MethodDescriptor) -> Method:
        """Read the options of an RPC. Raises ValueError when they do not say who may call it."""
        options = descriptor.GetOptions()
        access: options_pb2.Access = options.Extensions[options_pb2.access]
        if access.anyone + access.signed_in + bool(access.roles) != 1:
            raise ValueError(
                f"{descriptor.full_name} must say who may call it: one of anyone, signed_in or roles in its"
                " (marketplace.common.v1.access)"
            )
        if bool(access.services) != (options_pb2.SERVICE in access.roles) or (
            access.services and len(access.roles) > 1
        ):
            raise ValueError(f"{descriptor.full_name} must name the services that may call it, if the role SERVICE may")
        rule = options.Extensions[annotations_pb2.http]
        path = getattr(rule, rule.WhichOneof("pattern") or "get")
        return cls(
            name=descriptor.name,
            full_name=descriptor.full_name,
            anyone=access.anyone,
            roles=frozenset(options_pb2.Role.Name(role).lower() for role in access.roles),
            services=frozenset(access.services),
            path_fields=frozenset(PATH_FIELD.findall(path)),
            location=options.Extensions[options_pb2.success].location,
            takes_idempotency_key=options.Extensions[options_pb2.takes_key],
            is_get=rule.WhichOneof("pattern") == "get",
            response=GetMessageClass(descriptor.output_type),
        )

    def check_access(self, caller: Caller, peer: str | None = None) -> None:
        """Refuse a caller who may not call this RPC. Raises Unauthenticated, Forbidden.

        `peer` is the identity of the client by its certificate, None on a connection in plain text. A service calls
        with its own certificate and its own token; calls of users come from the edge.
        """
        if peer is not None and peer not in (self.services or CALL_FOR_USERS):
            raise Forbidden("The certificate is not one for this call")
        if self.anyone:
            return
        if caller.is_anonymous:
            raise Unauthenticated
        if self.roles and not self.roles & caller.roles:
            needed = " or ".join(sorted(self.roles))
            raise Forbidden(f"You need the role {needed} to do this")
        if self.services and (caller.username not in self.services or peer not in (None, caller.username)):
            raise Forbidden("This is for another service")

    def location_of(self, response: Message) -> str:
        """Return the path of the created resource."""
        return RESPONSE_FIELD.sub(lambda field: str(attrgetter(field[1])(response)), self.location)
