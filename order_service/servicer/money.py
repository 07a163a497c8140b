"""The RPCs about balances and payouts. The pipeline around them is servicekit.pipeline."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from marketplace.order.v1 import order_pb2
from order_service.commands.adjust_balance import AdjustBalance
from order_service.commands.release_payout_hold import ReleasePayoutHold
from order_service.commands.request_payout import RequestPayout
from order_service.commands.set_payout_account import SetPayoutAccount
from order_service.commands.set_payout_hold import SetPayoutHold
from order_service.convert import money as convert
from order_service.store import ledger as ledger_store
from order_service.store.payouts import START, PayoutKey
from order_service.store.store import Store
from servicekit import paging
from servicekit.call import Call
from servicekit.errors import NotFound
from servicekit.money import to_decimal
from servicekit.outside import calls_outside
from servicekit.times import to_timestamp

# The same lists for a seller and for an admin.
EntriesRequest = order_pb2.ListBalanceEntriesRequest | order_pb2.ListSellerBalanceEntriesRequest
PayoutsRequest = order_pb2.ListPayoutsRequest | order_pb2.ListSellerPayoutsRequest
Entries = TypeVar("Entries", order_pb2.ListBalanceEntriesResponse, order_pb2.ListSellerBalanceEntriesResponse)
Payouts = TypeVar("Payouts", order_pb2.ListPayoutsResponse, order_pb2.ListSellerPayoutsResponse)


class MoneyHandlers:
    """Balances, their entries and adjustments, payouts and their holds."""

    def __init__(
        self,
        store: Store,
        currency: str,
        request_payout: RequestPayout,
        set_payout_account: SetPayoutAccount,
        set_payout_hold: SetPayoutHold,
        release_payout_hold: ReleasePayoutHold,
        adjust_balance: AdjustBalance,
    ) -> None:
        self._store = store
        self._currency = currency
        self._request_payout = request_payout
        self._set_payout_account = set_payout_account
        self._set_payout_hold = set_payout_hold
        self._release_payout_hold = release_payout_hold
        self._adjust_balance = adjust_balance

    def GetBalance(self, request: order_pb2.GetBalanceRequest, call: Call) -> order_pb2.GetBalanceResponse:
        return convert.to_balance(self._store.ledger.balance(call.user_id), self._currency)

    def GetSellerBalance(
        self, request: order_pb2.GetSellerBalanceRequest, call: Call
    ) -> order_pb2.GetSellerBalanceResponse:
        return convert.to_sellers_balance(self._store.ledger.balance(UUID(request.seller_id)), self._currency)

    def ListBalanceEntries(
        self, request: order_pb2.ListBalanceEntriesRequest, call: Call
    ) -> order_pb2.ListBalanceEntriesResponse:
        return self._entries(call.user_id, request, order_pb2.ListBalanceEntriesResponse())

    def ListSellerBalanceEntries(
        self, request: order_pb2.ListSellerBalanceEntriesRequest, call: Call
    ) -> order_pb2.ListSellerBalanceEntriesResponse:
        return self._entries(UUID(request.seller_id), request, order_pb2.ListSellerBalanceEntriesResponse())

    def AdjustBalance(self, request: order_pb2.AdjustBalanceRequest, call: Call) -> order_pb2.AdjustBalanceResponse:
        entry = self._adjust_balance.execute(
            UUID(request.seller_id), call.user_id, to_decimal(request.amount), request.message
        )
        return order_pb2.AdjustBalanceResponse(entry=convert.to_entry(entry))

    def RequestPayout(self, request: order_pb2.RequestPayoutRequest, call: Call) -> order_pb2.RequestPayoutResponse:
        requested = to_decimal(request.amount) if request.HasField("amount") else None
        return convert.to_requested(self._request_payout.execute(call.user_id, requested))

    def ListPayouts(self, request: order_pb2.ListPayoutsRequest, call: Call) -> order_pb2.ListPayoutsResponse:
        seller_id = None if call.caller.is_admin else call.user_id
        return self._payouts(seller_id, request, order_pb2.ListPayoutsResponse())

    def ListSellerPayouts(
        self, request: order_pb2.ListSellerPayoutsRequest, call: Call
    ) -> order_pb2.ListSellerPayoutsResponse:
        return self._payouts(UUID(request.seller_id), request, order_pb2.ListSellerPayoutsResponse())

    def GetPayout(self, request: order_pb2.GetPayoutRequest, call: Call) -> order_pb2.GetPayoutResponse:
        reading = self._store.payouts.get(UUID(request.payout_id))
        if reading is None or not (call.caller.is_admin or reading.payout.seller_id == call.user_id):
            raise NotFound("Payout")
        return order_pb2.GetPayoutResponse(payout=convert.to_payout(*reading))

    @calls_outside
    def SetPayoutAccount(
        self, request: order_pb2.SetPayoutAccountRequest, call: Call
    ) -> order_pb2.SetPayoutAccountResponse:
        self._set_payout_account.execute(call.user_id, request.destination)
        return order_pb2.SetPayoutAccountResponse(destination=request.destination)

    def GetPayoutHold(self, request: order_pb2.GetPayoutHoldRequest, call: Call) -> order_pb2.GetPayoutHoldResponse:
        hold = self._store.payout_holds.get(UUID(request.seller_id))
        if hold is None:
            raise NotFound("Payout hold")
        return order_pb2.GetPayoutHoldResponse(reason=hold.reason, since=to_timestamp(hold.since))

    def SetPayoutHold(self, request: order_pb2.SetPayoutHoldRequest, call: Call) -> order_pb2.SetPayoutHoldResponse:
        hold = self._set_payout_hold.execute(UUID(request.seller_id), call.user_id, request.reason)
        return order_pb2.SetPayoutHoldResponse(reason=hold.reason, since=to_timestamp(hold.since))

    def ReleasePayoutHold(
        self, request: order_pb2.ReleasePayoutHoldRequest, call: Call
    ) -> order_pb2.ReleasePayoutHoldResponse:
        self._release_payout_hold.execute(UUID(request.seller_id), call.user_id)
        return order_pb2.ReleasePayoutHoldResponse()

    def _entries(self, seller_id: UUID, request: EntriesRequest, response: Entries) -> Entries:
        """Fill the response with a page of the seller's entries."""
        key = paging.decode(request, paging.int64)
        size = paging.page_size(request.page_size)
        after = key[0] if key else ledger_store.START
        entries = self._store.ledger.entries(seller_id, after=after, limit=size + 1)
        response.results.extend(map(convert.to_entry, entries[:size]))
        if len(entries) > size:
            response.next_page_token = paging.encode(request, [entries[size - 1].number])
        return response

    def _payouts(self, seller_id: UUID | None, request: PayoutsRequest, response: Payouts) -> Payouts:
        """Fill the response with a page of the seller's payouts, or of everyone's."""
        key = paging.decode(request, paging.timestamp, paging.uuid)
        size = paging.page_size(request.page_size)
        readings = self._store.payouts.page(seller_id, after=PayoutKey(*key) if key else START, limit=size + 1)
        response.results.extend(convert.to_payout(*reading) for reading in readings[:size])
        if len(readings) > size:
            last = readings[size - 1].payout
            response.next_page_token = paging.encode(request, PayoutKey(last.created_at, last.id))
        return response
