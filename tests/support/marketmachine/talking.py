"""Rules of conversations: messages, files, marks of reading, blocks, and removal by an admin."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.support.marketmachine.machine import SELLERS, Machine
from tests.support.story import a_name, ok
from tests.support.talkmodel import File, Said, Talk

TALKERS = ("buyer", "seller", "other")
EVERYBODY = (*TALKERS, "stranger", "admin")


class Talking(Machine):
    """Three people write to each other; a stranger sees nothing of it, and an admin everything."""

    def prepare(self) -> list[str]:
        """Begin with a conversation of the buyer and a seller, and one of both sellers."""
        self.start("buyer", "seller", 0)
        self.start("seller", "other", 1)
        return super().prepare()

    @rule(who=st.sampled_from(TALKERS), owner=st.sampled_from(SELLERS), number=st.integers(0, 4))
    def start(self, who: str, owner: str, number: int) -> None:
        gig, text = self.gigs[owner][number].id, a_name("Hello")
        answer = self.call(who, "POST", "/api/conversations", json={"gigId": gig, "text": text})
        talk = self.talks.get(frozenset((who, owner)))
        if who == owner:
            assert answer.status_code == 403
        elif refusals := self.blocks.refusals(who, owner):
            assert (answer.status_code, answer.json()["code"]) in refusals
        else:
            made = ok(answer, 200 if talk else 201)
            if talk is None:
                talk = self.talks[frozenset((who, owner))] = Talk(made["id"], who, owner)
                self.ids[owner] = made["with"]["id"]
                self.ids[who] = made["lastMessage"]["from"]["id"]
            assert made["id"] == talk.id
            self.said(talk, Said(made["lastMessage"]["id"], who, text))

    @rule(data=st.data(), who=st.sampled_from(EVERYBODY), with_file=st.sampled_from(["", "", "own", "another's"]))
    def write(self, data: st.DataObject, who: str, with_file: str) -> None:
        talk = self.a_talk(data)
        kept = [file for file in self.files if file.is_kept(self.now) and (file.owner == who) == (with_file == "own")]
        if with_file == "own" and not kept and who in talk.sides:
            kept = [self.upload(who, a_name("file").encode())]
        files = [data.draw(st.sampled_from(kept))] if with_file and kept else []
        text = a_name("Well")
        body: dict[str, Any] = {"text": text, "fileIds": [file.id for file in files]}
        answer = self.call(who, "POST", f"/api/conversations/{talk.id}/messages", json=body)
        if who not in talk.sides:
            assert answer.status_code == (403 if who == "admin" else 404)
        elif refusals := self.blocks.refusals(who, talk.other(who)):
            foreign = {(404, "NOT_FOUND")} if files and with_file != "own" else set()
            assert (answer.status_code, answer.json()["code"]) in refusals | foreign
        elif files and with_file != "own":
            assert (answer.status_code, answer.json()["error"]) == (404, "File not found")
        else:
            made = ok(answer, 201)
            for file in files:
                file.readers |= set(talk.sides)
            self.said(talk, Said(made["id"], who, text, files))

    @rule(data=st.data(), who=st.sampled_from([*TALKERS, *EVERYBODY]))
    def mark(self, data: st.DataObject, who: str) -> None:
        talk = self.a_talk(data)
        index = data.draw(st.integers(0, len(talk.messages) - 1))
        path = f"/api/conversations/{talk.id}/read"
        answer = self.call(who, "POST", path, json={"messageId": talk.messages[index].id})
        if who not in talk.sides:
            assert answer.status_code == (403 if who == "admin" else 404)
            return
        talk.mark(who, index)
        self.touched_talks.add(talk.id)
        assert ok(answer)["unread"] == talk.unread(who)

    @rule(data=st.data(), who=st.sampled_from(["admin", "buyer"]))
    def remove(self, data: st.DataObject, who: str) -> None:
        talk = self.a_talk(data)
        message = data.draw(st.sampled_from(talk.messages))
        answer = self.call(who, "DELETE", f"/api/messages/{message.id}")
        if who != "admin":
            assert answer.status_code == 403
            return
        ok(answer, 204)
        gone = {file.id for file in message.files}
        message.remove()
        for other in (each for talk in self.talks.values() for each in talk.messages):
            other.files = [file for file in other.files if not file.is_removed]
        for order, model in self.known.items():
            if any(gone & set(files) for files in model.delivered):
                model.delivered = [[file for file in files if file not in gone] for files in model.delivered]
                self.touched.add(order)
        self.touched_talks |= {each.id for each in self.talks.values()}

    @rule(pair=st.permutations(TALKERS), is_block=st.booleans())
    def block(self, pair: list[str], is_block: bool) -> None:
        who, whom, _ = pair
        path = f"/api/blocks/{self.ids[whom]}"
        if is_block:
            assert ok(self.call(who, "PUT", path))["userId"] == self.ids[whom]
            self.blocks.pairs.add((who, whom))
        else:
            ok(self.call(who, "DELETE", path), 204)
            self.blocks.pairs.discard((who, whom))
        assert self.call(who, "PUT", f"/api/blocks/{self.ids[who]}").status_code == 400

    @precondition(lambda self: self.blocks.pairs)
    @rule()
    def unblock_all(self) -> None:
        for who, whom in self.blocks.pairs:
            ok(self.call(who, "DELETE", f"/api/blocks/{self.ids[whom]}"), 204)
        self.blocks.pairs.clear()

    @precondition(lambda self: self.files)
    @rule(data=st.data(), who=st.sampled_from(EVERYBODY))
    def fetch(self, data: st.DataObject, who: str) -> None:
        file: File = data.draw(st.sampled_from(self.files))
        if not file.is_removed and not file.is_kept(self.now):
            return
        answer = self.call(who, "GET", f"/api/files/{file.id}")
        if not file.is_removed and who in {file.owner, "admin"} | file.readers:
            assert (answer.status_code, answer.content) == (200, file.content)
        else:
            assert answer.status_code == 404

    @invariant()
    def conversations_are_as_the_model_says(self) -> None:
        for talk in self.talks.values():
            if talk.id in self.touched_talks:
                self._compare_talk(talk)
        self.touched_talks.clear()

    def teardown(self) -> None:
        """Check that the lists of conversations and blocks are whole."""
        for who in (*TALKERS, "stranger"):
            own = sorted((talk for talk in self.talks.values() if who in talk.sides), key=lambda talk: -talk.newest)
            shown = [(each["id"], each["unread"]) for each in self.rows(who, "/api/conversations")]
            assert shown == [(talk.id, talk.unread(who)) for talk in own]
            blocked = {self.ids[whom] for blocker, whom in self.blocks.pairs if blocker == who}
            assert {each["userId"] for each in self.rows(who, "/api/blocks")} == blocked
        super().teardown()

    def a_talk(self, data: st.DataObject) -> Talk:
        """Draw a conversation."""
        talks = {talk.id: talk for talk in self.talks.values()}
        # In the order of their starts: ids differ from run to run.
        return talks[data.draw(st.sampled_from(list(talks)))]

    def said(self, talk: Talk, said: Said) -> None:
        """Take a message into the model."""
        talk.messages.append(said)
        talk.newest = 1 + max(each.newest for each in self.talks.values())
        self.touched_talks.add(talk.id)

    def _compare_talk(self, talk: Talk) -> None:
        path = f"/api/conversations/{talk.id}"
        expected = [
            (each.id, each.text, [file.id for file in each.files], each.offer, each.is_removed)
            for each in reversed(talk.messages)
        ]
        for who in EVERYBODY:
            if who not in (*talk.sides, "admin"):
                assert [self.call(who, "GET", each).status_code for each in (path, f"{path}/messages")] == [404, 404]
                continue
            shown = [
                (
                    *(each["id"], each["text"], [file["fileId"] for file in each["files"]]),
                    *(each.get("offerId"), each.get("removed", False)),
                )
                for each in self.rows(who, f"{path}/messages")
            ]
            assert shown == expected
            conversation = ok(self.call(who, "GET", path))
            assert conversation["lastMessage"]["id"] == talk.messages[-1].id
            assert conversation.get("unread") == (talk.unread(who) if who in talk.sides else None)
