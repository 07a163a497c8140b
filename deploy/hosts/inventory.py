"""The inventory: the hosts with their addresses, and what they share."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, Field, IPvAnyAddress, ValidationError, model_validator

from deploy.local.postgres import DATABASES

POSTGRES_PORT = 5432


class Host(BaseModel, extra="forbid"):
    """A host. Its name is its name in etcd and Patroni."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    address: IPvAnyAddress


class Inventory(BaseModel, extra="forbid"):
    """What `deploy/hosts/inventory.toml` contains."""

    hosts: list[Host] = Field(min_length=3)
    network: str = Field(description="The network of the hosts (CIDR): PostgreSQL takes connections from there.")
    code: Path = Field(description="The folder of this repository on each host.")
    etc: Path = Field(description="The folder of the rendered files on each host.")
    state: Path = Field(description="The folder of data on each host.")
    keys: Path = Field(description="The folder of the signing keys on each host; all hosts have the same.")
    certificates: Path = Field(description="The folder of the host's certificates, one folder for each identity.")
    public_url: str = Field(description="The URL of the edge for clients.")
    database_password: str = Field(min_length=16, pattern=r"^[A-Za-z0-9_-]+$")
    replication_password: str = Field(min_length=16, pattern=r"^[A-Za-z0-9_-]+$")
    shared_buffers: str = Field(
        "128MB", pattern=r"^[1-9]\d*(MB|GB)$", description="The pages that PostgreSQL keeps itself on each host."
    )
    webhook_keys: str
    port: int = 8080
    payments: Literal["sandbox", "stripe"] = "stripe"
    media: dict[str, str] = Field(description="The settings of the storage of images, by their variables.")
    more: dict[str, str] = Field({}, description="Further settings of all programs, by their variables.")

    @model_validator(mode="after")
    def _hosts_differ(self) -> Self:
        for values in ([host.name for host in self.hosts], [host.address for host in self.hosts]):
            if len(set(values)) != len(values):
                raise ValueError("two hosts have the same name or address")
        if len(self.hosts) % 2 == 0:
            raise ValueError("an odd number of hosts is needed: half of an even number is no majority")
        return self

    @model_validator(mode="after")
    def _images_have_a_url(self) -> Self:
        settings = self.media | self.more
        if settings.get("MEDIA_STORAGE") == "s3" and "MEDIA_URL" not in settings:
            raise ValueError("MEDIA_STORAGE=s3 needs MEDIA_URL, where clients find the bucket's files")
        return self

    @property
    def addresses(self) -> list[str]:
        """The addresses of all hosts."""
        return [str(host.address) for host in self.hosts]

    def database_url(self, service: str) -> str:
        """Return the libpq URL of a service's database, with all hosts."""
        name = DATABASES[service]
        hosts = ",".join(f"{address}:{POSTGRES_PORT}" for address in self.addresses)
        return f"postgresql://{name}:{quote(self.database_password)}@{hosts}/{name}?target_session_attrs=read-write"

    def everywhere(self, port: int) -> str:
        """Return a port of all hosts, host:port, comma separated."""
        return ",".join(f"{address}:{port}" for address in self.addresses)


def load(file: Path) -> Inventory:
    """Read an inventory. Raises ValueError with a line for each mistake."""
    try:
        return Inventory.model_validate(tomllib.loads(file.read_text()))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc'])) or 'inventory'}: {each['msg']}" for each in error.errors()]
        raise ValueError("\n".join(lines)) from None
