"""Whether the peers give the product's answers: the JSON of random requests, compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

import httpx

from benchmarks import search_mix
from benchmarks.bench.market import Market
from benchmarks.bench.sides import NO_CACHE, TIMEOUT, Side


class DifferentAnswersError(Exception):
    """A peer answered something else than the product."""


def compare(product: Side, peers: Sequence[Side], market: Market, count: int) -> int:
    """Compare so many answers of each peer with the product's, and return how many. Raises DifferentAnswersError."""
    compared = 0
    urls = [side.url for side in (product, *peers)]
    clients = [httpx.Client(base_url=url, timeout=TIMEOUT, headers=NO_CACHE) for url in urls]
    for expected, *others in zip(*(_answers(client, market, count) for client in clients), strict=True):
        for peer, found in zip(peers, others, strict=True):
            if _comparable(found[1]) != _comparable(expected[1]):
                raise DifferentAnswersError(f"{peer.name} on {expected[0]}: {found[1]}, but the product: {expected[1]}")
        compared += 1
    for client in clients:
        client.close()
    return compared


def _answers(client: httpx.Client, market: Market, count: int) -> Iterator[tuple[str, Any]]:
    """Yield the path and the JSON of each request: pages and searches in turn, a tenth of these beyond page 1.

    A page beyond the first is asked for with the side's own token.
    """
    random = Random(3)
    searches = search_mix.browsing(random, market.categories)
    for number, search in enumerate(islice(searches, count)):
        path = f"/api/gigs/{random.choice(market.gigs)}" if number % 2 else search.path
        if number % 2 == 0:
            for _ in range(search.page - 1):
                token = client.get(path).json().get("nextPageToken")
                if not token:
                    break
                path = f"{search.path}{'&' if search.parameters else '?'}pageToken={token}"
        answer = client.get(path)
        answer.raise_for_status()
        yield path, answer.json()


def _comparable(answer: Any) -> Any:
    """Return an answer without what may differ: the text of a page token, and a total that is an estimate."""
    if "results" not in answer:
        return answer
    total = "many" if answer.get("totalIsEstimate") else answer["total"]
    return {"results": answer["results"], "total": total, "more": bool(answer.get("nextPageToken"))}
