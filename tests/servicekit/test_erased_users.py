"""The tokens of users whose accounts are erased."""

from __future__ import annotations

import threading

import pytest

from servicekit.database import Database
from servicekit.erased_users import Accounts, ErasedUsers
from servicekit.errors import Unauthenticated
from servicekit.identity import USER_ROLES, Issuer, Verifier
from servicekit.signal_event import SignalEvent
from tests.support.identity import USER_AUDIENCE, USER_ISSUER, MemoryJwks, token, user_id

ANN, BOB = user_id("ann"), user_id("bob")


@pytest.fixture
def erased(gig_database: Database) -> ErasedUsers:
    return ErasedUsers(gig_database)


@pytest.fixture
def accounts(gig_database: Database) -> Accounts:
    return Accounts(gig_database)


def test_a_token_of_an_erased_user_is_a_bad_one_also_when_it_was_good_before(
    erased: ErasedUsers, accounts: Accounts
) -> None:
    verifier = Verifier([Issuer(USER_ISSUER, USER_AUDIENCE, MemoryJwks("user"), USER_ROLES)], erased)
    anns, bobs = (f"Bearer {token(name, 'seller')}" for name in ("ann", "bob"))
    assert verifier.caller(anns).id == ANN

    accounts.close(ANN)
    erased.load()

    with pytest.raises(Unauthenticated):
        verifier.caller(anns)
    with pytest.raises(Unauthenticated):
        verifier.caller(f"Bearer {token('ann', 'buyer')}")
    assert verifier.caller(bobs).id == BOB


def test_an_account_that_is_opened_again_is_taken_again(erased: ErasedUsers, accounts: Accounts) -> None:
    assert accounts.close(ANN)
    erased.load()

    assert accounts.open(ANN)
    erased.load()

    assert ANN not in erased
    assert not accounts.is_closed(ANN)


def test_closing_and_opening_twice_changes_nothing(erased: ErasedUsers, accounts: Accounts) -> None:
    assert not accounts.open(ANN)
    assert accounts.close(ANN)
    assert not accounts.close(ANN)
    erased.load()

    assert ANN in erased


def test_a_process_learns_of_every_account_that_others_close_at_the_same_time(
    gig_database: Database, erased: ErasedUsers
) -> None:
    users = [user_id(f"user {number}") for number in range(40)]

    def close(some: slice) -> None:
        for user in users[some]:
            Accounts(gig_database).close(user)
        gig_database.close()

    threads = [threading.Thread(target=close, args=(slice(number, None, 4),)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        # Between the commits: a number that became visible late would be missed for good.
        erased.load()
    erased.load()

    assert all(user in erased for user in users)


def test_the_first_load_waits_for_no_database_when_the_process_stops(erased: ErasedUsers) -> None:
    stop = SignalEvent()
    stop.set()

    erased.load_when_reachable(stop)

    assert ANN not in erased
