"""A wrong setting is named; nothing starts."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.local.settings import StackSettings, explain

ROOT = Path(__file__).resolve().parents[2]


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        StackSettings()
    return explain(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "10066"),
        ("EDGE_HOST", "everywhere"),
        ("GIG_WORKERS", "8"),
        ("ORDER_WORKERS", "0"),
        ("REVIEW_WORKERS", "two"),
        ("CURRENCY", "dollars"),
        ("PAYMENTS", "cash"),
        ("PUBLIC_URL", "market.example"),
        ("MEDIA_STORAGE", "tape"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    lines = problems(monkeypatch, **{name: value})

    assert len(lines) == 1
    assert lines[0].startswith(f"{name}={value}: ")


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = problems(monkeypatch, PORT="x", GIG_WORKERS="y")

    assert [line.split("=")[0] for line in lines] == ["PORT", "GIG_WORKERS"]


def test_another_issuers_keys_need_its_name_and_audience(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = problems(monkeypatch, USER_JWKS="https://id.example/jwks")

    assert lines == ["USER_JWKS, USER_JWT_ISSUER and USER_JWT_AUDIENCE go together: set all three or none"]


def test_pictures_are_found_at_the_edge_unless_another_place_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert StackSettings().media_base == "http://127.0.0.1:8080/media"

    monkeypatch.setenv("PUBLIC_URL", "https://market.example/")
    assert StackSettings().media_base == "https://market.example/media"

    monkeypatch.setenv("MEDIA_URL", "https://cdn.example/pictures")
    assert StackSettings().media_base == "https://cdn.example/pictures"


def test_pictures_in_s3_need_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, MEDIA_STORAGE="s3") == [
        "MEDIA_STORAGE=s3 needs MEDIA_URL, where clients find the bucket's files"
    ]


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in StackSettings.model_fields:
        monkeypatch.setenv(name.upper(), "")

    settings = StackSettings()

    assert settings.port == 8080
    assert settings.embedded_postgres


def test_the_embedded_database_runs_until_every_service_has_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("gig", "order"):
        monkeypatch.setenv(f"{service.upper()}_DATABASE_URL", "postgresql://db.example/x")
    assert StackSettings().embedded_postgres

    monkeypatch.setenv("REVIEW_DATABASE_URL", "postgresql://db.example/x")
    # The sandbox's book is one of the databases, where payments are the sandbox's.
    assert StackSettings().embedded_postgres
    monkeypatch.setenv("SANDBOX_DATABASE_URL", "postgresql://db.example/x")
    assert not StackSettings().embedded_postgres

    monkeypatch.delenv("SANDBOX_DATABASE_URL")
    for name in ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PAYMENTS", "stripe")

    assert not StackSettings().embedded_postgres


@pytest.mark.parametrize("missing", ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"])
def test_stripe_without_its_keys_is_named_and_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("PAYMENTS", "stripe")
    for name in {"STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"} - {missing}:
        monkeypatch.setenv(name, "sk_secret")

    with pytest.raises(ValidationError) as refusal:
        StackSettings()

    assert explain(refusal.value) == ["PAYMENTS=stripe needs STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("[::]", "http://[::1]:8080"),
    ],
)
def test_the_edge_is_reached_on_an_address_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, host: str, url: str
) -> None:
    monkeypatch.setenv("EDGE_HOST", host)

    assert StackSettings().edge_url == url


def test_with_a_certificate_every_url_of_the_edge_is_https(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TLS_CERTIFICATE", "TLS_PRIVATE_KEY"):
        monkeypatch.setenv(name, "certificate.pem")

    assert StackSettings().edge_url == "https://127.0.0.1:8080"
    assert StackSettings().media_base == "https://127.0.0.1:8080/media"


@pytest.mark.parametrize("name", ["TLS_CERTIFICATE", "TLS_PRIVATE_KEY"])
def test_a_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    lines = problems(monkeypatch, **{name: "certificate.pem"})

    assert lines == ["TLS_CERTIFICATE and TLS_PRIVATE_KEY go together: set both or none"]


def test_every_setting_is_described() -> None:
    undescribed = [name for name, field in StackSettings.model_fields.items() if not field.description]

    assert undescribed == []


def test_the_command_ends_with_2_and_no_traceback() -> None:
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "PORT": "eighty"}

    ended = subprocess.run(
        [sys.executable, "-m", "deploy.local.run"], env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith("Cannot start: PORT=eighty: ")
    assert ended.stderr.count("\n") == 1
