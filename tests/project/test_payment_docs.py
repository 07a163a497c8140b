"""docs/payments.md lists exactly the cards and accounts of the sandbox."""

from __future__ import annotations

import re

from order_service.payments.sandbox.scenarios import ACCOUNTS, CARDS
from tests.support.stack import ROOT

PAGE = (ROOT / "docs" / "payments.md").read_text()


def test_every_card_and_account_of_the_sandbox_stands_in_the_docs_with_what_it_does_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(sandbox_\w+)` \| (.*) \|$", PAGE, re.MULTILINE))

    assert rows == {**CARDS, **ACCOUNTS}
