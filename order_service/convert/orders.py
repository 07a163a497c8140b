"""Orders between the domain and the protos."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from marketplace.order.v1 import order_pb2
from order_service.convert.files import to_file
from order_service.domain.chargeback import ChargebackState
from order_service.domain.lifecycle import Action, Command, Timeouts, open_actions
from order_service.domain.listing import AdminFilters
from order_service.domain.order import Event, Line, Order, PaidBy, Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.placing import OrderRequest, Source
from order_service.domain.settlement import refunded_amount
from servicekit.call import Caller
from servicekit.errors import InvalidArgument, Violation
from servicekit.money import to_decimal
from servicekit.times import to_timestamp


def from_placing(request: order_pb2.PlaceOrderRequest, buyer_id: UUID) -> OrderRequest:
    """Return the buyer's part of a request to place an order."""
    return OrderRequest(
        buyer_id=buyer_id,
        requirements=request.requirements,
        payment_method=request.payment_method,
        payment_token=request.payment_token,
        extra_ids=tuple(map(UUID, request.extra_ids)),
        quantity=request.quantity if request.HasField("quantity") else 1,
    )


def from_source(request: order_pb2.PlaceOrderRequest) -> tuple[Source, UUID]:
    """Return what is ordered, and its id.

    Raises InvalidArgument unless it is either a package or an offer, and for what goes with a package alone.
    """
    if not request.offer_id:
        if not request.package_id:
            raise InvalidArgument([Violation(Source.PACKAGE.field, "is required, or offerId")])
        return Source.PACKAGE, UUID(request.package_id)
    only_packages = {
        Source.PACKAGE.field: bool(request.package_id),
        "extraIds": bool(request.extra_ids),
        "quantity": request.HasField("quantity"),
    }
    if violations := [Violation(name, "does not go with an offerId") for name, given in only_packages.items() if given]:
        raise InvalidArgument(violations)
    return Source.OFFER, UUID(request.offer_id)


def to_status(number: order_pb2.Order.Status.ValueType) -> Status | None:
    """Return the status of a filter; None without one."""
    return Status(order_pb2.Order.Status.Name(number)) if number else None


def to_admin_filters(request: order_pb2.ListOrdersRequest) -> AdminFilters:
    """Return the filters that only an admin may use."""
    return AdminFilters(
        buyer_id=request.buyer_id,
        seller_id=request.seller_id,
        gig_id=request.gig_id,
        placed_after=request.placed_after,
        placed_before=request.placed_before,
        had_chargeback=request.chargeback,
    )


def from_resolution(request: order_pb2.ResolveOrderRequest) -> Command:
    """Return the command of a request to resolve a dispute."""
    outcome = Status(order_pb2.ResolveOrderRequest.Outcome.Name(request.outcome))
    refund = to_decimal(request.refund_amount) if request.HasField("refund_amount") else None
    return Command(Action.RESOLVE, request.message, outcome, refund)


def from_refund(request: order_pb2.RefundOrderRequest) -> Command:
    """Return the command of a request to refund a completed order."""
    # `from` is a keyword of Python.
    paid_by = PaidBy(getattr(request, "from"))
    return Command(Action.REFUND, request.message, refund=to_decimal(request.amount), paid_by=paid_by)


def from_extension(request: order_pb2.ExtendOrderRequest) -> Command:
    """Return the command of a request for more time."""
    return Command(Action.EXTEND, request.message, days=request.days)


def to_payment(order: Order) -> order_pb2.Order.Payment | None:
    """Convert the payment of an order; None for an order from before there were payments."""
    if order.payment_status is None:
        return None
    # CAPTURING is internal: until it is captured, the money is authorized.
    status = PaymentStatus.AUTHORIZED if order.is_being_captured else order.payment_status
    return order_pb2.Order.Payment(
        status=order_pb2.Order.Payment.Status.Value(status),
        amount=float(order.price),
        refunded=float(refunded_amount(order)),
    )


def to_chargeback(order: Order) -> order_pb2.Order.Chargeback | None:
    """Convert the chargeback that an order shows; None without one."""
    if order.chargeback_amount is None or order.chargeback_state is None:
        return None
    needs_response = order.chargeback_state is ChargebackState.NEEDS_RESPONSE
    due_by = order.evidence_due_by if needs_response else None
    return order_pb2.Order.Chargeback(
        amount=float(order.chargeback_amount),
        state=order_pb2.Order.Chargeback.State.Value(order.chargeback_state),
        evidence_due_by=to_timestamp(due_by) if due_by else None,
    )


def to_extension(order: Order) -> order_pb2.Order.Extension | None:
    """Convert the open request for more time; None without one."""
    if order.extension is None:
        return None
    return order_pb2.Order.Extension(
        days=order.extension.days, message=order.extension.message, at=to_timestamp(order.extension.at)
    )


def to_line(line: Line) -> order_pb2.Order.Line:
    """Convert a line of an order."""
    return order_pb2.Order.Line(
        title=line.title, unit_price=float(line.unit_price), quantity=line.quantity, amount=float(line.amount)
    )


def to_order(order: Order, actions: Iterable[Action], *, sees_chargeback: bool) -> order_pb2.Order:
    """Convert an order, with the actions that are open to the caller. A buyer does not see the chargeback."""
    return order_pb2.Order(
        order_id=str(order.id),
        gig_id=str(order.gig_id),
        gig_title=order.gig_title,
        package=order.package_title,
        price=float(order.price),
        status=order_pb2.Order.Status.Value(order.status),
        due_date=to_timestamp(order.due_at),
        package_id=str(order.package_id) if order.package_id else None,
        currency=order.currency,
        requirements=order.requirements,
        buyer_id=str(order.buyer_id),
        seller_id=str(order.seller_id),
        revisions_left=order.revisions_left,
        actions=actions,
        created_at=to_timestamp(order.created_at),
        updated_at=to_timestamp(order.updated_at),
        payment=to_payment(order),
        chargeback=to_chargeback(order) if sees_chargeback else None,
        extension=to_extension(order),
        lines=map(to_line, order.all_lines),
        offer_id=str(order.offer_id) if order.offer_id else None,
    )


def to_order_of(order: Order, viewer: Caller, now: datetime, timeouts: Timeouts) -> order_pb2.Order:
    """Convert an order as the viewer sees it at this time. Raises NotFound for a stranger."""
    actions = open_actions(order, order.parties(viewer), now, timeouts)
    return to_order(order, actions, sees_chargeback=viewer.is_admin or viewer.id == order.seller_id)


def to_event(event: Event) -> order_pb2.OrderEvent:
    """Convert an event of the history."""
    converted = order_pb2.OrderEvent(
        at=to_timestamp(event.at),
        by=event.by,
        action=event.action,
        to=order_pb2.Order.Status.Value(event.to_status),
        message=event.message,
        files=map(to_file, event.files),
    )
    if event.amount is not None:
        converted.amount = float(event.amount)
    if event.from_status is not None:
        # `from` is a keyword of Python.
        setattr(converted, "from", order_pb2.Order.Status.Value(event.from_status))
    return converted


def to_placed(order: Order) -> order_pb2.PlaceOrderResponse:
    """Convert a new order to the response of PlaceOrder."""
    return order_pb2.PlaceOrderResponse(
        order_id=str(order.id),
        gig_id=str(order.gig_id),
        gig_title=order.gig_title,
        package=order.package_title,
        price=float(order.price),
        status=order_pb2.Order.Status.Value(order.status),
        due_date=to_timestamp(order.due_at),
    )


def to_description(order: Order) -> order_pb2.DescribeOrderResponse:
    """Convert the part of an order that other services see."""
    return order_pb2.DescribeOrderResponse(
        order_id=str(order.id),
        gig_id=str(order.gig_id),
        buyer_id=str(order.buyer_id),
        seller_id=str(order.seller_id),
        status=order_pb2.Order.Status.Value(order.status),
    )
