"""Every port of a stack, as a pure function of `PORT`.

The edge listens on `PORT` itself. Everything inside (workers, their metrics, Envoy's admin page) lies in one block of
50 ports that follows from it, below the range that Linux gives to outgoing connections (32768 and up), so that two
stacks with different `PORT`s run beside each other and a newcomer can guess a port from the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_EDGE_PORT = 8080
MAX_WORKERS = 8
SERVICES = ("gig", "order", "review")

_BLOCK = 50
_BLOCKS = 397  # a prime, so that PORTs which are a round number apart do not share a block
_FIRST = 10000
_METRICS_OFFSET = MAX_WORKERS * len(SERVICES)
_ADMIN_OFFSET = 48


@dataclass(frozen=True)
class Ports:
    """The ports that a stack with this edge port owns."""

    edge: int

    @property
    def base(self) -> int:
        """The first port of the block."""
        return _FIRST + (self.edge - DEFAULT_EDGE_PORT) % _BLOCKS * _BLOCK

    @property
    def block(self) -> range:
        """All 50 ports inside the stack."""
        return range(self.base, self.base + _BLOCK)

    @property
    def collides_with_itself(self) -> bool:
        """Whether the edge's own port lies in the block, so that such a `PORT` cannot be used."""
        return self.edge in self.block

    @property
    def envoy_admin(self) -> int:
        """Envoy's admin page (loopback only)."""
        return self.base + _ADMIN_OFFSET

    def rpc(self, service: str, worker: int) -> int:
        """The gRPC port of a service's worker, counted from 0."""
        if not 0 <= worker < MAX_WORKERS:
            raise ValueError(f"a service has at most {MAX_WORKERS} workers, counted from 0; got number {worker}")
        return self.base + SERVICES.index(service) * MAX_WORKERS + worker

    def metrics(self, service: str, worker: int) -> int:
        """The Prometheus port of a service's worker."""
        return self.rpc(service, worker) + _METRICS_OFFSET

    def used(self, workers: Mapping[str, int]) -> dict[int, str]:
        """Each port that a stack with so many workers a service listens on, and what for."""
        ports = {self.edge: "edge", self.envoy_admin: "envoy admin"}
        for service, count in workers.items():
            for worker in range(count):
                ports[self.rpc(service, worker)] = f"{service}-{worker}"
                ports[self.metrics(service, worker)] = f"{service}-{worker} metrics"
        return ports
