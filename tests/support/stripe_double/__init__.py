"""A small double of Stripe's API, with the parts that `localstripe` lacks: transfers, accounts, idempotency, events.

It keeps its objects in memory and responds over HTTP as Stripe documents it, for the calls that OrderService makes. The
modules name the pages of Stripe's documentation that they follow. Beside the API, `StripeDouble` has methods for what
banks and people in Stripe's dashboard do; each of these leaves its events.

It sends no webhooks: a test sends the events of `StripeDouble.events` itself. It does not check currencies, and nothing
expires by itself.
"""

from tests.support.stripe_double.double import StripeDouble
from tests.support.stripe_double.http import serving_double

__all__ = ["StripeDouble", "serving_double"]
