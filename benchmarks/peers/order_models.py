"""The tables of the peer that places orders: the product's, without what a placing does not write."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, Numeric
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The mapped tables."""

    type_annotation_map = {datetime: TIMESTAMP(timezone=True), Decimal: Numeric(12, 2), dict[str, Any]: JSONB}  # noqa: RUF012


class Package(Base):
    """A package with what an order copies of its gig."""

    __tablename__ = "packages"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gig_id: Mapped[UUID]
    gig_title: Mapped[str]
    seller_id: Mapped[UUID]
    title: Mapped[str]
    price: Mapped[Decimal]
    delivery_days: Mapped[int]
    revisions: Mapped[int]


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    status: Mapped[str]
    buyer_id: Mapped[UUID]
    seller_id: Mapped[UUID]
    gig_id: Mapped[UUID]
    gig_title: Mapped[str]
    package_id: Mapped[UUID]
    package_title: Mapped[str]
    price: Mapped[Decimal]
    currency: Mapped[str]
    delivery_days: Mapped[int]
    revisions_left: Mapped[int]
    requirements: Mapped[str]
    payment_method: Mapped[str]
    payment_status: Mapped[str]
    payment_reference: Mapped[str]
    due_at: Mapped[datetime]
    capture_before: Mapped[datetime]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # One's own orders, newest first: as buyer, as seller. For admins: all, and all in one state.
    __table_args__ = (
        Index("orders_buyer", "buyer_id", "created_at", "id"),
        Index("orders_seller", "seller_id", "created_at", "id"),
        Index("orders_created", "created_at", "id"),
        Index("orders_status", "status", "created_at", "id"),
        Index("orders_payment", "payment_reference"),
    )


class OrderEvent(Base):
    """A row of an order's history."""

    __tablename__ = "order_events"
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]
    action: Mapped[str]
    went_to: Mapped[str]
    message: Mapped[str]


class FeedEvent(Base):
    """An event of the feed."""

    __tablename__ = "events"
    sequence: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    at: Mapped[datetime]
    type: Mapped[str]
    order_id: Mapped[UUID]
    version: Mapped[int]
    buyer_id: Mapped[UUID]
    seller_id: Mapped[UUID]
    subject: Mapped[dict[str, Any]]


class Payment(Base):
    """A payment, as the provider keeps it."""

    __tablename__ = "payments"
    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    token: Mapped[str]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    state: Mapped[str]
    held_until: Mapped[datetime]


class Attempt(Base):
    """A call to the provider that is not finished."""

    __tablename__ = "attempts"
    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    next_try_at: Mapped[datetime]


class IdempotencyKey(Base):
    """An idempotency key with the digest of its request, and the response."""

    __tablename__ = "idempotency_keys"
    caller: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes]
    answer: Mapped[bytes | None]
    created_at: Mapped[datetime]
