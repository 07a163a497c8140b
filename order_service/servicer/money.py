"""The RPCs about balances and payouts. The pipeline around them is servicekit.pipeline."""

from datetime import datetime
from uuid import UUID

from marketplace.order.v1 import order_pb2
from order_service.commands.request_payout import RequestPayout
from order_service.commands.set_payout_account import SetPayoutAccount
from order_service.convert import money as convert
from order_service.store import ledger as ledger_store
from order_service.store.payouts import START, PayoutKey
from order_service.store.store import Store
from servicekit import paging
from servicekit.call import Call
from servicekit.errors import NotFound
from servicekit.money import to_decimal
from servicekit.outside import calls_outside


class MoneyHandlers:
    """Balances, their entries, and payouts."""

    def __init__(
        self, store: Store, currency: str, request_payout: RequestPayout, set_payout_account: SetPayoutAccount
    ) -> None:
        self._store = store
        self._currency = currency
        self._request_payout = request_payout
        self._set_payout_account = set_payout_account

    def GetBalance(self, request: order_pb2.GetBalanceRequest, call: Call) -> order_pb2.GetBalanceResponse:
        return convert.to_balance(self._store.ledger.balance(call.user_id), self._currency)

    def ListBalanceEntries(
        self, request: order_pb2.ListBalanceEntriesRequest, call: Call
    ) -> order_pb2.ListBalanceEntriesResponse:
        key = paging.decode(request, int)
        size = paging.page_size(request.page_size)
        after = key[0] if key else ledger_store.START
        entries = self._store.ledger.entries(call.user_id, after=after, limit=size + 1)
        response = order_pb2.ListBalanceEntriesResponse(results=map(convert.to_entry, entries[:size]))
        if len(entries) > size:
            response.next_page_token = paging.encode(request, [entries[size - 1].number])
        return response

    def RequestPayout(self, request: order_pb2.RequestPayoutRequest, call: Call) -> order_pb2.RequestPayoutResponse:
        requested = to_decimal(request.amount) if request.HasField("amount") else None
        return convert.to_requested(self._request_payout.execute(call.user_id, requested))

    def ListPayouts(self, request: order_pb2.ListPayoutsRequest, call: Call) -> order_pb2.ListPayoutsResponse:
        key = paging.decode(request, datetime.fromisoformat, UUID)
        size = paging.page_size(request.page_size)
        seller_id = None if call.caller.is_admin else call.user_id
        payouts = self._store.payouts.page(seller_id, after=PayoutKey(*key) if key else START, limit=size + 1)
        response = order_pb2.ListPayoutsResponse(results=map(convert.to_payout, payouts[:size]))
        if len(payouts) > size:
            last = payouts[size - 1]
            response.next_page_token = paging.encode(request, PayoutKey(last.created_at, last.id))
        return response

    def GetPayout(self, request: order_pb2.GetPayoutRequest, call: Call) -> order_pb2.GetPayoutResponse:
        payout = self._store.payouts.get(UUID(request.payout_id))
        if payout is None or not (call.caller.is_admin or payout.seller_id == call.user_id):
            raise NotFound("Payout")
        return order_pb2.GetPayoutResponse(payout=convert.to_payout(payout))

    @calls_outside
    def SetPayoutAccount(
        self, request: order_pb2.SetPayoutAccountRequest, call: Call
    ) -> order_pb2.SetPayoutAccountResponse:
        self._set_payout_account.execute(call.user_id, request.destination)
        return order_pb2.SetPayoutAccountResponse(destination=request.destination)
