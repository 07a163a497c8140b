"""Conversations of the load: what two people write and mark at once, and its comparison with what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from tests.torture.filing import Files
from tests.torture.making import Maker
from tests.torture.retries import RetryingClient

SIDES = ("buyer", "seller")
# The most messages that a side writes in one go, and how often it sends a file with one.
MOST_MESSAGES = 4
WITH_FILE = 0.2
# The text of messages that a block keeps from being sent.
UNSAID = "Never said"


@dataclass(frozen=True)
class Said:
    """An acknowledged message: the role of its writer, and all that was sent. Texts are of one message each."""

    writer: str
    text: str
    files: tuple[str, ...] = ()
    order: str | None = None
    offer: str | None = None


class Talk:
    """The conversation of a buyer and a seller."""

    def __init__(self, maker: Maker, files: Files) -> None:
        self._maker = maker
        self._files = files
        self.id = ""
        self.ids: dict[str, str] = {}
        """The user ids of both sides."""
        self.said: list[Said] = []
        self.perhaps_said: list[Said] = []
        """Messages that were refused, whose first request may have been carried out later."""
        self.marked: dict[str, set[str]] = {side: set() for side in SIDES}
        """The messages that each side has marked; the newest one counts."""

    def start(self, gigs: list[str]) -> None:
        """Start it about each of these gigs at the same moment; all starts must be of one conversation."""
        with ThreadPoolExecutor(len(gigs)) as pool:
            answers = list(pool.map(self._start, gigs))
        statuses = sorted(answer.status_code for answer in answers)
        ids = {answer.json().get("id") for answer in answers}
        if statuses != [*[200] * (len(gigs) - 1), 201] or len(ids) != 1:
            self._maker.differences.append(f"one conversation, started at once: {statuses}, {ids}")
        self.id = str(answers[0].json()["id"])
        for side, other in (SIDES, SIDES[::-1]):
            self.ids[other] = self._maker.people[side].get(f"/api/conversations/{self.id}")["with"]["id"]

    def talk(self, order: str | None) -> None:
        """Let both sides write, perhaps about an order, and mark what they have read, all at once."""
        with ThreadPoolExecutor(2 * len(SIDES)) as pool:
            running = [pool.submit(self._write, side, order) for side in SIDES]
            running += [pool.submit(self._mark, side) for side in SIDES]
        for each in running:
            each.result()

    def block(self, package: str) -> None:
        """Let one side block the other for a moment; neither can write then, and the package cannot be ordered."""
        blocker, blocked = self._maker.random.sample(SIDES, 2)
        path = f"/api/blocks/{self.ids[blocked]}"
        self._maker.set(blocker, "PUT", path)
        self._maker.counts.add("blocks")
        refusals = {blocker: (409, "CONFLICT"), blocked: (403, "FORBIDDEN")}
        # With this card nothing is ordered either when a lost request is carried out after the block.
        order = {"packageId": package, "paymentMethod": "sandbox", "paymentToken": "sandbox_declined"}
        for side, path_, body in (
            *((side, self._path, {"text": UNSAID}) for side in SIDES),
            ("buyer", "/api/orders", order),
        ):
            answer = self._ask_in_vain(side, path_, body)
            if (answer.status_code, answer.json().get("code")) != refusals[side]:
                self._maker.differences.append(f"{path_} of the {side}, {blocked} is blocked: {answer.text}")
        self._maker.set(blocker, "DELETE", path)

    def _ask_in_vain(self, side: str, path: str, body: dict[str, Any]) -> httpx.Response:
        """Return the definite response to a request that is refused.

        One whose response is lost may be on its way still, and be carried out after the block.
        """
        person, headers = self._maker.people[side], {"idempotency-key": str(uuid4())}
        answer = person.once("POST", path, json=body, headers=headers)
        if answer is not None:
            return answer
        if "text" in body:
            self.perhaps_said.append(Said(side, UNSAID))
        return person.until_definite("POST", path, json=body, headers=headers)

    @property
    def _path(self) -> str:
        return f"/api/conversations/{self.id}/messages"

    def _start(self, gig: str) -> Any:
        said = Said("buyer", f"About {gig}, {uuid4().hex}")
        answer = self._maker.ask("buyer", "/api/conversations", {"gigId": gig, "text": said.text})
        self._acknowledge(said)
        return answer

    def _write(self, side: str, order: str | None) -> None:
        chance = self._maker.random
        for _ in range(chance.randrange(MOST_MESSAGES)):
            files = self._files.upload(side) if chance.random() < WITH_FILE else []
            about = order if chance.random() < 0.5 else None
            said = Said(side, uuid4().hex, tuple(files), about)
            body: dict[str, Any] = {"text": said.text, "fileIds": files} | ({"orderId": about} if about else {})
            if self._maker.make(side, self._path, body) is not None:
                self._files.sent(files)
                self._acknowledge(said)

    def _acknowledge(self, said: Said) -> None:
        self.said.append(said)
        self._maker.counts.add("messages")

    def _mark(self, side: str) -> None:
        """Mark one of the newest messages; a mark that is older than the last one changes nothing."""
        chance = self._maker.random
        page = self._maker.people[side].get(self._path, pageSize=5)["results"]
        message = chance.choice(page)["id"]
        self._maker.set(side, "POST", f"/api/conversations/{self.id}/read", {"messageId": message})
        self.marked[side].add(message)
        self._maker.counts.add("marks")


def wrong_talk(talk: Talk, people: Mapping[str, RetryingClient], stranger: RetryingClient) -> Iterator[str]:
    """Yield where a conversation differs from what was acknowledged, and where somebody else can see it."""
    path = f"/api/conversations/{talk.id}"
    messages = people["admin"].all(f"{path}/messages")
    there = Counter(map(_as_said(talk), messages))
    said = Counter(talk.said)
    unknown = there - said - Counter(talk.perhaps_said)
    if said - there or unknown:
        yield f"{path}: missing {said - there}; there and not acknowledged {unknown}"
    for side, other in (SIDES, SIDES[::-1]):
        if people[side].all(f"{path}/messages") != messages:
            yield f"{path}: the {side} reads other messages than an admin"
        unread = 0
        for message in messages:
            if message["id"] in talk.marked[side]:
                break
            unread += message["from"]["id"] == talk.ids[other]
        listed = people[side].all("/api/conversations")
        for place, shown in ((path, [people[side].get(path)]), ("the list", listed)):
            found = [(each["id"], each["unread"], each["lastMessage"]["id"]) for each in shown]
            if found != [(talk.id, unread, messages[0]["id"])]:
                yield f"{place} of the {side}: {found}; {unread} messages of {talk.id} are unread"
        if blocks := people[side].all("/api/blocks"):
            yield f"the {side} has ended all blocks, and there are {blocks}"
    for hidden in (path, f"{path}/messages"):
        answer = stranger.until_definite("GET", hidden)
        if answer.status_code != 404:
            yield f"{hidden} of a stranger: {answer.status_code} {answer.text}"
    if conversations := stranger.all("/api/conversations"):
        yield f"a stranger has conversations: {conversations}"


def _as_said(talk: Talk) -> Any:
    roles = {identity: role for role, identity in talk.ids.items()}

    def convert(message: dict[str, Any]) -> Said:
        files = tuple(file["fileId"] for file in message["files"])
        writer = roles.get(message["from"]["id"], message["from"]["id"])
        return Said(writer, message["text"], files, message.get("orderId"), message.get("offerId"))

    return convert
