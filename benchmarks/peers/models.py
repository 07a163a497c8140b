"""The tables of the gigs database as SQLAlchemy's ORM maps them: the columns that pages and searches show."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

_TIME = TIMESTAMP(timezone=True)


class Base(DeclarativeBase):
    """The mapped tables."""


class SellerRow(Base):
    """A row of `sellers`."""

    __tablename__ = "sellers"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    buyer_count: Mapped[int]
    buyer_rating_sum: Mapped[int]


class CategoryRow(Base):
    """A row of `categories`."""

    __tablename__ = "categories"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str]
    parent_id: Mapped[UUID | None]


class GigRow(Base):
    """A row of `gigs`."""

    __tablename__ = "gigs"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    seller_id: Mapped[UUID] = mapped_column(ForeignKey("sellers.id"))
    title: Mapped[str]
    description: Mapped[str]
    category_id: Mapped[UUID]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    status: Mapped[str]
    rating: Mapped[Decimal]
    review_count: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(_TIME)
    updated_at: Mapped[datetime] = mapped_column(_TIME)
    deleted_at: Mapped[datetime | None] = mapped_column(_TIME)
    thumbnail_key: Mapped[str]
    seller: Mapped[SellerRow] = relationship()
    packages: Mapped[list[PackageRow]] = relationship(order_by="PackageRow.position")
    images: Mapped[list[ImageRow]] = relationship(order_by="ImageRow.position")


class PackageRow(Base):
    """A row of `packages`."""

    __tablename__ = "packages"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gig_id: Mapped[UUID] = mapped_column(ForeignKey("gigs.id"))
    position: Mapped[int]
    title: Mapped[str]
    description: Mapped[str]
    price: Mapped[Decimal]
    delivery_days: Mapped[int]
    features: Mapped[list[str]] = mapped_column(ARRAY(Text))
    revisions: Mapped[int]
    extras: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class ImageRow(Base):
    """A row of `images`."""

    __tablename__ = "images"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gig_id: Mapped[UUID] = mapped_column(ForeignKey("gigs.id"))
    position: Mapped[int]
    key: Mapped[str]
    thumbnail_key: Mapped[str]
    is_primary: Mapped[bool]


class SearchRow(Base):
    """A row of `search_rows`: a package with the columns of its gig that filters and sorts need."""

    __tablename__ = "search_rows"
    package_id: Mapped[UUID] = mapped_column(primary_key=True)
    is_cheapest: Mapped[bool]
    gig_id: Mapped[UUID] = mapped_column(ForeignKey("gigs.id"))
    seller_id: Mapped[UUID] = mapped_column(ForeignKey("sellers.id"))
    status: Mapped[str]
    category_id: Mapped[UUID]
    section_id: Mapped[UUID]
    price: Mapped[Decimal]
    delivery_days: Mapped[int]
    rating: Mapped[Decimal]
    review_count: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(_TIME)
    gig: Mapped[GigRow] = relationship()
    seller: Mapped[SellerRow] = relationship()
