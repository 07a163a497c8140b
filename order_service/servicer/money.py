"""The RPCs about what sellers have. What surrounds each of them is in servicekit.pipeline."""

from datetime import datetime
from uuid import UUID

from marketplace.order.v1 import order_pb2
from order_service.convert import money as convert
from order_service.domain.ledger import payout_requested
from order_service.domain.payout import Payout, Status, amount_of, check_account
from order_service.payments.gateway import Gateway
from order_service.store import PAYOUTS, Store
from order_service.store import ledger as ledger_store
from order_service.store.payouts import START, PayoutKey
from servicekit import paging
from servicekit.call import Call
from servicekit.errors import NotFound
from servicekit.ids import new_id
from servicekit.money import to_decimal


class MoneyHandlers:
    """Balances, their entries, and payouts."""

    def __init__(self, store: Store, gateway: Gateway, currency: str) -> None:
        self._store = store
        self._gateway = gateway
        self._currency = currency

    def GetBalance(self, request: order_pb2.GetBalanceRequest, call: Call) -> order_pb2.GetBalanceResponse:
        return convert.to_balance(self._store.ledger.balance(call.user_id), self._currency)

    def ListBalanceEntries(
        self, request: order_pb2.ListBalanceEntriesRequest, call: Call
    ) -> order_pb2.ListBalanceEntriesResponse:
        key = paging.decode(request, int)
        size = paging.page_size(request.page_size)
        after = key[0] if key else ledger_store.START
        found = self._store.ledger.entries(call.user_id, after=after, limit=size + 1)
        response = order_pb2.ListBalanceEntriesResponse(results=map(convert.to_entry, found[:size]))
        if len(found) > size:
            response.next_page_token = paging.encode(request, [found[size - 1].number])
        return response

    def RequestPayout(self, request: order_pb2.RequestPayoutRequest, call: Call) -> order_pb2.RequestPayoutResponse:
        asked = to_decimal(request.amount) if request.HasField("amount") else None
        with self._store.transaction("payout"):
            self._store.ledger.lock(call.user_id)
            destination = self._store.payouts.destination(call.user_id)
            check_account(destination, is_needed=self._gateway.needs_token)
            amount = amount_of(asked, self._store.ledger.balance(call.user_id).available)
            now = self._store.now()
            payout = Payout(new_id(), call.user_id, amount, self._currency, Status.PENDING, destination, now)
            self._store.payouts.add(payout)
            self._store.outbox.add(PAYOUTS, str(payout.id), 1, {})
            self._store.ledger.post(payout_requested(payout.id, call.user_id, amount), now)
        return convert.to_requested(payout)

    def ListPayouts(self, request: order_pb2.ListPayoutsRequest, call: Call) -> order_pb2.ListPayoutsResponse:
        key = paging.decode(request, datetime.fromisoformat, UUID)
        size = paging.page_size(request.page_size)
        whose = None if call.caller.is_admin else call.user_id
        found = self._store.payouts.page(whose, after=PayoutKey(*key) if key else START, limit=size + 1)
        response = order_pb2.ListPayoutsResponse(results=map(convert.to_payout, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = paging.encode(request, PayoutKey(last.created_at, last.id))
        return response

    def GetPayout(self, request: order_pb2.GetPayoutRequest, call: Call) -> order_pb2.GetPayoutResponse:
        payout = self._store.payouts.get(UUID(request.payout_id))
        if payout is None or not (call.caller.is_admin or payout.seller_id == call.user_id):
            raise NotFound("Payout")
        return order_pb2.GetPayoutResponse(payout=convert.to_payout(payout))

    def SetPayoutAccount(
        self, request: order_pb2.SetPayoutAccountRequest, call: Call
    ) -> order_pb2.SetPayoutAccountResponse:
        self._gateway.check_destination(request.destination)
        self._store.payouts.set_destination(call.user_id, request.destination)
        return order_pb2.SetPayoutAccountResponse(destination=request.destination)
