"""Requests that schemathesis derives from /openapi.json: the running marketplace answers each as the document says.

`OPENAPI_SECONDS=300 OPENAPI_SEED=7` looks for longer, and elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pictures import a_jpeg
from tests.support.stack import ROOT, Stack
from tests.support.story import SEED_PACKAGE, Market, ok

# These checks are run by tests/support/openapi_hooks.py, with what is excluded from them.
RUN_BY_HOOKS = "positive_data_acceptance,negative_data_rejection"
# A stream of events has no end to wait for, and ListEvents waits for up to half a minute.
WITHOUT_END = ("WatchSse", "WatchOrderSse", "ListEvents")


@pytest.mark.timeout(600)
def test_every_request_is_answered_as_the_document_says(stack: Stack, market: Market, tmp_path: Path) -> None:
    people = {"seller": market.seller, "buyer": market.buyer, "admin": market.admin}
    gig = market.gig(revisions=3)
    ok(market.seller.post(f"/api/gigs/{gig['id']}/packages", json=SEED_PACKAGE), 201)
    [image] = ok(market.seller.post(f"/api/gigs/{gig['id']}/images", content=a_jpeg()), 201)["images"]
    review = market.review(market.completed(gig))
    payout = ok(market.seller.post("/api/payouts", json={"amount": 1}), 201)
    endpoint = ok(market.buyer.post("/api/webhook-endpoints", json={"url": "https://receiver.example/"}), 201)
    ids = {
        "gigId": gig["id"],
        "packageId": gig["packages"][0]["id"],
        "imageId": image["id"],
        "orderId": market.delivered(gig),
        "reviewId": review["reviewId"],
        "sellerId": gig["seller"]["id"],
        "payoutId": payout["payoutId"],
        "endpointId": endpoint["id"],
    }
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{stack.url}/openapi.json"]
    command += ["--checks", "all", "--exclude-checks", RUN_BY_HOOKS, "--continue-on-failure"]
    command += ["--max-examples", "3", "--no-shrink", "--seed", os.environ.get("OPENAPI_SEED", "1")]
    command += [part for each in WITHOUT_END for part in ("--exclude-operation-id", each)]
    if seconds := os.environ.get("OPENAPI_SECONDS"):
        command += ["--max-time", seconds]
    environment = {
        **os.environ,
        "OPENAPI_IDS": json.dumps(ids),
        "OPENAPI_TOKENS": json.dumps(
            {role: person.headers["authorization"].removeprefix("Bearer ") for role, person in people.items()}
        ),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        "SCHEMATHESIS_HOOKS": "tests.support.openapi_hooks",
    }

    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2000:]
    assert "Tested: 70" in result.stdout
