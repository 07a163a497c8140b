"""A peer: gigs and searches by FastAPI and asyncpg, with hand-written SQL and orjson."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI, HTTPException, Response

from benchmarks.peers import search_sql
from benchmarks.peers.settings import EXACT_TOTAL, NOT_FOUND, SORTS, PeerSettings, Search, page_token
from gig_service.domain.rating import RatingTotals, badges

settings = PeerSettings.model_validate({})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the pool and read the categories, which do not change."""
    async with asyncpg.create_pool(settings.database_url, min_size=settings.pool, max_size=settings.pool) as pool:
        app.state.pool = pool
        rows = await pool.fetch(search_sql.CATEGORIES)
        app.state.categories = {row[name]: (row["id"], row["is_child"]) for row in rows for name in ("slug",)}
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


def to_json(value: Any) -> Response:
    """Return a JSON response."""
    return Response(orjson.dumps(value), media_type="application/json")


def seller(row: Any) -> dict[str, Any]:
    """Return the public part of a seller."""
    earned = badges(RatingTotals(row["buyer_count"], row["buyer_rating_sum"]))
    return {"id": row["seller_id"], "username": row["username"], "badges": earned}


@app.get("/api/gigs/{gig_id}")
async def get_gig(gig_id: UUID) -> Response:
    """Return a gig's page."""
    row = await app.state.pool.fetchrow(search_sql.GIG, gig_id, settings.media_url)
    if row is None:
        raise HTTPException(NOT_FOUND)
    return to_json(
        {
            "id": row["id"],
            "title": row["title"],
            "description": row["description"],
            "categoryId": row["category_id"],
            "tags": row["tags"],
            "status": row["status"],
            "rating": row["rating"],
            "reviewCount": row["review_count"],
            "seller": seller(row),
            "packages": orjson.Fragment(row["packages"] or "[]"),
            "images": orjson.Fragment(row["images"] or "[]"),
            "createdAt": row["created_at"],
            "updatedAt": row["updated_at"],
        }
    )


@app.get("/api/gigs")
async def search_gigs(query: Search) -> Response:
    """Return a page of a search."""
    prepared = search_sql.prepare(query, app.state.categories)
    async with app.state.pool.acquire() as connection:
        rows = await connection.fetch(prepared.page, *prepared.filters, *prepared.after, query.page_size + 1)
        total = len(rows)
        if prepared.after or total > query.page_size:
            total = await connection.fetchval(prepared.total, *prepared.filters)
    results = [
        {
            "id": str(row["gig_id"]),
            "title": row["title"],
            "startingPrice": float(row["price"]),
            "rating": float(row["rating"]),
            "reviewCount": row["review_count"],
            "seller": seller(row),
            "thumbnail": f"{settings.media_url}/{row['thumbnail_key']}" if row["thumbnail_key"] else "",
        }
        for row in rows[: query.page_size]
    ]
    token = ""
    if len(rows) > query.page_size:
        last = rows[query.page_size - 1]
        token = page_token([last[column] for column in SORTS[query.sort]])
    return to_json({"results": results, "total": total, "totalIsEstimate": total > EXACT_TOTAL, "nextPageToken": token})
