"""Reconciliation: orders, payments, the ledger, payouts and the payment provider's own records compared.

`python -m order_service.reconciliation` checks a window of time and prints each difference; see docs/money.md.
"""

from order_service.reconciliation.findings import Findings
from order_service.reconciliation.run import Window, check, reconcile

__all__ = ["Findings", "Window", "check", "reconcile"]
