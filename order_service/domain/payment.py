"""How an order may be paid, which depends on who handles the deployment's payments."""

from enum import StrEnum

from servicekit.errors import InvalidArgument, Violation


class Provider(StrEnum):
    """Who handles payments: Stripe, or the sandbox that takes every card and moves no money."""

    STRIPE = "stripe"
    SANDBOX = "sandbox"


def check_method(method: str, provider: Provider) -> None:
    """Refuses the method `sandbox` where real money moves; `stripe` is taken everywhere.

    Raises InvalidArgument.
    """
    if method == Provider.SANDBOX and provider is not Provider.SANDBOX:
        raise InvalidArgument([Violation("paymentMethod", "sandbox is not accepted here, use stripe")])
