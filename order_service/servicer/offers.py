"""The RPCs of `marketplace.offer.v1.OfferService`. The pipeline around them is servicekit.pipeline."""

from __future__ import annotations

from uuid import UUID

from marketplace.offer.v1 import offer_pb2
from order_service.commands.close_offer import DeclineOffer, WithdrawOffer
from order_service.commands.make_offer import MakeOffer
from order_service.convert import offers as convert
from order_service.store.offer_lists import START, OfferKey
from order_service.store.store import Store
from servicekit import paging
from servicekit.call import Call
from servicekit.idempotency import binds_idempotency_key


class OfferServicer:
    """Offers of sellers to buyers. An offer is accepted by OrderService.PlaceOrder."""

    def __init__(
        self, store: Store, make_offer: MakeOffer, withdraw_offer: WithdrawOffer, decline_offer: DeclineOffer
    ) -> None:
        self._store = store
        self._make_offer = make_offer
        self._withdraw_offer = withdraw_offer
        self._decline_offer = decline_offer

    @binds_idempotency_key
    def MakeOffer(self, request: offer_pb2.MakeOfferRequest, call: Call) -> offer_pb2.MakeOfferResponse:
        return convert.to_made(
            self._make_offer.execute(
                UUID(request.conversation_id),
                UUID(request.gig_id),
                convert.from_terms(request),
                call.caller,
                call.idempotency_claim,
            )
        )

    def ListOffers(self, request: offer_pb2.ListOffersRequest, call: Call) -> offer_pb2.ListOffersResponse:
        conditions = convert.from_listing(request, call.caller)
        key = paging.decode(request, paging.timestamp, paging.uuid)
        size = paging.page_size(request.page_size)
        offers = self._store.offer_lists.page(conditions, after=OfferKey(*key) if key else START, limit=size + 1)
        response = offer_pb2.ListOffersResponse(results=map(convert.to_offer, offers[:size]))
        if len(offers) > size:
            last = offers[size - 1]
            response.next_page_token = paging.encode(request, OfferKey(last.created_at, last.id))
        return response

    def GetOffer(self, request: offer_pb2.GetOfferRequest, call: Call) -> offer_pb2.GetOfferResponse:
        offer, now = self._store.offers.get(UUID(request.offer_id))
        offer.check_access(call.caller)
        return offer_pb2.GetOfferResponse(offer=convert.to_offer(offer.at(now)))

    def WithdrawOffer(self, request: offer_pb2.WithdrawOfferRequest, call: Call) -> offer_pb2.WithdrawOfferResponse:
        offer = self._withdraw_offer.execute(UUID(request.offer_id), call.caller)
        return offer_pb2.WithdrawOfferResponse(offer=convert.to_offer(offer))

    def DeclineOffer(self, request: offer_pb2.DeclineOfferRequest, call: Call) -> offer_pb2.DeclineOfferResponse:
        offer = self._decline_offer.execute(UUID(request.offer_id), request.message, call.caller)
        return offer_pb2.DeclineOfferResponse(offer=convert.to_offer(offer))
