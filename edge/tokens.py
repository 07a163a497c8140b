"""Access tokens for a local stack: `make token ROLE=seller,buyer NAME=webdev_pro` prints one.

It needs only the signing key in DATA_DIR; the stack need not run. A user's id is derived from the name, so the same
name is the same user on every machine.
"""

import argparse
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import jwt

from edge import signing_keys
from servicekit import usernames

ROLES = ("seller", "buyer", "admin")
DEFAULT_SECONDS = 24 * 60 * 60
DEFAULT_DATA_DIR = ".data"

# Our own namespace (RFC 9562, section 5.5), so that our ids differ from other systems' ids for the same names.
USERS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:marketplace:local-users")


def user_id(name: str) -> uuid.UUID:
    """Return the id of the local user of this name."""
    return uuid.uuid5(USERS, name)


def parse_roles(text: str) -> list[str]:
    """Return the roles of a comma-separated list, each once. Raises ValueError for a role that no user can have."""
    roles = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    known = f"choose from {', '.join(ROLES)}, several with commas between"
    if not roles:
        raise ValueError(f"a role is needed: {known}")
    for role in roles:
        if role == "service":
            raise ValueError(f"the role 'service' is for the services' own tokens; {known}")
        if role not in ROLES:
            raise ValueError(f"there is no role {role!r}; {known}")
    return roles


def parse_name(text: str) -> str:
    """Return a user's name as it is stored: trimmed, NFC. Raises ValueError when it cannot be a name."""
    try:
        return usernames.normalize(text)
    except ValueError as error:
        raise ValueError(f"a name of 1 to {usernames.MAX_LENGTH} printable characters is needed") from error


def mint(data_dir: Path, name: str, roles: Sequence[str], seconds: int = DEFAULT_SECONDS) -> str:
    """Return a signed access token for the local user of this name, valid from now for `seconds`.

    Makes the signing key when it is missing. Raises OSError and ValueError when it cannot be read or made.
    """
    key = signing_keys.user_key(data_dir).load()
    now = int(time.time())
    claims = {
        "iss": signing_keys.USER_ISSUER,
        "aud": signing_keys.USER_AUDIENCE,
        "sub": str(user_id(name)),
        "preferred_username": name,
        "roles": list(roles),
        "iat": now,
        "exp": now + seconds,
    }
    return jwt.encode(claims, key, algorithm=signing_keys.ALGORITHM, headers={"kid": signing_keys.key_id(key)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a token. Return 2, with one line on stderr, when the arguments are wrong."""
    parser = argparse.ArgumentParser(prog="python -m edge.tokens", description="Print a token for the local stack.")
    parser.add_argument("--role", required=True, help=f"any of {', '.join(ROLES)}; several with commas between")
    parser.add_argument("--name", required=True, help="the user's name; the same name is the same user")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("DATA_DIR") or DEFAULT_DATA_DIR)
    parser.add_argument("--ttl", type=int, default=DEFAULT_SECONDS, help="seconds until it expires (default: a day)")
    options = parser.parse_args(arguments)
    try:
        token = mint(Path(options.data_dir), parse_name(options.name), parse_roles(options.role), options.ttl)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"token: {error}\n")
        return 2
    if os.environ.get("USER_JWKS"):
        sys.stderr.write("token: USER_JWKS is set, and a stack started with it does not take local tokens\n")
    sys.stdout.write(token + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
