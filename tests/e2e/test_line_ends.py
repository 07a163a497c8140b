"""Line ends: texts of Windows and of old Macs, through the real edge."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.support.story import SEED_GIG, Market, a_gig, ok


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_windows_line_ends_become_newlines(market: Market, line_end: str) -> None:
    text = f"One{line_end}{line_end}two\tthree{line_end}"
    package = {**SEED_GIG["packages"][0], "description": text, "features": [text]}
    made = market.seller.post("/api/gigs", json={**SEED_GIG, "description": text, "packages": [package]})

    gig = ok(market.anyone.get(f"/api/gigs/{ok(made, 201)['id']}"))

    assert gig["description"] == gig["packages"][0]["description"] == "One\n\ntwo\tthree"
    assert gig["packages"][0]["features"] == ["One\n\ntwo\tthree"]
    assert ok(market.anyone.get("/api/gigs", params={"q": f"{line_end}website{line_end}"}))["total"] > 0


def test_a_body_with_other_line_ends_is_the_same_request(market: Market) -> None:
    key = {"idempotency-key": str(uuid4())}
    ids = {
        ok(market.seller.post("/api/gigs", json=a_gig(description=text), headers=key), 201)["id"]
        for text in ("One\ntwo", "One\r\ntwo", "One\rtwo\r\n")
    }
    assert len(ids) == 1
