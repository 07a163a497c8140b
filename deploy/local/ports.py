"""Every port of a stack, as a pure function of `PORT`.

The edge listens on `PORT` itself. Everything inside (workers, their metrics, Envoy's admin page) lies in one block of
50 ports that follows from it, below the range that Linux gives to outgoing connections (32768 and up), so that two
stacks with different `PORT`s run beside each other and a newcomer can guess a port from the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_EDGE_PORT = 8080
# A service has eight places: its workers', and the last one for a process that waits for its clients.
_PLACES = 8
MAX_WORKERS = _PLACES - 1
SERVICES = ("gig", "order", "review")

_BLOCK = 50
_BLOCKS = 397  # a prime, so that PORTs which are a round number apart do not share a block
_FIRST = 10000
_METRICS_OFFSET = _PLACES * len(SERVICES)
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
        return self._place(service, worker)

    def metrics(self, service: str, worker: int) -> int:
        """The Prometheus port of a service's worker."""
        return self.rpc(service, worker) + _METRICS_OFFSET

    def streaming(self, service: str) -> int:
        """The gRPC port of a service's process for what waits for its clients."""
        return self._place(service, _PLACES - 1)

    def streaming_metrics(self, service: str) -> int:
        """The Prometheus port of that process."""
        return self.streaming(service) + _METRICS_OFFSET

    def _place(self, service: str, number: int) -> int:
        return self.base + SERVICES.index(service) * _PLACES + number

    def used(self, workers: Mapping[str, int]) -> dict[int, str]:
        """Each port that a stack with so many workers a service listens on, and what for."""
        ports = {
            self.edge: "edge",
            self.envoy_admin: "envoy admin",
            self.streaming("gig"): "gig-images",
            self.streaming_metrics("gig"): "gig-images metrics",
        }
        for service, count in workers.items():
            for worker in range(count):
                ports[self.rpc(service, worker)] = f"{service}-{worker}"
                ports[self.metrics(service, worker)] = f"{service}-{worker} metrics"
        return ports
