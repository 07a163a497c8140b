"""A peer: placing an order in one process and one database, by FastAPI and SQLAlchemy's ORM (async).

It writes rows like the product's for an order, in one transaction: the attempt, the provider's payment, the order, its
history, the event of the feed, and the idempotency key with the response. Nothing is called over a network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from benchmarks.peers import order_models as models
from benchmarks.peers.settings import CONFLICT, NOT_FOUND, PeerSettings
from servicekit.ids import new_id

settings = PeerSettings.model_validate({})
engine = create_async_engine(
    settings.database_url.replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=settings.pool,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
UNAUTHENTICATED, FORBIDDEN, UNPROCESSABLE = 401, 403, 422


class OrderRequest(BaseModel):
    """The body of a placing."""

    model_config = ConfigDict(alias_generator=to_camel)

    package_id: UUID
    requirements: str = Field("", max_length=5000)
    payment_method: str = Field(pattern="^(stripe|sandbox)$")
    expected_price: Decimal | None = Field(None, gt=0, le=1_000_000)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close the pool at the end."""
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan, openapi_url=None)
keys = jwt.PyJWKSet.from_dict(json.loads(Path(settings.jwks).read_text()))


@lru_cache(maxsize=10_000)
def verify(token: str) -> dict[str, Any]:
    """Return the claims of a token. Raises PyJWTError."""
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["ES256"], issuer=settings.issuer, audience=settings.audience
    )
    return claims


def buyer_of(authorization: str) -> UUID:
    """Return the buyer of a request."""
    try:
        claims = verify(authorization.removeprefix("Bearer "))
    except jwt.PyJWTError:
        raise HTTPException(UNAUTHENTICATED) from None
    if claims["exp"] < datetime.now(UTC).timestamp():
        raise HTTPException(UNAUTHENTICATED)
    if "buyer" not in claims["roles"]:
        raise HTTPException(FORBIDDEN)
    return UUID(claims["sub"])


@app.post("/api/orders")
async def place_order(
    request: OrderRequest,
    authorization: Annotated[str, Header()],
    idempotency_key: Annotated[str, Header(max_length=255)],
) -> Response:
    """Place an order, or answer as the first request with this key was answered."""
    buyer_id = buyer_of(authorization)
    digest = hashlib.sha256(request.model_dump_json().encode()).digest()
    now = datetime.now(UTC)
    async with sessions() as session, session.begin():
        claim = insert(models.IdempotencyKey).values(
            caller=buyer_id, key=idempotency_key, digest=digest, created_at=now
        )
        if not (await session.execute(claim.on_conflict_do_nothing())).rowcount:  # type: ignore[attr-defined]
            first = await session.get_one(models.IdempotencyKey, (buyer_id, idempotency_key))
            if first.digest != digest:
                raise HTTPException(UNPROCESSABLE)
            return Response(first.answer, status_code=201, media_type="application/json")
        package = await session.scalar(select(models.Package).where(models.Package.id == request.package_id))
        if package is None:
            raise HTTPException(NOT_FOUND)
        if package.seller_id == buyer_id:
            raise HTTPException(FORBIDDEN)
        if request.expected_price not in (None, package.price):
            raise HTTPException(CONFLICT)
        order = models.Order(
            id=new_id(),
            version=1,
            status="PENDING",
            buyer_id=buyer_id,
            seller_id=package.seller_id,
            gig_id=package.gig_id,
            gig_title=package.gig_title,
            package_id=package.id,
            package_title=package.title,
            price=package.price,
            currency="USD",
            delivery_days=package.delivery_days,
            revisions_left=package.revisions,
            requirements=request.requirements,
            payment_method=request.payment_method,
            payment_status="AUTHORIZED",
            payment_reference=f"pay_{new_id().hex}",
            due_at=now + timedelta(days=package.delivery_days),
            capture_before=now + timedelta(days=7),
            created_at=now,
            updated_at=now,
        )
        session.add(models.Attempt(order_id=order.id, kind="authorize", data={}, created_at=now, next_try_at=now))
        await session.flush()
        payment = models.Payment(
            order_id=order.id,
            reference=order.payment_reference,
            token="",
            amount=order.price,
            currency=order.currency,
            state="HELD",
            held_until=order.capture_before,
        )
        session.add_all([payment, order])
        await session.flush()
        history = models.OrderEvent(
            order_id=order.id, version=1, at=now, by="buyer", action="place", went_to=order.status, message=""
        )
        event = models.FeedEvent(
            id=new_id(),
            at=now,
            type="order.placed",
            order_id=order.id,
            version=1,
            buyer_id=buyer_id,
            seller_id=order.seller_id,
            subject={"id": str(order.id), "status": order.status, "price": str(order.price)},
        )
        session.add_all([history, event])
        await session.execute(delete(models.Attempt).where(models.Attempt.order_id == order.id))
        answer = json.dumps(
            {
                "orderId": str(order.id),
                "gigId": str(order.gig_id),
                "gigTitle": order.gig_title,
                "package": order.package_title,
                "price": float(order.price),
                "status": order.status,
                "dueDate": order.due_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ).encode()
        bound = await session.get_one(models.IdempotencyKey, (buyer_id, idempotency_key))
        bound.answer = answer
    location = {"Location": f"/api/orders/{order.id}"}
    return Response(answer, status_code=201, media_type="application/json", headers=location)
