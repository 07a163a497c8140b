"""The look-alikes of a test: the owner of things, and the viewer, who asks for them."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import grpc
import httpx
import psycopg2
from google.protobuf.message import Message

from deploy.local.postgres import database_url
from tests.support.eventually import eventually
from tests.support.look_alikes.person import Person
from tests.support.stack import Stack
from tests.support.story import Market, ok

T = TypeVar("T")

PAGE_TOKEN = re.compile(r'"nextPageToken": ?"([A-Za-z0-9_-]+)"')
HISTORIES = "SELECT * FROM order_events WHERE order_id = ANY (%s::uuid[]) ORDER BY order_id, version"
# Headers that differ between any two responses.
OF_ONE_RESPONSE = {"date", "x-request-id"}


class Pair:
    """An owner and a viewer among other people: `market` has a seller, whose `gig` both have ordered, and a buyer."""

    def __init__(self, stack: Stack, market: Market, gig: dict[str, Any], owner: Person, viewer: Person) -> None:
        self.stack = stack
        self.market = market
        self.gig = gig
        self.owner = owner
        self.viewer = viewer
        self._noted: dict[str, Any] = {}

    # What the viewer does.

    def ask(self, method: str, path: str, *, shows: Collection[str] = (), **options: Any) -> httpx.Response:
        """Send the viewer's request. Nothing of the owner's may be in the response, but for what `shows` names."""
        answer = self.viewer.client.request(method, path, **options)
        self.assert_hidden(f"{answer.headers.raw!r} {answer.text}", shows)
        return answer

    def assert_hidden(self, text: str, shows: Collection[str] = ()) -> None:
        """Refuse a text with a private mark of the owner's, also within a page token."""
        for token in PAGE_TOKEN.findall(text):
            text += urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("latin-1")
        text = text.lower()
        shown = {what for mark, what in self.owner.marks.items() if mark.lower() in text and mark not in shows}
        assert not shown, f"the viewer was shown {shown}: {text}"

    def hidden(self, method: str, path: str, *identities: str, **options: Any) -> None:
        """Ask for things of the owner's: each must be 404, to the letter as if it was not there.

        The path has `{}` for the id.
        """
        self.same_as_unknown(404, method, path, *identities, **options)

    def same_as_unknown(self, status: int, method: str, path: str, *identities: str, **options: Any) -> None:
        """Ask for things of the owner's: each response has this status, and is the same for an unknown id."""
        unknown = _comparable(self.ask(method, path.format(uuid4()), **options))
        for identity in identities:
            answer = self.ask(method, path.format(identity), **options)
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
            assert _comparable(answer) == unknown

    def same_as_unknown_body(self, status: int, path: str, field: str, identity: str, **body: str) -> None:
        """Post something of the owner's in a field of a body: the response has this status, as for an unknown id."""
        answers = [self.ask("POST", path, json={**body, field: each}) for each in (identity, str(uuid4()))]
        assert [answer.status_code for answer in answers] == [status, status], [answer.text for answer in answers]
        assert _comparable(answers[0]) == _comparable(answers[1])

    def forbidden(self, method: str, path: str, **options: Any) -> None:
        """Ask to change something that everyone may see: it must be 403."""
        answer = self.ask(method, path, **options)
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.json().keys() == {"error", "code"}

    def pages(self, path: str, **params: Any) -> list[Any]:
        """Return all rows of a list, three a page, as the viewer gets them."""
        rows: list[Any] = []
        while True:
            page = ok(self.ask("GET", path, params={**params, "pageSize": 3}))
            rows += page["results"]
            if "nextPageToken" not in page:
                return rows
            params["pageToken"] = page["nextPageToken"]

    def owners_page_token(self, path: str, **params: Any) -> str:
        """Return the page token of the owner's first page, with one row."""
        page = ok(self.owner.client.get(path, params={**params, "pageSize": 1}))
        assert page["nextPageToken"]
        return str(page["nextPageToken"])

    def refused_by_grpc(self, method: Callable[..., Any], request: Message, code: grpc.StatusCode) -> str:
        """Call an RPC as the viewer; it must end with this code. Return the error's text."""
        try:
            called = method(request, metadata=[("authorization", f"Bearer {self.viewer.token}")], timeout=10)
            answers = [called] if isinstance(called, Message) else list(called)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            told = f"{error.details()} {error.initial_metadata()} {error.trailing_metadata()}"
            self.assert_hidden(told)
            assert error.code() is code, told
            return str(error.details())
        raise AssertionError(f"the viewer was answered {answers}")

    # What the owner does.

    @contextmanager
    def owner_untouched(self) -> Iterator[None]:
        """Read everything of the owner's before and after: it must be the same."""
        self._note()
        yield
        self._compare()

    def let_owner_act(self, act: Callable[[], T]) -> T:
        """Do something that changes what the owner has. Return its value."""
        self._compare()
        value = act()
        self._note()
        return value

    def _note(self) -> None:
        self._noted = self._everything()

    def _everything(self) -> dict[str, Any]:
        # The histories as one statement: as a response of each order they were half of all requests.
        with closing(psycopg2.connect(database_url(self.stack.layout, "orders"))) as connection:
            cursor = connection.cursor()
            cursor.execute(HISTORIES, [self.owner.orders])
            return {**everything(self.owner, self.market), "histories of the orders": cursor.fetchall()}

    def _compare(self) -> None:
        now = self._everything()
        # What is new is in a list that has changed, but for deliveries, which come by themselves.
        changed = {path: (noted, now.get(path)) for path, noted in self._noted.items() if noted != now.get(path)}
        assert not changed, f"of the owner's: {changed}"


def everything(person: Person, market: Market) -> dict[str, Any]:
    """Return all that a person can read of their own, by path, but for the histories of orders."""
    paths = [
        *(f"/api/{name}?pageSize=100" for name in ("orders", "balance/entries", "payouts")),
        *(f"/api/gigs?sellerId={person.id}&status={status}" for status in ("ACTIVE", "PAUSED")),
        "/api/balance",
        f"/api/gigs/{person.gig['id']}/reviews",
    ]
    read = {path: ok(person.client.get(path)) for path in paths}
    for gig in (person.gig, *person.paused):
        answer = person.client.get(f"/api/gigs/{gig['id']}")
        read[f"/api/gigs/{gig['id']}"] = (answer.headers["etag"], ok(answer))
    hold = f"/api/sellers/{person.id}/payout-hold"
    read[hold] = market.admin.get(hold).json()
    if person.made:
        read["/api/offers"] = ok(person.client.get("/api/offers?pageSize=100"))
    if person.endpoint:
        read |= _webhooks(person)
    if person.conversation:
        paths = [
            "/api/conversations?pageSize=100",
            f"/api/conversations/{person.conversation}/messages?pageSize=100",
            "/api/blocks?pageSize=100",
        ]
        read |= {path: ok(person.client.get(path)) for path in paths}
    return read


def _webhooks(person: Person) -> dict[str, Any]:
    """Return the webhook endpoints of a person and their deliveries, when all that there are have been delivered."""
    path = f"/api/webhook-endpoints/{person.endpoint}/deliveries"

    def delivered() -> list[Any]:
        rows: list[Any] = ok(person.client.get(path, params={"pageSize": 100}))["results"]
        return rows if all(row["status"] == "DELIVERED" for row in rows) else []

    listed = "/api/webhook-endpoints"
    return {
        listed: ok(person.client.get(listed)),
        **{f"{path}/{row['id']}": row for row in eventually(delivered)},
    }


def _comparable(answer: httpx.Response) -> tuple[int, str, dict[str, str]]:
    headers = {name: value for name, value in answer.headers.items() if name not in OF_ONE_RESPONSE}
    return answer.status_code, answer.text, headers


def fields(value: Any, path: str = "") -> set[str]:
    """Return the paths of all fields: `seller.id`, `packages[].price`."""
    if isinstance(value, dict):
        below = [fields(each, f"{path}.{name}" if path else name) for name, each in value.items()]
    elif isinstance(value, list):
        below = [fields(each, f"{path}[]") for each in value]
    else:
        return {path}
    return set().union(*below)
