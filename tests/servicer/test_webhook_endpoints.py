"""WebhookService: endpoints, whose they are, and the lists of their deliveries."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import chain

import pytest

from order_service.commands.create_webhook_endpoint import CreateWebhookEndpoint
from order_service.commands.encrypt_webhook_secrets import EncryptWebhookSecrets
from order_service.domain.feed import PUBLIC_TYPES
from order_service.domain.webhook import MAX_WAITING
from order_service.store.webhook_endpoints import DISABLE_OVERFULL
from order_service.webhooks.resolver import Resolver
from order_service.webhooks.secrets import SecretBox
from order_service.webhooks.sender import Sender
from servicekit.database import Database, Statement
from servicekit.errors import InvalidArgument
from servicekit.ids import new_id
from tests.support import webhooks
from tests.support.at_once import closing
from tests.support.identity import a_caller, token, user_id
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, WEBHOOK_KEY, OrderBackend
from tests.support.standins import GigStandIn, serving

ROWS = Statement("SELECT * FROM webhook_endpoints")
COUNTS = Statement("""
    SELECT (SELECT count(*) FROM webhook_endpoints) AS endpoints,
        (SELECT count(*) FROM webhook_deliveries) AS deliveries
""")

ADD_WAITING = Statement("""
    INSERT INTO webhook_deliveries (endpoint_id, event_id, created_at, next_at)
    SELECT $1, gen_random_uuid(), now, now FROM app_now() AS now, generate_series(1, $2::integer)
""")


@pytest.fixture
def world(order_database: Database, sandbox_database: Database) -> Iterator[OrderBackend]:
    """Yield an OrderService worker with the settings of a deployment: webhooks go to public addresses alone."""
    gigs = GigStandIn()
    with serving(gigs) as address:
        yield OrderBackend(order_database, sandbox_database, gigs, address)


def test_a_new_endpoint_has_a_secret_that_is_shown_once_and_encrypted_at_rest(world: OrderBackend) -> None:
    answer = webhooks.create(world, types=["order.placed", "payout.paid", "order.placed"])
    created = answer.response

    assert created.secret.startswith("whsec_")
    assert list(created.types) == ["order.placed", "payout.paid"]
    read = webhooks.get(world, created.id).response.endpoint
    assert (read.id, read.url, list(read.types), read.status, read.created_at) == (
        created.id,
        "https://93.184.216.34/hook",
        ["order.placed", "payout.paid"],
        created.status,
        created.created_at,
    )
    assert "secret" not in read.DESCRIPTOR.fields_by_name
    (row,) = world.database.fetch_all(ROWS)
    assert created.secret not in str(row) and created.secret.removeprefix("whsec_") not in str(row)


def test_each_wrong_field_is_named_all_at_once(world: OrderBackend) -> None:
    answer = webhooks.create(world, "http://127.0.0.1/", types=["order.placed", "order.lost", "message.sent", "x"])

    assert (answer.http_status, answer.error) == (400, "INVALID_ARGUMENT")
    assert answer.body["details"] == [
        {"field": "url", "message": "must begin with https://"},
        {"field": "types[1]", "message": "is no type of event"},
        {"field": "types[3]", "message": "is no type of event"},
    ]
    assert world.database.fetch_all(ROWS) == []


@pytest.mark.parametrize("url", ["", "https://localhost/", "https://10.0.0.1/", "https://[::1]/", "x" * 2001])
def test_a_url_that_may_not_be_called_is_refused(world: OrderBackend, url: str) -> None:
    assert [each["field"] for each in webhooks.create(world, url).body["details"]] == ["url"]


def test_every_type_may_be_asked_for(world: OrderBackend) -> None:
    assert webhooks.create(world, types=sorted(PUBLIC_TYPES)).error == ""


def test_a_user_has_ten_endpoints_also_when_they_are_made_at_once(world: OrderBackend) -> None:
    makes = [closing(world.database, partial(webhooks.create, world.another_worker())) for _ in range(14)]
    with ThreadPoolExecutor(14) as pool:
        answers = [each.result(60) for each in [pool.submit(make) for make in makes]]

    assert sorted(answer.error for answer in answers) == [""] * 10 + ["LIMIT_REACHED"] * 4
    refused = webhooks.create(world)
    assert (refused.http_status, refused.error) == (409, "LIMIT_REACHED")
    assert webhooks.create(world, sent_token=SELLER).error == ""
    webhooks.delete(world, webhooks.listed(world)[3])
    assert webhooks.create(world).error == ""


def test_the_tenth_endpoint_waits_for_one_that_is_being_made(world: OrderBackend) -> None:
    for _ in range(9):
        webhooks.create(world)
    make = closing(world.database, partial(webhooks.create, world.another_worker()))

    with ThreadPoolExecutor(1) as pool:
        with world.store.transaction("a test's"):
            assert world.store.webhook_endpoints.lock_owner(user_id("happy_buyer")) == 9
            waiting = pool.submit(make)
            wait_for_a_lock_waiter(world.database)
            # As in a creation that has taken the lock first.
            world.store.webhook_endpoints.add(
                new_id(),
                user_id("happy_buyer"),
                is_admin=False,
                url="https://93.184.216.34/",
                types=(),
                secret="encrypted",
                secret_key="key",
            )
        assert waiting.result(30).error == "LIMIT_REACHED"


def test_the_list_has_the_callers_own_endpoints_newest_first(world: OrderBackend) -> None:
    own = [webhooks.create(world).response.id for _ in range(3)]
    webhooks.create(world, sent_token=SELLER)

    assert webhooks.listed(world) == own[::-1]
    assert webhooks.listed(world, STRANGER) == webhooks.listed(world, ADMIN) == []


def test_a_stranger_finds_nothing_of_anothers_endpoint(world: OrderBackend) -> None:
    endpoint = webhooks.create(world).response.id
    world.placed()
    (delivery,) = webhooks.deliveries(world, endpoint)

    for stranger in (STRANGER, SELLER):
        for answer in (
            webhooks.get(world, endpoint, stranger),
            webhooks.deliveries_page(world, endpoint, stranger),
            webhooks.retry(world, endpoint, delivery.id, stranger),
            webhooks.delete(world, endpoint, stranger),
        ):
            assert answer.body == {"error": "Webhook endpoint not found", "code": "NOT_FOUND"}
    own = webhooks.create(world, sent_token=STRANGER).response.id
    assert webhooks.retry(world, own, delivery.id, STRANGER).body["error"] == "Webhook delivery not found"
    assert webhooks.get(world, endpoint).error == ""


@pytest.mark.parametrize("call", [webhooks.get, webhooks.delete, webhooks.deliveries_page])
def test_an_unknown_endpoint_is_not_found_and_nobody_is_unauthorized(world: OrderBackend, call: object) -> None:
    assert callable(call)
    assert call(world, str(new_id())).error == "NOT_FOUND"
    assert call(world, str(new_id()), None).error == "UNAUTHORIZED"
    assert webhooks.create(world, sent_token=None).error == "UNAUTHORIZED"


def test_an_admin_reads_retries_and_deletes_everyones(world: OrderBackend) -> None:
    endpoint = webhooks.create(world).response.id
    world.placed()

    (delivery,) = webhooks.deliveries(world, endpoint, ADMIN)
    assert webhooks.get(world, endpoint, ADMIN).error == ""
    assert webhooks.retry(world, endpoint, delivery.id, ADMIN).response.delivery.id == delivery.id
    assert webhooks.delete(world, endpoint, ADMIN).error == ""
    assert webhooks.get(world, endpoint).error == "NOT_FOUND"


def test_a_deleted_endpoint_is_gone_with_its_deliveries_and_gets_no_more(world: OrderBackend) -> None:
    endpoint = webhooks.create(world).response.id
    order = world.placed()
    (delivery,) = webhooks.deliveries(world, endpoint)

    assert webhooks.delete(world, endpoint).error == ""

    for answer in (
        webhooks.get(world, endpoint),
        webhooks.delete(world, endpoint),
        webhooks.deliveries_page(world, endpoint),
        webhooks.retry(world, endpoint, delivery.id),
    ):
        assert answer.error == "NOT_FOUND"
    world.act("accept", order, SELLER)
    assert world.database.fetch_all(COUNTS) == [{"endpoints": 1, "deliveries": 1}]
    assert "93.184" not in str(world.database.fetch_all(ROWS))
    world.deliver_outbox()
    assert webhooks.outbox(world) == []
    world.clock.travel(timedelta(minutes=6))
    world.worker.webhook_sweep.sweep()
    assert world.database.fetch_all(COUNTS) == [{"endpoints": 0, "deliveries": 0}]


def test_deliveries_are_paged_newest_first_and_kept_for_thirty_days(world: OrderBackend) -> None:
    endpoint, other = (webhooks.create(world, sent_token=who).response.id for who in (BUYER, ADMIN))
    orders = []
    for _ in range(5):
        orders.append(world.placed())
        world.clock.travel(timedelta(hours=1))

    pages, token_of_page = [], ""
    while True:
        page = webhooks.deliveries_page(world, endpoint, page_size=2, page_token=token_of_page).response
        pages.append([each.id for each in page.results])
        if not page.HasField("next_page_token"):
            break
        token_of_page = page.next_page_token

    assert [len(page) for page in pages] == [2, 2, 1]
    assert list(chain(*pages)) == [each.id for each in webhooks.deliveries(world, endpoint)]
    foreign = webhooks.deliveries_page(world, other, ADMIN, page_size=2, page_token=token_of_page)
    assert foreign.body["details"][0]["field"] == "pageToken"
    world.clock.travel(timedelta(days=29, hours=19, minutes=30))
    world.worker.webhook_sweep.sweep()
    assert [each.id for each in webhooks.deliveries(world, endpoint)] == list(chain(*pages))[:4]


def test_an_endpoint_with_more_than_ten_thousand_waiting_deliveries_is_disabled_and_gets_no_more(
    world: OrderBackend,
) -> None:
    full, other, admins = (webhooks.create(world, sent_token=who).response.id for who in (BUYER, SELLER, ADMIN))
    for endpoint in (full, other):
        world.database.fetch_all(ADD_WAITING, endpoint, MAX_WAITING)
    # An admin's endpoint gets all events, and has a backlog after a short outage.
    world.database.fetch_all(ADD_WAITING, admins, MAX_WAITING + 1)
    world.worker.webhook_sweep.sweep()
    assert webhooks.status(world, full) == "ENABLED"

    world.database.fetch_all(ADD_WAITING, full, 1)
    world.worker.webhook_sweep.sweep()
    world.placed()

    assert webhooks.status(world, full) == "DISABLED"
    assert [webhooks.status(world, other, SELLER), webhooks.status(world, admins, ADMIN)] == ["ENABLED", "ENABLED"]
    # The new order is an event of the other two.
    counts = world.database.fetch_all(COUNTS)[0]["deliveries"]
    assert counts == (MAX_WAITING + 1) + (MAX_WAITING + 1) + (MAX_WAITING + 2)


def test_waiting_deliveries_are_counted_by_an_index(world: OrderBackend) -> None:
    world.store.webhook_endpoints.disable_overfull(MAX_WAITING)
    world.database.execute("SET enable_seqscan = off")
    with world.database.peewee.connection().cursor() as cursor:
        cursor.execute(f"EXPLAIN EXECUTE {DISABLE_OVERFULL.name} (%s)", (MAX_WAITING,))
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "webhook_deliveries_waiting" in plan


def test_a_new_first_key_encrypts_the_stored_secrets_anew(world: OrderBackend) -> None:
    new_key = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE="
    secrets = {created.id: created.secret for created in (webhooks.create(world).response for _ in range(3))}

    for _ in range(2):
        EncryptWebhookSecrets(world.store, SecretBox([new_key, WEBHOOK_KEY])).execute()

    box = SecretBox([new_key])
    assert {str(row["id"]): box.decrypt(row["secret"]) for row in world.database.fetch_all(ROWS)} == secrets
    # Nothing is lost by a worker that does not know the key.
    EncryptWebhookSecrets(world.store, SecretBox([WEBHOOK_KEY])).execute()
    assert {str(row["id"]): box.decrypt(row["secret"]) for row in world.database.fetch_all(ROWS)} == secrets


def test_an_endpoint_of_somebody_else_with_the_same_name_is_not_mine(world: OrderBackend) -> None:
    endpoint = webhooks.create(world).response.id
    twin = token("happy_buyer", "buyer", sub=str(new_id()))

    assert webhooks.listed(world, twin) == []
    assert webhooks.get(world, endpoint, twin).error == "NOT_FOUND"


def test_slow_name_servers_hold_two_calls_of_a_worker_at_most(
    order_database: Database, sandbox_database: Database
) -> None:
    """The others are taken without a look-up, which each call to the URL makes anyway."""
    asked, answers = threading.Semaphore(0), threading.Event()

    def slow(host: str, port: int) -> list[str]:
        asked.release()
        answers.wait(30)
        return ["127.0.0.1"]

    gigs, sender = GigStandIn(), Sender(Resolver(slow), allow_private=False)
    with serving(gigs) as address, ThreadPoolExecutor(2) as pool:
        world = OrderBackend(order_database, sandbox_database, gigs, address, sender=sender)
        create = CreateWebhookEndpoint(world.store, sender, SecretBox([WEBHOOK_KEY]))
        work = closing(order_database, partial(create.execute, "https://a.example/", (), a_caller("a", "buyer")))
        waiting = [pool.submit(work) for _ in range(2)]
        assert asked.acquire(timeout=30) and asked.acquire(timeout=30)

        assert create.execute("https://b.example/", (), a_caller("b", "buyer")).endpoint.url == "https://b.example/"

        assert not asked.acquire(blocking=False)
        answers.set()
        for each in waiting:
            with contextlib.suppress(InvalidArgument):
                each.result(30)
