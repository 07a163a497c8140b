"""Replacement of the processes of a running stack, one after the other: `make restart`.

Before processes are replaced, a spare one of the same service starts and takes calls, so there are never fewer of them
than before. A process that is replaced first tells Envoy that it is unhealthy, and still takes calls until Envoy knows.
docs/deploying.md describes it.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local import edge_config, envoy_admin, internal_tls
from deploy.local.control import (
    ControlError,
    ProcessState,
    begin_takeover,
    complete_takeover,
    process_states,
    signal_process,
    start_process,
)
from deploy.local.environment import EDGE, SERVICE_GRACE_SECONDS
from deploy.local.internal_tls import server_identity
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.ports import SERVICES, STREAMING, Ports, spare_of
from deploy.local.settings import StackSettings
from deploy.local.takeover import PARENT_SECONDS
from servicekit.server import LATEST_CHECK_SECONDS
from servicekit.signal_event import SignalEvent

_HEALTHY_SECONDS = 60.0
_POLL_SECONDS = 0.1
# A process that does not end by itself is killed: after its clients have had the time to know, and its calls to end.
_KILL_SECONDS = LATEST_CHECK_SECONDS + SERVICE_GRACE_SECONDS + 2.0
# Envoy notices within this time that a process is gone or hangs: a health check that is under way has two seconds, and
# the next one comes a second later.
_NOTICED_SECONDS = 4.0


class InterruptedRestartError(Exception):
    """Ctrl-C was pressed."""


class RestartError(Exception):
    """A process did not come back; the text says which, and where its log is."""


@dataclass(frozen=True)
class _Addresses:
    """Where a process serves gRPC (host:port), whether over TLS, and the port of Envoy's admin page."""

    rpc: str
    tls: bool
    envoy_admin: int

    @property
    def port(self) -> int:
        return int(self.rpc.rpartition(":")[2])


# The service whose process for slow clients has the watches.
_WATCHED = "order"


def restart(settings: StackSettings, service: str | None) -> int:
    """Replace the processes of a service, Envoy, or all of them, and wait for each until it gets requests.

    Return 1 when no stack is running or a process does not come back; the processes after it then stay as they are.
    """
    layout = Layout.of(settings.data_dir)
    if process_states(layout.supervisor_socket) is None:
        say(f"no stack is running on {settings.data_dir}")
        return 1
    # Not as KeyboardInterrupt, which gRPC can lose.
    interrupted = SignalEvent()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    replacement = _Replacement(layout, interrupted)
    try:
        for each in SERVICES if service is None else {service} & {*SERVICES}:
            replacement.replace(each, replacement.workers(each))
            if each in STREAMING and (service or each != _WATCHED):
                replacement.replace(STREAMING[each], [STREAMING[each]])
        if service in (None, EDGE):
            # The watches that the old Envoy has end in order. A client may come back by the connection that it had; the
            # headers of that response close it, and the second time the client comes to the new Envoy.
            replacement.replace(STREAMING[_WATCHED], [STREAMING[_WATCHED]] * 2, first=replacement.replace_edge)
    except (RestartError, ControlError) as error:
        say(f"FAILED: {error}")
        return 1
    except InterruptedRestartError:
        say("Interrupted. supervisord keeps every process running.")
        return 1
    return 0


class _Replacement:
    """Replaces processes of one stack. All methods raise RestartError, ControlError and InterruptedRestartError."""

    def __init__(self, layout: Layout, interrupted: SignalEvent) -> None:
        self._layout = layout
        self._supervisor = layout.supervisor_socket
        self._interrupted = interrupted
        self._has_taken_over = False

    def workers(self, service: str) -> list[str]:
        """Return the names of a service's workers."""
        names = [process.name for process in process_states(self._supervisor) or []]
        return [name for name in names if name.startswith(f"{service}-") and name.rpartition("-")[2].isdigit()]

    def replace(self, program: str, names: Sequence[str], first: Callable[[], None] = lambda: None) -> None:
        """Replace these processes one after the other, while the spare process of the program takes calls."""
        with self._spare(spare_of(program)):
            first()
            for name in names:
                process = self._find(name)
                if process:
                    self._replace(process)

    def replace_edge(self) -> None:
        """Let a new Envoy take over, with a configuration that is rendered anew."""
        try:
            variables = edge_config.kept_environment(self._layout)
            renderer = edge_config.start_rendering(self._layout, variables)
            edge_config.finish_rendering(self._layout, variables, renderer)
            edge_config.validate(self._layout)
            if self._interrupted.is_set():
                raise InterruptedRestartError
            edge_config.use_rendered(self._layout)
        except (OSError, ValueError, edge_config.EdgeConfigError) as error:
            raise RestartError(f"the edge stays as it is: {error}") from error
        began = time.monotonic()
        pid, epoch = self._begin_takeover()
        # It takes over even if this command is interrupted.
        while envoy_admin.epoch(int(variables["ENVOY_ADMIN_PORT"])) != epoch:
            if time.monotonic() > began + _HEALTHY_SECONDS or not _runs(pid):
                raise RestartError(f"the new Envoy does not start; its log is {self._layout.log('envoy')}")
            time.sleep(_POLL_SECONDS)
        # supervisord has completed the takeover itself when the old Envoy ended before this call.
        if not complete_takeover(self._supervisor) and not _runs(pid):
            raise RestartError(f"the new Envoy has ended; its log is {self._layout.log('envoy')}")
        self._has_taken_over = True
        say(
            f"{'envoy':<20} has been taken over by process {pid}, after {time.monotonic() - began:.1f} s; "
            f"the one before ends its requests, for {PARENT_SECONDS} s"
        )

    def _begin_takeover(self) -> tuple[int, int]:
        deadline = time.monotonic() + PARENT_SECONDS + 5
        while True:
            try:
                return begin_takeover(self._supervisor)
            except ControlError as error:
                # After another restart a moment ago.
                if "still ends" not in str(error) or time.monotonic() > deadline:
                    raise
            if self._interrupted.wait(_POLL_SECONDS):
                raise InterruptedRestartError

    @contextlib.contextmanager
    def _spare(self, name: str) -> Iterator[None]:
        process = self._find(name)
        # A stack of an older version, or with so many workers that no port is left, has none.
        if process is None:
            yield
            return
        if process.pid:  # left by a restart that was killed
            self._end(process)
        began = time.monotonic()
        try:
            start_process(self._supervisor, process)
            pid = self._wait_until_healthy(name, _Health(self._layout, name))
            say(f"{name:<20} is healthy as process {pid}, after {time.monotonic() - began:.1f} s")
            yield
        finally:
            current = self._find(name)
            if current and current.pid:
                self._end(current)
                say(f"{name:<20} has ended")

    def _replace(self, process: ProcessState) -> None:
        began = time.monotonic()
        say(f"{process.name:<20} stopping process {process.pid}")
        health = _Health(self._layout, process.name, _find_addresses(process.pid) if process.pid else None)
        # supervisord starts a process again that has ended. So it comes back even if this command is interrupted.
        if process.pid:
            signal_process(self._supervisor, process, "TERM")
        else:
            start_process(self._supervisor, process)
        pid = self._wait_until_healthy(process.name, health, process)
        say(f"{process.name:<20} is healthy as process {pid}, after {time.monotonic() - began:.1f} s")

    def _wait_until_healthy(self, name: str, health: "_Health", old: ProcessState | None = None) -> int:
        """Wait until a process that is not the old one serves, and Envoy has seen it. Return its pid."""
        kill_at = time.monotonic() + _KILL_SECONDS
        deadline = time.monotonic() + _KILL_SECONDS + _HEALTHY_SECONDS
        while time.monotonic() < deadline:
            if self._interrupted.wait(_POLL_SECONDS):
                raise InterruptedRestartError
            pid = self._pid(name)
            health.look()
            if old and pid and pid == old.pid:
                if time.monotonic() > kill_at:
                    with contextlib.suppress(ControlError):  # it may have ended meanwhile
                        signal_process(self._supervisor, old, "KILL")
            elif pid and health.is_of(pid):
                # The Envoy that ends its requests checks for itself, and has no admin page any more.
                if self._has_taken_over and self._interrupted.wait(_NOTICED_SECONDS):
                    raise InterruptedRestartError
                return pid
        raise RestartError(f"{name} is not healthy after {_HEALTHY_SECONDS:.0f} s; its log is {self._layout.log(name)}")

    def _end(self, process: ProcessState) -> None:
        """Let a spare process end, which supervisord does not start again."""
        signal_process(self._supervisor, process, "TERM")
        kill_at = time.monotonic() + _KILL_SECONDS
        while self._pid(process.name) == process.pid:
            time.sleep(_POLL_SECONDS)
            if time.monotonic() > kill_at:
                with contextlib.suppress(ControlError):  # it may have ended meanwhile
                    signal_process(self._supervisor, process, "KILL")

    def _find(self, name: str) -> ProcessState | None:
        states = process_states(self._supervisor)
        return next((process for process in states or [] if process.name == name), None)

    def _pid(self, name: str) -> int:
        """Return the process's pid, or 0 while it is down or supervisord does not answer."""
        process = self._find(name)
        return process.pid if process else 0


class _Health:
    """What Envoy thinks of a process that is being replaced.

    Envoy may still take the old process for healthy when the new one serves. So its word counts once it has known the
    old one to be unhealthy, or has had the time to know.
    """

    def __init__(self, layout: Layout, name: str, old: _Addresses | None = None) -> None:
        self._layout = layout
        self._name = name
        self._old = old
        self._is_fresh = old is None
        self._serves_since = 0.0

    def look(self) -> None:
        """Look whether Envoy has noticed the end of the old process."""
        if self._old and not self._is_fresh:
            healthy = envoy_admin.healthy_upstreams(self._old.envoy_admin)
            self._is_fresh = healthy is not None and self._old.port not in healthy

    def is_of(self, pid: int) -> bool:
        """Return whether the new process itself answers that it serves, and Envoy knows."""
        addresses = _find_addresses(pid)
        if addresses is None or not _serves(self._layout, self._name, addresses):
            return False
        now = time.monotonic()
        self._serves_since = self._serves_since or now
        if not self._is_fresh and now < self._serves_since + _NOTICED_SECONDS:
            return False
        return addresses.port in (envoy_admin.healthy_upstreams(addresses.envoy_admin) or set())


def _find_addresses(pid: int) -> _Addresses | None:
    """Return the addresses in the process's own environment, so that no PORT is needed; `None` while it starts."""
    try:
        environment = psutil.Process(pid).environ()
        listen, tls = environment["LISTEN"], environment.get("INTERNAL_TLS") != "off"
        return _Addresses(listen, tls, Ports.admin_beside(int(listen.rpartition(":")[2])))
    except (psutil.Error, KeyError):
        return None


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _serves(layout: Layout, name: str, addresses: _Addresses) -> bool:
    with internal_tls.channel(layout, addresses.rpc, server_identity(name), tls=addresses.tls) as channel:
        try:
            response = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)
