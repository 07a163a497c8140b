"""Which variables reach which process: no stack runs here."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local.environment import of_edge, of_service
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings

SHELL = {
    "PATH": "/bin",
    "HOME": "/home/ann",
    "TZ": "Asia/Tokyo",
    "https_proxy": "http://proxy.example",
    "NO_PROXY": "internal.example",
    "SSL_CERT_FILE": "/etc/ca.pem",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "S3_BUCKET": "pictures",
    "PGSSLROOTCERT": "/etc/pg.pem",
    "STRIPE_API_KEY": "sk",
    "STRIPE_WEBHOOK_SECRET": "whsec",
    "GITHUB_TOKEN": "token",
}
LIBRARIES = ("https_proxy", "NO_PROXY", "SSL_CERT_FILE", "AWS_SECRET_ACCESS_KEY", "PGSSLROOTCERT", "STRIPE_API_KEY")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "data")
    layout.create()
    return layout


def given(program: str, layout: Layout, **settings: str) -> set[str]:
    """Return the libraries' variables and secrets that a program gets."""
    own = of_service(program, StackSettings(**settings), layout, SHELL)  # type: ignore[arg-type]
    assert "GITHUB_TOKEN" not in own
    assert own["TZ"] == "Asia/Tokyo"
    return {name for name in LIBRARIES if name in own}


STRIPE = {"payments": "stripe", "stripe_api_key": "sk", "stripe_webhook_secret": "whsec"}
S3 = {"media_storage": "s3", "media_url": "https://pictures.example"}
ISSUER = {"user_jwks": "https://id.example/jwks", "user_jwt_issuer": "issuer", "user_jwt_audience": "audience"}
HTTP = {"https_proxy", "NO_PROXY", "SSL_CERT_FILE"}
# Receivers of webhooks are called without a proxy.
WEBHOOKS = {"SSL_CERT_FILE"}
WITH_KEYS = StackSettings(webhook_keys=SecretStr("one,two"), webhook_allow_private=True)


@pytest.mark.parametrize("program", ["gig", "gig-images", "order-events", "review"])
def test_a_process_that_asks_nobody_outside_gets_neither_proxies_nor_secrets(program: str, layout: Layout) -> None:
    assert given(program, layout) == set()


def test_the_service_that_sends_webhooks_gets_certificates_without_proxies_and_its_keys(layout: Layout) -> None:
    assert given("order", layout) == WEBHOOKS

    made, given_keys = (of_service("order", settings, layout, SHELL) for settings in (StackSettings(), WITH_KEYS))

    assert made["WEBHOOK_KEYS"] == (layout.data_dir / "keys" / "webhooks.keys").read_text().strip()
    assert (layout.data_dir / "keys" / "webhooks.keys").stat().st_mode & 0o077 == 0
    assert (given_keys["WEBHOOK_KEYS"], given_keys["WEBHOOK_ALLOW_PRIVATE"]) == ("one,two", "True")
    assert "WEBHOOK_KEYS" not in of_service("gig", WITH_KEYS, layout, SHELL)


def test_stripes_key_and_the_proxies_reach_the_service_that_asks_stripe_alone(layout: Layout) -> None:
    assert given("order", layout, **STRIPE) == {*HTTP, "STRIPE_API_KEY"}
    assert [given(program, layout, **STRIPE) for program in ("gig", "order-events", "review")] == [set()] * 3


def test_s3s_credentials_reach_the_processes_that_store_images_and_files_alone(layout: Layout) -> None:
    for program in ("gig", "gig-images", "order-events"):
        assert given(program, layout, **S3) == {*HTTP, "AWS_SECRET_ACCESS_KEY"}
    assert (given("order", layout, **S3), given("review", layout, **S3)) == (WEBHOOKS, set())


def test_proxies_reach_every_service_that_fetches_a_jwks(layout: Layout) -> None:
    assert [given(program, layout, **ISSUER) for program in ("gig", "order", "review")] == [HTTP] * 3


def test_libpqs_variables_reach_the_service_whose_database_is_elsewhere_alone(layout: Layout) -> None:
    elsewhere = {"review_database_url": "postgresql://db.example/reviews"}

    assert given("review", layout, **elsewhere) == {"PGSSLROOTCERT"}
    assert given("order", layout, **elsewhere) == WEBHOOKS


def test_envoy_has_no_settings_in_its_environment() -> None:
    assert of_edge(SHELL) == {"PATH": "/bin", "HOME": "/home/ann", "TZ": "Asia/Tokyo"}


def test_a_setting_in_lower_case_arrives_and_the_stacks_own_value_counts_more(layout: Layout) -> None:
    shell = {"order_abandon_days": "31", "service_jwks": "/tmp/other.json", "ORDER_DATABASE_URL": ""}

    own = of_service("order", StackSettings(), layout, shell)

    assert own["ORDER_ABANDON_DAYS"] == "31"
    assert own["SERVICE_JWKS"] == str(layout.data_dir / "keys" / "service.jwks.json")
    assert own["ORDER_DATABASE_URL"].startswith("postgresql://")
