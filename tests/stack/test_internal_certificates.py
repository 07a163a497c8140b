"""The certificates in DATA_DIR/tls: made by the local authority or copied, whose they are, and renewed in time."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local import internal_tls
from deploy.local.internal_tls import IDENTITIES, LIFETIME, RENEW_BEFORE, InternalCertificates, check, store
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings
from servicekit.authority import Authority
from servicekit.internal_tls import AUTHORITIES, CERTIFICATE, DEVELOPER, PRIVATE_KEY, InternalTlsError, read
from tests.support.authority import DAY, ago, serial_in, write_identity

OWNERS = {"gig": 65530, "gig-images": 65530, "order": 65531, "order-events": 65531, "review": 65532, "edge": 65533}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.of(tmp_path / "data")
    made.create()
    return made


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internal_tls, "_LOOK_SECONDS", 0)


def certificates(layout: Layout, **settings: object) -> InternalCertificates:
    return InternalCertificates(StackSettings(**settings), layout)  # type: ignore[arg-type]


def prepared(layout: Layout, **settings: object) -> InternalCertificates:
    made = certificates(layout, **settings)
    made.prepare()
    return made


def serials(layout: Layout) -> dict[str, int]:
    return {identity: serial_in(layout.tls / identity) for identity in (*IDENTITIES, DEVELOPER)}


def test_each_part_has_a_certificate_of_its_own_whose_key_only_its_user_reads(layout: Layout) -> None:
    prepared(layout)

    for identity in (*IDENTITIES, DEVELOPER):
        folder = layout.tls / identity
        credentials = read(folder, identity)
        assert LIFETIME - timedelta(minutes=1) < credentials.ends - datetime.now(UTC) <= LIFETIME
        key = (folder / PRIVATE_KEY).stat()
        assert key.st_mode & 0o777 == 0o600
        assert key.st_uid == (OWNERS.get(identity, 0) if os.geteuid() == 0 else os.geteuid())
    assert len(set(serials(layout).values())) == len(IDENTITIES) + 1
    authority = layout.tls / "authority"
    assert (authority.stat().st_mode & 0o777, (authority / "ca.key").stat().st_mode & 0o777) == (0o700, 0o600)


def test_another_start_keeps_what_is_good(layout: Layout) -> None:
    prepared(layout)
    before = serials(layout)

    prepared(layout).look()

    assert serials(layout) == before


def test_without_tls_nothing_is_made(layout: Layout) -> None:
    prepared(layout, internal_tls="off").look()

    assert not layout.tls.exists()


def test_a_certificate_is_renewed_before_it_ends(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    running = prepared(layout)
    authority = Authority.load(*((layout.tls / "authority" / name).read_bytes() for name in (AUTHORITIES, "ca.key")))
    owner = (layout.tls / "order" / PRIVATE_KEY).stat().st_uid
    certificate, key = authority.issue("order", RENEW_BEFORE - timedelta(minutes=10))
    store(layout.tls / "order", {CERTIFICATE: certificate, PRIVATE_KEY: key, AUTHORITIES: authority.pem}, owner)
    before = serials(layout)

    running.look()

    after = serials(layout)
    assert {identity for identity in before if before[identity] != after[identity]} == {"order"}
    assert read(layout.tls / "order", "order").ends - datetime.now(UTC) > RENEW_BEFORE
    assert "order has a new certificate, until " in capsys.readouterr().out
    versions = [path for path in (layout.tls / "order").iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(versions) == 1


def test_a_certificate_of_another_authority_or_a_broken_one_is_replaced(layout: Layout) -> None:
    prepared(layout)
    write_identity(layout.tls, Authority.new(), "gig")
    (layout.tls / "review" / CERTIFICATE).write_text("nonsense")
    write_identity(layout.tls, Authority.new(), "edge", name="order")

    prepared(layout)

    trusted = (layout.tls / "authority" / AUTHORITIES).read_bytes()
    assert {read(layout.tls / identity, identity).authorities for identity in IDENTITIES} == {trusted}


def test_an_authority_that_ends_within_the_year_is_replaced_and_still_trusted(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servicekit.authority.AUTHORITY_LIFETIME", timedelta(days=300))
    prepared(layout)
    old = (layout.tls / "authority" / AUTHORITIES).read_bytes()
    before = serials(layout)
    monkeypatch.setattr("servicekit.authority.AUTHORITY_LIFETIME", timedelta(days=3650))

    prepared(layout)

    trusted = read(layout.tls / "gig", "gig").authorities
    assert trusted.endswith(old)
    assert trusted != old
    assert not set(serials(layout).values()) & set(before.values())


def test_an_authority_that_cannot_be_read_is_named_with_the_remedy(layout: Layout) -> None:
    prepared(layout)
    (layout.tls / "authority" / "ca.key").write_text("nonsense")

    with pytest.raises(InternalTlsError, match="has no authority; remove it and a new one is made"):
        certificates(layout).prepare()


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Return a folder with the identities of a stack, signed by somebody else."""
    authority = Authority.new()
    for identity in IDENTITIES:
        write_identity(tmp_path / "given", authority, identity)
    return tmp_path / "given"


def test_given_certificates_are_copied_for_their_users_and_followed(
    layout: Layout, given: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = prepared(layout, internal_tls_folder=given)
    assert {serial_in(layout.tls / each) for each in IDENTITIES} == {serial_in(given / each) for each in IDENTITIES}
    assert (layout.tls / "order" / PRIVATE_KEY).stat().st_mode & 0o777 == 0o600
    kept = serial_in(layout.tls / "gig")

    write_identity(given, Authority.new(), "order")
    (given / "gig" / PRIVATE_KEY).write_text("nonsense")
    running.look()
    running.look()

    assert serial_in(layout.tls / "order") == serial_in(given / "order")
    assert serial_in(layout.tls / "gig") == kept
    assert not (layout.tls / "authority").exists()
    said = capsys.readouterr().out
    assert said.count("gig keeps its certificate. ") == 1


def test_the_check_of_a_start_names_a_given_certificate_that_is_missing_or_has_ended(
    given: Path, tmp_path: Path
) -> None:
    settings = StackSettings(internal_tls_folder=given)
    assert check(settings) == f"with the certificates of {given}"

    write_identity(given, Authority.new(), "order", begins=ago(2 * DAY))
    with pytest.raises(InternalTlsError, match=f"the certificate in {given / 'order'} has ended"):
        check(settings)
    with pytest.raises(InternalTlsError, match=f"{tmp_path / 'gig' / CERTIFICATE} cannot be read"):
        check(StackSettings(internal_tls_folder=tmp_path))
