"""Whose orders a list shows."""

from enum import Enum, auto

from servicekit.errors import Forbidden


class Scope(Enum):
    """Whose orders are listed: those that the caller bought, those they sold, both, or everyone's."""

    BOUGHT = auto()
    SOLD = auto()
    OWN = auto()
    ALL = auto()


SCOPES = {"": Scope.OWN, "buyer": Scope.BOUGHT, "seller": Scope.SOLD, "admin": Scope.ALL}


def scope_of(role: str, *, is_admin: bool) -> Scope:
    """Return the scope of the parameter `role`. Raises Forbidden when a caller who is no admin lists all orders."""
    scope = SCOPES[role]
    if scope is Scope.ALL and not is_admin:
        raise Forbidden("You don't have permission to list all orders")
    return scope
