"""`make token ROLE=seller,buyer NAME=webdev_pro`: print a token for the local stack, and nothing else.

Works whether or not a stack is running, since all it needs is the key in DATA_DIR. The same name is always the same
user, on every machine: the id is derived from the name.
"""

import argparse
import os
import sys
import time
import unicodedata
import uuid
from collections.abc import Sequence
from pathlib import Path

import jwt

from edge import signing_keys

ROLES = ("seller", "buyer", "admin")
DEFAULT_SECONDS = 24 * 60 * 60
DEFAULT_DATA_DIR = ".data"
_LONGEST_NAME = 100  # characters

# A namespace of our own (RFC 9562, section 5.5): ids of other systems that derive theirs from names differ from ours.
_USERS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:marketplace:local-users")


def user_id(name: str) -> uuid.UUID:
    """The id of the local user of this name."""
    return uuid.uuid5(_USERS, name)


def parse_roles(text: str) -> list[str]:
    """Roles from a comma-separated list, each once. Raises ValueError for one that no user can have."""
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
    """A user's name as it is stored (trimmed, NFC). Raises ValueError for one that cannot be a name."""
    name = unicodedata.normalize("NFC", text.strip())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a name of 1 to {_LONGEST_NAME} printable characters is needed")
    return name


def mint(data_dir: Path, name: str, roles: Sequence[str], seconds: int = DEFAULT_SECONDS) -> str:
    """A signed token for the local user of this name, valid from now for so many seconds.

    Makes the key when it is missing. Raises OSError and ValueError when it cannot be read or made.
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
    """Print a token; 2 with one line on stderr when the request makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m edge.tokens", description="Print a token for the local stack.")
    parser.add_argument("--role", required=True, help=f"any of {', '.join(ROLES)}; several with commas between")
    parser.add_argument("--name", required=True, help="the user's name; the same name is the same user")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("DATA_DIR") or DEFAULT_DATA_DIR)
    parser.add_argument("--ttl", type=int, default=DEFAULT_SECONDS, help="seconds until it expires (default: a day)")
    given = parser.parse_args(arguments)
    try:
        token = mint(Path(given.data_dir), parse_name(given.name), parse_roles(given.role), given.ttl)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"token: {error}\n")
        return 2
    if os.environ.get("USER_JWKS"):
        sys.stderr.write("token: USER_JWKS is set, and a stack started with it does not take local tokens\n")
    sys.stdout.write(token + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
