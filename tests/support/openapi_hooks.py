"""Schemathesis's hooks for tests/e2e/test_openapi_requests.py: who calls, and what the document cannot say.

JSON Schema says which values a request may have as they are sent. The API reads some of them in its own way first
(`_as_read`), and refuses some for reasons that no schema has (`REFUSED_FOR_REASONS`). Both are excluded here by name;
everything else must be as the document says.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

import jsonschema_rs
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from edge import contract
from edge.docs_page import OPENAPI
from edge.openapi_examples import CATEGORY
from servicekit import text

Case = schemathesis.Case[Any]
TOKENS: dict[str, str] = json.loads(os.environ["OPENAPI_TOKENS"])
"""An access token by role."""
IDS: dict[str, str] = json.loads(os.environ["OPENAPI_IDS"])
"""Ids of things that those callers have, by the name of the path's parameter."""
DOCUMENT = json.loads(OPENAPI.read_text())
ROUTES = {route.rpc: route for route in contract.load().routes}
UUID = re.compile("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Who calls an RPC that everyone signed in may call: the side that an order lets do it. All others: a buyer.
CALLERS = {
    "AcceptOrder": "seller",
    "DeclineOrder": "seller",
    "DeliverOrder": "seller",
    "ReplyToReview": "seller",
    "ExtendOrder": "seller",
    "ResolveOrder": "admin",
    "RefundOrder": "admin",
    "MakeOffer": "seller",
    "WithdrawOffer": "seller",
}

# The fields that an RPC may refuse though their value is right by its schema, and why. "*" is for every RPC.
REFUSED_FOR_REASONS: dict[str, dict[str, str]] = {
    "*": {"pageToken": "only a `nextPageToken` of the same request is one"},
    "CreateGig": {"categoryId": "must be a category that there is", "packages": "an extra with an id must be there"},
    "AddPackage": {"extras": "an extra with an id must be the package's"},
    "UpdatePackage": {"extras": "an extra with an id must be the package's"},
    "UpdateGig": {"categoryId": "must be a category that there is"},
    "SearchGigs": {
        "category": "must be a category that there is",
        "status": "is taken only together with the caller's own sellerId",
        "minPrice": "must not be above maxPrice",
    },
    "ListOrders": dict.fromkeys(
        ("buyerId", "sellerId", "gigId", "placedAfter", "placedBefore", "chargeback"),
        "is for admins with role=admin; placedBefore must be later than placedAfter",
    ),
    "ListEvents": {"after": "only an earlier `next` is one"},
    "StartConversation": {"text": "must not be empty in a message without files"},
    "SendMessage": {"text": "must not be empty in a message without files"},
    "ListMessages": dict.fromkeys(("after", "before"), "must be a message of the conversation; not both"),
    "MarkRead": {"messageId": "must be a message of the conversation"},
    "ListOffers": dict.fromkeys(("buyerId", "sellerId", "gigId"), "is for admins with role=admin"),
    "MakeOffer": {"price": "must be what the payment provider takes at least"},
    "PlaceOrder": {
        "packageId": "must cost what the payment provider takes at least; does not go with an offerId, or is needed",
        "extraIds": "must be the package's; do not go with an offerId",
        "quantity": "does not go with an offerId",
        "paymentMethod": "must be the deployment's",
        "paymentToken": "must be the provider's",
    },
    "ResolveOrder": dict.fromkeys(("outcome", "refundAmount", "message"), "must fit the order"),
    "RefundOrder": {"amount": "must not be above the order's price"},
    "CreateWebhookEndpoint": {"url": "must be https and public", "types": "must be types of events"},
    "ReceiveStripeEvent": {"stripe-signature": "only Stripe can make one"},
}
# The codes by which an RPC may refuse a request that is right by its schema, and why.
REFUSED_BY_STATE = {
    "IDEMPOTENCY_KEY_REUSED": "the same short key has been made twice",
    "PRECONDITION_FAILED": "only the gig's own ETag is right in If-Match",
    "PAYMENT_DECLINED": "the payment token is one that the sandbox declines",
    "PAYMENT_ACTION_REQUIRED": "the payment token is one that wants a confirmation",
}
# RPCs whose body no schema describes: pictures and files.
BODY_OF_BYTES = {"UploadImages", "UploadFile"}


@schemathesis.auth(refresh_interval=None)
class Caller:
    """The access token of somebody who may call the operation."""

    def get(self, case: Case, context: Any) -> str:
        rpc = _rpc(case)
        roles = ROUTES[rpc].roles
        return TOKENS[roles[0] if roles else CALLERS.get(rpc, "seller" if "/gigs" in case.path else "buyer")]

    def set(self, case: Case, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Let more requests reach the rules: without nameless fields, which are refused, and with a known category.

    No event is sent to an address that was made up: `.example` is nobody's.
    """
    body = _without_nameless_fields(body)
    if isinstance(body, dict) and UUID.fullmatch(str(body.get("categoryId"))):
        body["categoryId"] = CATEGORY
    if isinstance(body, dict) and isinstance(body.get("url"), str) and body["url"]:
        body["url"] = "https://receiver.example/"
    return body


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Put ids of things that there are in the place of UUIDs that were made up; not where they would be deleted."""
    if context.operation.method.upper() == "DELETE":
        return path_parameters
    for name, value in (path_parameters or {}).items():
        if name in IDS and UUID.fullmatch(str(value)):
            path_parameters[name] = IDS[name]
    return path_parameters


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    """Drop page tokens that only look right."""
    if isinstance(query, dict) and isinstance(query.get("pageToken"), str) and len(query["pageToken"]) <= 1000:
        del query["pageToken"]
    return query


@schemathesis.check
def right_requests_are_taken(ctx: Any, response: Any, case: Case) -> None:
    """Run `positive_data_acceptance`; what is excluded above is no failure."""
    try:
        positive_data_acceptance(ctx, response, case)
    except Failure:
        if not (_is_excused(case, response) or _has_nameless_field(case.body) or not _is_valid_as_read(case)):
            raise


@schemathesis.check
def wrong_requests_are_refused(ctx: Any, response: Any, case: Case) -> None:
    """Run `negative_data_rejection`; what becomes right when the API reads it is no failure."""
    try:
        negative_data_rejection(ctx, response, case)
    except Failure:
        place: Any = getattr(case.meta.phase.data, "parameter_location", None) if case.meta else None
        if place is None or place.name not in ("BODY", "QUERY") or not _is_valid_as_read(case):
            raise


def _rpc(case: Case) -> str:
    rpc: str = case.operation.definition.raw["operationId"]
    return rpc


def _is_excused(case: Case, response: Any) -> bool:
    """Return whether the fields that a 400 names are excluded for this RPC."""
    rpc = _rpc(case)
    if rpc in BODY_OF_BYTES and response.status_code in (400, 413, 415):
        return True
    if response.json().get("code") in REFUSED_BY_STATE:
        return True
    fields = {re.split(r"[\[.]", each["field"])[0] for each in response.json().get("details", [])}
    reasons = REFUSED_FOR_REASONS["*"] | REFUSED_FOR_REASONS.get(rpc, {})
    return response.status_code == 400 and bool(fields) and fields <= set(reasons)


def _without_nameless_fields(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _without_nameless_fields(each) for name, each in body.items() if name}
    return [_without_nameless_fields(each) for each in body] if isinstance(body, list) else body


def _has_nameless_field(body: Any) -> bool:
    """Return whether an object has a field whose name is empty, which Envoy's transcoder refuses."""
    if isinstance(body, dict):
        return "" in body or any(map(_has_nameless_field, body.values()))
    return isinstance(body, list) and any(map(_has_nameless_field, body))


def _as_read(value: Any) -> Any:
    """Return a value as the API reads it: without nulls and empty ids, and with its texts in their normal form."""
    if isinstance(value, dict):
        return {name: _as_read(each) for name, each in value.items() if not (each is None or _is_no_id(name, each))}
    if isinstance(value, list):
        return [_as_read(each) for each in value if each is not None]
    return text.normalize(value) if isinstance(value, str) else value


def _is_no_id(name: str, value: Any) -> bool:
    """Return whether a value is an empty id, which is as if the field were not there."""
    return value == "" and (name == "id" or name.endswith("Id"))


def _is_valid_as_read(case: Case) -> bool:
    operation = case.operation.definition.raw
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema and isinstance(case.body, dict | list) and not _is_valid(schema, _as_read(case.body)):
        return False
    schemas = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each.get("in") == "query"}
    for name, value in (case.query or {}).items():
        # An empty value in a query is as if the parameter were not there.
        sent = [each for each in (value if isinstance(value, list) else [value]) if each not in ("", None)]
        if sent and (name not in schemas or not _is_valid(schemas[name], _of_query(schemas[name], sent))):
            return False
    return True


def _of_query(schema: dict[str, Any], sent: list[Any]) -> Any:
    """Return the value of a parameter from what stands in the query."""
    if schema.get("type") == "array":
        return [_as_read(str(each)) for each in sent]
    value = sent if len(sent) > 1 else sent[0]
    if isinstance(value, str) and schema.get("type") in ("integer", "number", "boolean"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return _as_read(value)


def _is_valid(schema: dict[str, Any], value: Any) -> bool:
    whole = {**schema, "components": DOCUMENT["components"]}
    return bool(jsonschema_rs.Draft202012Validator(whole, validate_formats=True).is_valid(value))
