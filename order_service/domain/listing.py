"""Which orders a list is made of."""

from enum import Enum, auto

from servicekit.errors import Forbidden


class Scope(Enum):
    """Whose orders are listed: those one bought, those one sold, both, or everyone's."""

    BOUGHT = auto()
    SOLD = auto()
    OWN = auto()
    ALL = auto()


SCOPES = {"": Scope.OWN, "buyer": Scope.BOUGHT, "seller": Scope.SOLD, "admin": Scope.ALL}


def scope_of(role: str, *, is_admin: bool) -> Scope:
    """What `role` asks for. Raises Forbidden when everyone's orders are asked for by somebody who is no admin."""
    scope = SCOPES[role]
    if scope is Scope.ALL and not is_admin:
        raise Forbidden("You don't have permission to list all orders")
    return scope
