"""docs/payments.md lists exactly the cards and accounts of the sandbox, and the events of Stripe."""

from __future__ import annotations

import re

from order_service.payments.sandbox.scenarios import ACCOUNTS, CARDS
from order_service.payments.stripe.events import TYPES
from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "payments.md").read_text()


def test_every_card_and_account_of_the_sandbox_stands_in_the_docs_with_what_it_does_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(sandbox_\w+)` \| (.*) \|$", PAGE, re.MULTILINE))

    assert rows == {**CARDS, **ACCOUNTS}


def test_every_event_that_a_webhook_of_stripe_subscribes_to_stands_in_the_docs_and_no_other() -> None:
    (sentence,) = re.findall(r"/api/webhooks/stripe` with the events (.*?)\. ", PAGE, re.DOTALL)

    assert sorted(re.findall(r"`(.*?)`", sentence)) == sorted(TYPES)
