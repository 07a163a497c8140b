"""A peer: gigs and searches by FastAPI and SQLAlchemy's ORM (async), as its documentation shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel
from sqlalchemy import exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import aliased, joinedload, selectinload
from sqlalchemy.sql import Select

from benchmarks.peers import search_sql
from benchmarks.peers.models import CategoryRow, GigRow, SearchRow
from benchmarks.peers.settings import EXACT_TOTAL, NOT_FOUND, SORTS, PeerSettings, Search, SearchQuery, page_token
from gig_service.domain.rating import RatingTotals, badges

settings = PeerSettings.model_validate({})
engine = create_async_engine(
    settings.database_url.replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=settings.pool,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
categories: dict[str, CategoryRow] = {}

Time = Annotated[
    datetime, PlainSerializer(lambda at: at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str)
]


class Model(BaseModel):
    """A part of a response; its names are camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class Seller(Model):
    """The public part of a seller."""

    id: UUID
    username: str
    badges: list[str]


class Extra(Model):
    """An extra of a package."""

    id: UUID
    title: str
    price: float
    extra_days: int
    extra_revisions: int


class Package(Model):
    """A package of a gig."""

    id: UUID
    title: str
    description: str
    price: float
    delivery_days: int
    features: list[str]
    revisions: int
    extras: list[Extra]


class Image(Model):
    """An image of a gig."""

    id: UUID
    url: str
    thumbnail_url: str
    is_primary: bool


class Gig(Model):
    """A gig's page."""

    id: UUID
    title: str
    description: str
    category_id: UUID
    tags: list[str]
    status: str
    rating: float
    review_count: int
    seller: Seller
    packages: list[Package]
    images: list[Image]
    created_at: Time
    updated_at: Time


class Result(Model):
    """A gig among the results of a search."""

    id: UUID
    title: str
    starting_price: float
    rating: float
    review_count: int
    seller: Seller
    thumbnail: str


class Results(Model):
    """A page of a search."""

    results: list[Result]
    total: int
    total_is_estimate: bool
    next_page_token: str


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Read the categories, which do not change."""
    async with sessions() as session:
        categories.update({row.slug: row for row in await session.scalars(select(CategoryRow))})
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan, openapi_url=None)


def media(key: str) -> str:
    """Return the URL of a stored file."""
    return f"{settings.media_url}/{key}" if key else ""


def to_seller(row: Any) -> Seller:
    """Return the public part of a seller."""
    earned = badges(RatingTotals(row.buyer_count, row.buyer_rating_sum))
    return Seller(id=row.id, username=row.username, badges=earned)


@app.get("/api/gigs/{gig_id}", response_model_by_alias=True)
async def get_gig(gig_id: UUID) -> Gig:
    """Return a gig's page."""
    async with sessions() as session:
        gig = await session.scalar(
            select(GigRow)
            .where(GigRow.id == gig_id, GigRow.deleted_at.is_(None), GigRow.status == "ACTIVE")
            .options(joinedload(GigRow.seller), selectinload(GigRow.packages), selectinload(GigRow.images))
        )
    if gig is None:
        raise HTTPException(NOT_FOUND)
    images = [
        Image(id=row.id, url=media(row.key), thumbnail_url=media(row.thumbnail_key), is_primary=row.is_primary)
        for row in gig.images
    ]
    return Gig(
        id=gig.id,
        title=gig.title,
        description=gig.description,
        category_id=gig.category_id,
        tags=gig.tags,
        status=gig.status,
        rating=float(gig.rating),
        review_count=gig.review_count,
        seller=to_seller(gig.seller),
        packages=[Package.model_validate(row) for row in gig.packages],
        images=images,
        created_at=gig.created_at,
        updated_at=gig.updated_at,
    )


def matching(query: SearchQuery) -> Select[Any]:
    """Return the rows of a search, one a gig: of the packages that meet the filters the cheapest."""
    other = aliased(SearchRow)

    def of_package(row: Any) -> list[Any]:
        conditions = []
        if query.min_price is not None:
            conditions.append(row.price >= query.min_price)
        if query.max_price is not None:
            conditions.append(row.price <= query.max_price)
        if query.max_delivery_days is not None:
            conditions.append(row.delivery_days <= query.max_delivery_days)
        return conditions

    cheaper = exists().where(
        other.gig_id == SearchRow.gig_id,
        tuple_(other.price, other.package_id) < tuple_(SearchRow.price, SearchRow.package_id),
        *of_package(other),
    )
    found = select(SearchRow).join(SearchRow.gig).join(SearchRow.seller)
    is_cheapest = ~cheaper if query.is_of_package else SearchRow.is_cheapest
    found = found.where(SearchRow.status == "ACTIVE", *of_package(SearchRow), is_cheapest)
    if query.category:
        category = categories[query.category]
        column = SearchRow.section_id if category.parent_id is None else SearchRow.category_id
        found = found.where(column == category.id)
    if query.min_rating is not None:
        found = found.where(SearchRow.rating >= query.min_rating)
    if query.tags:
        found = found.where(GigRow.tags.contains(query.tags))
    return found


async def count(session: AsyncSession, found: Select[Any]) -> int:
    """Return the number of gigs, counted up to EXACT_TOTAL + 1."""
    some = found.with_only_columns(SearchRow.gig_id).limit(EXACT_TOTAL + 1).subquery()
    return await session.scalar(select(func.count()).select_from(some)) or 0


@app.get("/api/gigs", response_model_by_alias=True)
async def search_gigs(query: Search) -> Results:
    """Return a page of a search."""
    names = SORTS[query.sort]
    columns = [getattr(SearchRow, name) for name in names]
    descending = query.sort != "price"
    found = matching(query)
    page = found.options(joinedload(SearchRow.gig), joinedload(SearchRow.seller))
    if (after := search_sql.parse(names, query.after)) is not None:
        key = tuple_(*columns)
        page = page.where(key < tuple_(*after) if descending else key > tuple_(*after))
    page = page.order_by(*(column.desc() if descending else column.asc() for column in columns))
    async with sessions() as session:
        rows = list(await session.scalars(page.limit(query.page_size + 1)))
        is_only_page = after is None and len(rows) <= query.page_size
        total = len(rows) if is_only_page else await count(session, found)
    results = [
        Result(
            id=row.gig_id,
            title=row.gig.title,
            starting_price=float(row.price),
            rating=float(row.rating),
            review_count=row.review_count,
            seller=to_seller(row.seller),
            thumbnail=media(row.gig.thumbnail_key),
        )
        for row in rows[: query.page_size]
    ]
    token = ""
    if len(rows) > query.page_size:
        token = page_token([getattr(rows[query.page_size - 1], name) for name in names])
    return Results(results=results, total=total, total_is_estimate=total > EXACT_TOTAL, next_page_token=token)
