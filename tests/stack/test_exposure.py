"""A stack that other machines can reach says what its address means."""

from pathlib import Path

import pytest

from deploy.local.banner import banner
from deploy.local.exposure import notes
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings


def test_a_stack_on_loopback_needs_no_note() -> None:
    assert notes(StackSettings()) == []
    assert notes(StackSettings(edge_host="::1")) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_an_edge_on_all_addresses_names_the_urls_of_images_and_the_remedy(host: str) -> None:
    of_images, plain = notes(StackSettings(edge_host=host))

    assert "which only this machine can open" in of_images
    assert "PUBLIC_URL=http://" in of_images
    assert f"PUBLIC_URL={StackSettings(edge_host=host).edge_url}" not in of_images
    assert "plain HTTP" in plain
    assert "docs/security.md" in plain


def test_a_public_url_is_the_remedy_and_tls_in_front_ends_the_other_note() -> None:
    (plain,) = notes(StackSettings(edge_host="0.0.0.0", public_url="http://market.example"))
    assert "plain HTTP" in plain
    assert notes(StackSettings(edge_host="0.0.0.0", public_url="https://market.example")) == []


def test_an_edge_with_tls_needs_no_note_on_plain_http(tmp_path: Path) -> None:
    file = tmp_path / "certificate.pem"

    (of_images,) = notes(StackSettings(edge_host="0.0.0.0", tls_certificate=file, tls_private_key=file))

    assert "PUBLIC_URL=https://" in of_images


def test_the_banner_has_the_notes(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)

    shown = banner(StackSettings(edge_host="0.0.0.0"), layout, 1.0)

    assert "PUBLIC_URL=http://" in shown
    assert "PUBLIC_URL" not in banner(StackSettings(), layout, 1.0)
