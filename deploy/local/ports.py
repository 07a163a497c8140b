"""The ports of a stack, as a pure function of `PORT`.

The edge listens on `PORT`. The workers, their metrics, Envoy's admin page and the receiver of traces use one block of
50 ports that follows from it, below the range that Linux gives to outgoing connections (32768 and up). So stacks with
different `PORT`s run beside each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_EDGE_PORT = 8080
# Each service has eight ports: seven for workers, and the last for a process that serves slow clients.
_PORTS_PER_SERVICE = 8
MAX_WORKERS = _PORTS_PER_SERVICE - 1
# A service with few workers leaves two ports free, for the processes that take the place of others during a restart.
_SPARE, _STREAMING_SPARE = 5, 6
SERVICES = ("gig", "order", "review")
# The processes for slow clients: uploads; watches and long-polls.
STREAMING: Mapping[str, str] = {"gig": "gig-images", "order": "order-events"}

_BLOCK = 50
_BLOCKS = 397  # a prime, so that PORTs that differ by a round number do not share a block
_FIRST = 10000
_METRICS_OFFSET = _PORTS_PER_SERVICE * len(SERVICES)
_ADMIN_OFFSET = 48
_TRACES_OFFSET = 49


def spare_of(name: str) -> str:
    """Return the name of the process that takes the place of others during a restart: of a service, of `gig-images`."""
    return f"{name}-spare"


@dataclass(frozen=True)
class Ports:
    """The ports of the stack whose edge listens on `edge`."""

    edge: int

    @property
    def base(self) -> int:
        """The first port of the block."""
        return _FIRST + (self.edge - DEFAULT_EDGE_PORT) % _BLOCKS * _BLOCK

    @classmethod
    def admin_beside(cls, port: int) -> int:
        """Return the port of Envoy's admin page in the block of another port."""
        return port - (port - _FIRST) % _BLOCK + _ADMIN_OFFSET

    @property
    def block(self) -> range:
        """The 50 ports inside the stack."""
        return range(self.base, self.base + _BLOCK)

    @property
    def collides_with_itself(self) -> bool:
        """Whether the edge's own port is in the block; such a `PORT` cannot be used."""
        return self.edge in self.block

    @property
    def envoy_admin(self) -> int:
        """The port of Envoy's admin page (loopback only)."""
        return self.base + _ADMIN_OFFSET

    @property
    def traces(self) -> int:
        """The port of the receiver of traces (loopback only)."""
        return self.base + _TRACES_OFFSET

    def rpc(self, service: str, worker: int) -> int:
        """Return the gRPC port of a service's worker, counted from 0. Raises ValueError."""
        if not 0 <= worker < MAX_WORKERS:
            raise ValueError(f"a service has at most {MAX_WORKERS} workers, counted from 0; got number {worker}")
        return self._port(service, worker)

    def metrics(self, service: str, worker: int) -> int:
        """Return the Prometheus port of a service's worker."""
        return self.rpc(service, worker) + _METRICS_OFFSET

    def streaming(self, service: str) -> int:
        """Return the gRPC port of a service's process for slow clients."""
        return self._port(service, _PORTS_PER_SERVICE - 1)

    def streaming_metrics(self, service: str) -> int:
        """Return the Prometheus port of a service's process for slow clients."""
        return self.streaming(service) + _METRICS_OFFSET

    def spare(self, service: str, workers: int) -> int | None:
        """Return the gRPC port of the spare worker of a service with so many; `None` when its ports are all in use."""
        return self.rpc(service, _SPARE) if workers <= _SPARE else None

    def streaming_spare(self, service: str, workers: int) -> int | None:
        """Return the gRPC port of the spare process for slow clients; `None` when the ports are all in use."""
        return self.rpc(service, _STREAMING_SPARE) if workers <= _SPARE else None

    def spares(self, workers: Mapping[str, int]) -> dict[str, int]:
        """Return the gRPC port of each spare process, by its name: `gig-spare`, `gig-images-spare`."""
        ports = {spare_of(service): self.spare(service, count) for service, count in workers.items()}
        ports |= {
            spare_of(name): self.streaming_spare(service, workers[service]) for service, name in STREAMING.items()
        }
        return {name: port for name, port in ports.items() if port is not None}

    def metrics_of(self, port: int) -> int:
        """Return the Prometheus port of the process that serves gRPC on this port."""
        return port + _METRICS_OFFSET

    def _port(self, service: str, number: int) -> int:
        return self.base + SERVICES.index(service) * _PORTS_PER_SERVICE + number

    def used(self, workers: Mapping[str, int], *, traces: bool = False) -> dict[int, str]:
        """Return each port of the stack and its purpose; `workers` has the number of workers of each service.

        `traces` says whether the stack has a receiver of traces.
        """
        ports = {
            self.edge: "edge",
            self.envoy_admin: "envoy admin",
            **({self.traces: "traces"} if traces else {}),
        }
        for service, name in STREAMING.items():
            ports[self.streaming(service)] = name
            ports[self.streaming_metrics(service)] = f"{name} metrics"
        for service, count in workers.items():
            for worker in range(count):
                ports[self.rpc(service, worker)] = f"{service}-{worker}"
                ports[self.metrics(service, worker)] = f"{service}-{worker} metrics"
        for name, port in self.spares(workers).items():
            ports[port] = name
            ports[self.metrics_of(port)] = f"{name} metrics"
        return ports
