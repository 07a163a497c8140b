"""Local keys appear once, whole and private; local tokens are what API.md promises."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from edge import signing_keys, tokens


def decoded(token: str, data_dir: Path) -> dict[str, Any]:
    jwks = jwt.PyJWKSet.from_json(signing_keys.user_key(data_dir).jwks.read_text())
    key = jwks[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["ES256"], issuer="marketplace-local", audience="marketplace")


def test_a_token_carries_who_and_what_and_until_when(tmp_path: Path) -> None:
    claims = decoded(tokens.mint(tmp_path, "webdev_pro", ["seller", "buyer"], 60), tmp_path)

    assert claims["preferred_username"] == "webdev_pro"
    assert claims["roles"] == ["seller", "buyer"]
    assert claims["exp"] - claims["iat"] == 60
    assert str(uuid.UUID(claims["sub"])) == claims["sub"]


def test_the_same_name_is_the_same_user_in_every_data_folder(tmp_path: Path) -> None:
    here = decoded(tokens.mint(tmp_path / "a", "ann", ["seller"]), tmp_path / "a")
    there = decoded(tokens.mint(tmp_path / "b", "ann", ["buyer"]), tmp_path / "b")
    other = decoded(tokens.mint(tmp_path / "a", "Ann", ["seller"]), tmp_path / "a")

    assert here["sub"] == there["sub"] != other["sub"]


@pytest.mark.parametrize(
    ("roles", "complaint"),
    [
        ("service", "the role 'service' is for the services' own tokens"),
        ("seller,service", "the role 'service' is for the services' own tokens"),
        ("king", "there is no role 'king'"),
        ("", "a role is needed"),
    ],
)
def test_roles_that_no_user_can_have_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], roles: str, complaint: str
) -> None:
    code = tokens.main(["--role", roles, "--name", "ann", "--data-dir", str(tmp_path)])

    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert complaint in printed.err


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 101])
def test_a_name_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert tokens.main(["--role", "buyer", "--name", name, "--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().out == ""


def test_the_command_prints_a_token_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tokens.main(["--role", "seller, buyer", "--name", " ann ", "--data-dir", str(tmp_path)])

    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    assert decoded(printed.out.removesuffix("\n"), tmp_path)["preferred_username"] == "ann"


def test_keys_are_made_once_however_many_ask_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: tokens.mint(tmp_path, "ann", ["buyer"]), range(32)))

    assert {decoded(token, tmp_path)["preferred_username"] for token in made} == {"ann"}
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["user.jwks.json", "user.pem"]


def test_private_keys_are_for_their_owner_alone_and_the_public_half_holds_no_secret(tmp_path: Path) -> None:
    pairs = [signing_keys.user_key(tmp_path), signing_keys.service_key(tmp_path)]

    assert {pair.private.stat().st_mode & 0o777 for pair in pairs} == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for pair in pairs:
        (jwk,) = json.loads(pair.jwks.read_text())["keys"]
        assert "d" not in jwk
        assert jwk["kid"] == signing_keys.key_id(pair.load())
    assert pairs[0].load().private_numbers() != pairs[1].load().private_numbers()


def test_a_lost_public_half_is_written_again_from_the_private_one(tmp_path: Path) -> None:
    token = tokens.mint(tmp_path, "ann", ["buyer"])
    signing_keys.user_key(tmp_path).jwks.unlink()

    assert decoded(token, tmp_path)["preferred_username"] == "ann"


def test_a_spoilt_key_is_named_with_its_cure(tmp_path: Path) -> None:
    signing_keys.user_key(tmp_path).private.write_text("not a key")

    with pytest.raises(ValueError, match=r"user\.pem is not a private key in PEM; remove it"):
        tokens.mint(tmp_path, "ann", ["buyer"])
