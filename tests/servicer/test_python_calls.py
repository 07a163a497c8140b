"""How many Python functions an RPC calls: a measure of its cost that no busy machine changes.

The counts are in python_calls.json. An RPC may call a twentieth more than it says. After a change that is meant to cost
more, or one that costs less, write the file anew: `RENEW_CALLS=yes make test ARGS=tests/servicer/test_python_calls.py`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from marketplace.gig.v1 import gig_pb2
from servicekit.database import Database
from tests.support.gigs import Gigs
from tests.support.orderservice import OrderBackend
from tests.support.rpc import Answer
from tests.support.stack import ROOT

RECORDED = Path(__file__).with_name("python_calls.json")
TOLERANCE = 1.05
# Waits of threads for each other, whose number is chance.
_UNCOUNTED = (f"{os.sep}grpc", f"{os.sep}threading.py", f"{os.sep}concurrent{os.sep}", f"{ROOT}{os.sep}tests{os.sep}")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def calls_of(call: Callable[[], Answer]) -> int:
    """Return the number of functions that the handler of an RPC calls, after two that fill its caches."""
    for _ in range(2):
        assert not call().error
    count = 0

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        if event == "call" and not any(part in frame.f_code.co_filename for part in _UNCOUNTED):
            count += 1

    # For threads that start from now on: grpcio-testing starts one for each call.
    threading.setprofile(profile)
    try:
        assert not call().error
    finally:
        threading.setprofile(None)
    return count


def check(name: str, found: int) -> None:
    """Compare a count with the recorded one, or record it."""
    recorded: dict[str, dict[str, int]] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if os.environ.get("RENEW_CALLS"):
        recorded.setdefault(VERSION, {})[name] = found
        RECORDED.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")
    if VERSION not in recorded:
        pytest.skip(f"no counts are recorded for Python {VERSION}")
    allowed = recorded[VERSION][name]
    assert 0 < found <= allowed * TOLERANCE, f"{name} calls {found} functions, {allowed} are recorded: see {__doc__}"


def test_get_gig_calls_no_more_functions_than_recorded(gig_database: Database) -> None:
    gigs = Gigs(gig_database)
    gig_id = gigs.create()

    check("GetGig", calls_of(lambda: gigs.get(gig_id)))


def test_a_search_by_category_calls_no_more_functions_than_recorded(gig_database: Database) -> None:
    gigs = Gigs(gig_database)
    for _ in range(5):
        gigs.create()

    request = gig_pb2.SearchGigsRequest(category="web-dev")

    check("SearchGigs", calls_of(lambda: gigs.call(request, None)))


def test_placing_an_order_calls_no_more_functions_than_recorded(world: OrderBackend) -> None:
    world.offer_package()

    check("PlaceOrder", calls_of(world.place))
