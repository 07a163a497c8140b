"""The archive and the erasure of a user who has talked with others: what goes, and what the others keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from order_service.files.storage import FILES
from order_service.payments.sandbox.erasure import SandboxErasure
from order_service.personal_data import OrderUserData
from servicekit.database import Database
from servicekit.ids import new_id
from servicekit.progress import Progress
from servicekit.storage.folder import FolderStorage
from tests.support import talks
from tests.support.identity import token, user_id
from tests.support.orderservice import ADMIN, BUYER, SELLER, OrderBackend

BUYER_ID, SELLER_ID = user_id("happy_buyer"), user_id("webdev_pro")


@pytest.fixture
def data(world: OrderBackend, sandbox_database: Database, tmp_path: Path) -> OrderUserData:
    return OrderUserData(world.database, FolderStorage(tmp_path, FILES), SandboxErasure(sandbox_database))


def talked(world: OrderBackend) -> str:
    """Have both sides write, and block somebody. Return the conversation's id."""
    conversation_id = talks.started(world, "I am Bob")
    talks.sent(world, conversation_id, "I am Ann", SELLER)
    for caller in (BUYER, SELLER):
        talks.block(world, "somebody", caller)
    return conversation_id


def erase(data: OrderUserData, user: str) -> dict[str, int]:
    """Erase a user. Return what was done."""
    return {name: rows for name, rows in data.erase(user_id(user), [], Progress()) if rows}


def test_an_archive_has_the_whole_conversation_and_the_own_name_and_blocks(
    world: OrderBackend, data: OrderUserData, tmp_path: Path
) -> None:
    conversation_id = talked(world)
    talks.started(world, "Of somebody else", token("another_buyer", "buyer"))

    archive = {name: [json.loads(row) for row in rows] for name, rows in data.archive(BUYER_ID, [], tmp_path)}

    assert archive["name"] == [{"username": "happy_buyer"}]
    assert [row["id"] for row in archive["conversations"]] == [conversation_id]
    assert [(row["from_id"], row["text"]) for row in archive["messages"]] == [
        (str(BUYER_ID), "I am Bob"),
        (str(SELLER_ID), "I am Ann"),
    ]
    assert [row["blocked_id"] for row in archive["blocks"]] == [str(user_id("somebody"))]


@pytest.mark.parametrize(
    ("user", "other", "texts"), [("happy_buyer", SELLER, ["I am Ann", ""]), ("webdev_pro", BUYER, ["", "I am Bob"])]
)
def test_an_erased_user_leaves_the_other_side_its_own_messages(
    world: OrderBackend, data: OrderUserData, user: str, other: str, texts: list[str]
) -> None:
    conversation_id = talked(world)
    before = len(talks.blocks(world, other).response.results)

    done = erase(data, user)

    assert done == {"name": 1, "messages_written": 1, "blocks": 1, "limits": 2 if user == "happy_buyer" else 1}
    assert talks.texts(world, conversation_id, other) == texts
    shown = talks.get(world, conversation_id, other).response.conversation
    assert (getattr(shown, "with").id, getattr(shown, "with").username) == (str(user_id(user)), "")
    assert len(talks.blocks(world, other).response.results) == before
    assert erase(data, user) == {}


def test_an_erased_user_is_not_named_in_the_answers_that_others_can_have_again(
    world: OrderBackend, data: OrderUserData
) -> None:
    talks.offer_gig(world)
    first = talks.start(world, key="k").response
    sent = talks.send(world, first.conversation.id, "Hello again", key="k").response

    assert erase(data, "webdev_pro")["responses_to_others"] == 1

    repeated = talks.start(world, key="k").response
    assert (getattr(repeated.conversation, "with").username, repeated.is_new) == ("", True)
    assert repeated.conversation.last_message == first.conversation.last_message
    assert talks.send(world, first.conversation.id, "Hello again", key="k").response == sent


def test_the_erased_texts_are_in_nothing_that_an_admin_reads(world: OrderBackend, data: OrderUserData) -> None:
    conversation_id = talked(world)
    talks.offer_gig(world, str(new_id()), "webdev_pro")
    erase(data, "happy_buyer")

    seen = f"{talks.get(world, conversation_id, ADMIN)} {talks.messages(world, conversation_id, ADMIN)}"

    assert "Bob" not in seen and "happy_buyer" not in seen
    assert "I am Ann" in seen
