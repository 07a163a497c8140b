"""The settings of OrderService, and the values with which it does not start."""

from __future__ import annotations

from datetime import timedelta

import pytest

from order_service.domain.attempt import AttemptLimits
from order_service.domain.lifecycle import Timeouts
from order_service.domain.payment import Provider
from order_service.domain.reminders import Leads
from order_service.settings import Settings
from servicekit.settings import load
from tests.support.orders import LEADS, TIMEOUTS
from tests.support.orderservice import WEBHOOK_KEY

GOOD = {
    "INTERNAL_TLS": "off",
    "LISTEN": "127.0.0.1:1",
    "METRICS_LISTEN": "127.0.0.1:2",
    "USER_JWKS": "user.json",
    "USER_JWT_ISSUER": "me",
    "USER_JWT_AUDIENCE": "you",
    "SERVICE_JWKS": "service.json",
    "SERVICE_SIGNING_KEY": "service.pem",
    "ORDER_DATABASE_URL": "postgresql:///orders",
    "GIG_SERVICE_ADDRESSES": "127.0.0.1:3,127.0.0.1:4",
    "PAYMENTS": "sandbox",
    "SANDBOX_DATABASE_URL": "postgresql:///sandbox",
    "STRIPE_API_KEY": "sk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "WEBHOOK_KEYS": WEBHOOK_KEY,
}

WORKERS_THAT_NOBODY_FINDS = ("marketplace-gig", "gig-0.example:1,gig-1.example:1", "127.0.0.1:1,gig.example:1")

LEAD_NAMES = ("ORDER_EXPIRING_HOURS", "ORDER_DUE_SOON_HOURS", "ORDER_AUTO_COMPLETING_HOURS")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    for name in ("CURRENCY", "ORDER_EXPIRE_HOURS", "ORDER_AUTO_COMPLETE_HOURS", "ORDER_ABANDON_DAYS", *LEAD_NAMES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_info:
        load(Settings)
    assert exit_info.value.code == 2
    return capsys.readouterr().err


def test_the_currency_is_the_us_dollar_unless_set(environment: pytest.MonkeyPatch) -> None:
    assert load(Settings).currency == "USD"
    environment.setenv("CURRENCY", "EUR")
    assert load(Settings).currency == "EUR"


@pytest.mark.parametrize("provider", Provider)
def test_the_payments_setting_names_the_provider(environment: pytest.MonkeyPatch, provider: Provider) -> None:
    environment.setenv("PAYMENTS", provider)

    assert load(Settings).payments is provider


def test_without_payments_the_service_does_not_start(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("PAYMENTS")

    assert refusal(capsys).startswith("PAYMENTS: ")


@pytest.mark.parametrize("value", ["", "paypal", "Stripe"])
def test_with_unknown_payments_the_service_does_not_start(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    environment.setenv("PAYMENTS", value)

    message = refusal(capsys)

    assert message.startswith("PAYMENTS: ")
    assert "'stripe' or 'sandbox'" in message


@pytest.mark.parametrize(
    ("provider", "names"),
    [("sandbox", ["SANDBOX_DATABASE_URL"]), ("stripe", ["STRIPE_API_KEY"]), ("stripe", ["STRIPE_WEBHOOK_SECRET"])],
)
def test_a_missing_setting_of_the_provider_is_named_and_no_secret_is_shown(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], provider: str, names: list[str]
) -> None:
    environment.setenv("PAYMENTS", provider)
    for name in names:
        environment.delenv(name)

    message = refusal(capsys)

    assert message == f"PAYMENTS={provider} needs {' and '.join(names)}\n"


@pytest.mark.parametrize("value", ["-1", "100.01", "a tenth", "7.125"])
def test_an_invalid_commission_is_refused(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert load(Settings).commission_percent == 10
    environment.setenv("COMMISSION_PERCENT", value)

    assert refusal(capsys).startswith("COMMISSION_PERCENT: ")


@pytest.mark.parametrize("value", ["JPY", "KWD", "dollars"])
def test_a_currency_with_other_than_two_decimals_is_refused(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    environment.setenv("CURRENCY", value)

    assert refusal(capsys).startswith("CURRENCY: ")


def test_the_timeouts_are_the_contracts_unless_set(environment: pytest.MonkeyPatch) -> None:
    assert load(Settings).timeouts == TIMEOUTS
    environment.setenv("ORDER_EXPIRE_HOURS", "24")
    environment.setenv("ORDER_AUTO_COMPLETE_HOURS", "240")
    environment.setenv("ORDER_ABANDON_DAYS", "60")
    assert load(Settings).timeouts == Timeouts(
        answer=timedelta(days=1), approval=timedelta(days=10), overdue=timedelta(days=60)
    )


@pytest.mark.parametrize("name", ["ORDER_EXPIRE_HOURS", "ORDER_AUTO_COMPLETE_HOURS", "ORDER_ABANDON_DAYS"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", "9000"])
def test_an_invalid_timeout_is_refused(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment.setenv(name, value)

    assert refusal(capsys).startswith(f"{name}: ")


def test_the_answer_timeout_is_shorter_than_an_authorization(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("ORDER_EXPIRE_HOURS", "145")

    assert refusal(capsys).startswith("ORDER_EXPIRE_HOURS: ")


def test_the_leads_of_reminders_are_the_contracts_unless_set(environment: pytest.MonkeyPatch) -> None:
    assert load(Settings).leads == LEADS
    for name, hours in zip(LEAD_NAMES, ("0", "1", "8760"), strict=True):
        environment.setenv(name, hours)
    assert load(Settings).leads == Leads(timedelta(0), timedelta(hours=1), timedelta(days=365))


@pytest.mark.parametrize("name", LEAD_NAMES)
@pytest.mark.parametrize("value", ["-1", "soon", "0.5", "9000"])
def test_an_invalid_lead_is_refused(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment.setenv(name, value)

    assert refusal(capsys).startswith(f"{name}: ")


def test_a_placing_ends_after_an_hour_and_a_confirmation_after_fifteen_minutes_unless_set(
    environment: pytest.MonkeyPatch,
) -> None:
    assert load(Settings).attempt_limits == AttemptLimits(timedelta(hours=1), timedelta(minutes=15))
    environment.setenv("PAYMENT_ATTEMPT_MINUTES", "10")
    environment.setenv("PAYMENT_CONFIRMATION_MINUTES", "5")
    assert load(Settings).attempt_limits == AttemptLimits(timedelta(minutes=10), timedelta(minutes=5))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAYMENT_ATTEMPT_MINUTES", "0"),
        ("PAYMENT_ATTEMPT_MINUTES", "1201"),
        ("PAYMENT_CONFIRMATION_MINUTES", "soon"),
        ("PAYMENT_CALLS", "0"),
    ],
)
def test_an_invalid_setting_of_payment_calls_is_refused(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    environment.setenv(name, value)

    assert refusal(capsys).startswith(f"{name}: ")


def test_the_first_of_the_webhook_keys_encrypts_and_more_may_follow(environment: pytest.MonkeyPatch) -> None:
    other = WEBHOOK_KEY.replace("M", "N")
    environment.setenv("WEBHOOK_KEYS", f"{other}, {WEBHOOK_KEY}")

    assert load(Settings).webhook_key_list == [other, WEBHOOK_KEY]
    assert not load(Settings).webhook_allow_private


@pytest.mark.parametrize("value", ["", "hush-hush", "aHVzaC1odXNo", f"{WEBHOOK_KEY},hush-hush"])
def test_a_wrong_webhook_key_is_refused_and_not_shown(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    environment.setenv("WEBHOOK_KEYS", value)

    message = refusal(capsys)

    assert message == "WEBHOOK_KEYS: each key must be 32 random bytes in URL-safe base64\n"


def test_without_webhook_keys_the_service_does_not_start(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("WEBHOOK_KEYS")

    assert refusal(capsys).startswith("WEBHOOK_KEYS: ")


@pytest.mark.parametrize("addresses", ["127.0.0.1:1", "127.0.0.1:1,127.0.0.2:1", "marketplace-gig.shop.svc:10000"])
def test_workers_are_addresses_or_one_name(environment: pytest.MonkeyPatch, addresses: str) -> None:
    environment.setenv("GIG_SERVICE_ADDRESSES", addresses)

    assert load(Settings).gig_service_addresses == addresses


@pytest.mark.parametrize("addresses", WORKERS_THAT_NOBODY_FINDS)
def test_several_names_are_no_workers(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], addresses: str
) -> None:
    environment.setenv("GIG_SERVICE_ADDRESSES", addresses)

    with pytest.raises(SystemExit, match="2"):
        load(Settings)

    assert "GIG_SERVICE_ADDRESSES: " in capsys.readouterr().err
