"""The stack of `make run`: start it, watch it, and stop it."""

import contextlib
import os
import subprocess
import time
from collections import Counter

import psutil
import psycopg2

from deploy.local import edge_config, environment, envoy_admin, postgres, supervise, takeover, users
from deploy.local.banner import banner
from deploy.local.certificate import CertificateRenewal
from deploy.local.control import ControlError, ProcessState, process_states, start_process, stop_process
from deploy.local.internal_tls import InternalCertificates
from deploy.local.layout import Layout
from deploy.local.output import say
from deploy.local.ports import STREAMING
from deploy.local.preflight import checks
from deploy.local.privileges import adopt_orphans
from deploy.local.settings import StackSettings
from deploy.local.stop_request import StopRequest
from servicekit.internal_tls import InternalTlsError

_START_SECONDS = 120.0
_STOP_SECONDS = 9.0  # of the 10 that a stop may take; then the remaining processes are killed
_MAX_EXITS_AT_START = 4
_EXITS_IGNORED_SECONDS = 3.0  # a process may end because another one is not up yet
_LOG_LINES = 15


class StackError(Exception):
    """The stack cannot start or keep running; the text names the process, the reason and the log."""


class Stack:
    """A supervisord with all processes below it, from its start to its end."""

    def __init__(
        self, settings: StackSettings, layout: Layout, stop: StopRequest, supervisor: subprocess.Popen[bytes]
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._stop = stop
        self._supervisor = supervisor
        self._certificate = CertificateRenewal(settings, layout)
        self._internal_certificates = InternalCertificates(settings, layout)
        self._services_run = False
        self._renderer_environment: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self._exits: Counter[str] = Counter()
        self._renderer: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Let supervisord start the processes, and start the renderer of Envoy's configuration.

        Raises StackError, OSError and ValueError.
        """
        users.give_folders(self._layout)
        try:
            self._internal_certificates.prepare()
        except (OSError, InternalTlsError) as error:
            raise StackError(f"INTERNAL_TLS: {error}") from error
        self._services_run = supervise.has_database(self._settings, self._layout)
        supervise.write_configuration(self._settings, self._layout)
        self._layout.supervisor_socket.unlink(missing_ok=True)
        adopt_orphans()
        self._let_supervisord_go_on()
        self._renderer_environment = environment.of_edge_renderer(self._settings, self._layout, os.environ)
        edge_config.keep_environment(self._layout, self._renderer_environment)
        self._renderer = edge_config.start_rendering(self._layout, self._renderer_environment)

    def wait_until_ready(self) -> None:
        """Wait until the edge answers and every worker is healthy, or a stop is requested.

        Raises StackError, and OSError when Envoy cannot be given its configuration.
        """
        began = time.monotonic()
        reported, reported_at = "", began
        databases_exist, edge_runs = not self._settings.embedded_postgres, False
        while not self._stop.wait(0.1):
            self._check_processes(fail_on_exits=time.monotonic() - began > _EXITS_IGNORED_SECONDS)
            edge_runs = edge_runs or self._start_edge()
            self._services_run = self._services_run or self._start_services()
            databases_exist = databases_exist or self._create_databases()
            waiting_for: str | None
            if not databases_exist:
                waiting_for = "the database"
            elif self._renderer:
                waiting_for = "Envoy's configuration"
            elif not edge_runs:
                waiting_for = "Envoy to start"
            else:
                waiting_for = self._missing()
            if waiting_for is None:
                return
            now = time.monotonic()
            if waiting_for != reported or now - reported_at > 5:
                say(f"{now - began:6.1f} s  waiting for {waiting_for}")
                reported, reported_at = waiting_for, now
            if now - began > _START_SECONDS:
                log = self._logs(takeover.ENVOY if databases_exist else "postgres")
                raise StackError(f"gave up after {_START_SECONDS:.0f} s, waiting for {reported}. {log}")

    def watch(self) -> None:
        """Report restarts of processes, and renew certificates, until a stop is requested. Raises StackError."""
        while not self._stop.wait(0.5):
            self._check_processes(ready=True)
            self._certificate.look()
            self._internal_certificates.look()

    def stop(self) -> None:
        """Finish requests in progress, then end the edge, the services and the database, in this order.

        When this returns, no process of the stack is running.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        if self._supervisor.returncode is None:
            self._end_watches()
            self._drain_edge()
            self._supervisor.terminate()
        while self._supervisor.returncode is None and time.monotonic() < deadline:
            if self._stop.is_urgent:
                self._kill_all_but_database()
            # Makes supervisord notice at once which processes have ended.
            process_states(self._layout.supervisor_socket)
            time.sleep(0.05)
            self._reap()
        self._kill_the_rest()

    def _let_supervisord_go_on(self) -> None:
        """Send the line that supervisord waits for. When it has ended already, `wait_until_ready` says so."""
        assert self._supervisor.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._supervisor.stdin as line:
            line.write(b"\n")

    def _create_databases(self) -> bool:
        try:
            postgres.create_databases(self._layout)
        except psycopg2.OperationalError:
            return False
        return True

    def _start_services(self) -> bool:
        """Start the services when a new database has been created. Return whether they have been started."""
        if not postgres.is_created(self._layout):
            return False
        processes = process_states(self._layout.supervisor_socket) or ()
        services = [process for process in processes if process.name in self._services]
        for process in services:
            if not process.pid:
                with contextlib.suppress(ControlError):
                    start_process(self._layout.supervisor_socket, process)
        return bool(services) and all(process.pid for process in services)

    @property
    def _services(self) -> set[str]:
        """The names of the services' processes that run all the time."""
        workers = {f"{name}-{number}" for name, count in self._settings.workers.items() for number in range(count)}
        return workers | set(STREAMING.values())

    def _start_edge(self) -> bool:
        """Start Envoy when its configuration is there. Return whether it has been started.

        Raises StackError and OSError.
        """
        if self._renderer:
            if self._renderer.returncode is None:
                return False
            try:
                edge_config.finish_rendering(self._layout, self._renderer_environment, self._renderer)
                edge_config.use_rendered(self._layout)
            except edge_config.EdgeConfigError as error:
                raise StackError(str(error)) from error
            self._renderer = None
        processes = process_states(self._layout.supervisor_socket) or ()
        envoy = next((process for process in processes if process.name == takeover.ENVOY), None)
        if envoy and not envoy.pid:
            with contextlib.suppress(ControlError):
                start_process(self._layout.supervisor_socket, envoy)
        return bool(envoy and envoy.pid)

    def _missing(self) -> str | None:
        """Return in words which part is not ready yet; `None` when the stack is up."""
        ports = self._settings.ports
        workers = {ports.rpc(name, worker) for name, count in self._settings.workers.items() for worker in range(count)}
        workers |= {ports.streaming(name) for name in STREAMING}
        healthy = envoy_admin.healthy_upstreams(ports.envoy_admin)
        if healthy is None:
            return "Envoy"
        if not workers <= healthy:
            return f"the services ({len(workers & healthy)} of {len(workers)} workers are ready)"
        return None if envoy_admin.edge_answers(self._settings.edge_url) else f"{self._settings.edge_url} to answer"

    def _check_processes(self, *, ready: bool = False, fail_on_exits: bool = False) -> None:
        self._reap()
        if self._supervisor.returncode is not None:
            raise StackError(f"supervisord ended with {self._supervisor.returncode}. {self._logs('supervisord')}")
        for process in process_states(self._layout.supervisor_socket) or []:
            before = self._pids.get(process.name, 0)
            if process.pid:
                self._pids[process.name] = process.pid
            if before and process.pid and process.pid != before:
                self._exits[process.name] += 1
                if ready:
                    self._report_exit(process)
            if fail_on_exits and self._exits[process.name] >= _MAX_EXITS_AT_START:
                raise StackError(f"{process.name} keeps ending. {self._logs(process.name)}")

    def _report_exit(self, process: ProcessState) -> None:
        exits = self._exits[process.name]
        if exits <= 3 or exits % 10 == 0:
            say(
                f"{time.strftime('%H:%M:%S')}  {process.name} ended and runs again as process {process.pid} "
                f"({exits} so far; {self._layout.log(process.name)})"
            )

    def _logs(self, name: str) -> str:
        path = self._layout.log(name)
        lines = path.read_text(errors="replace").splitlines()[-_LOG_LINES:] if path.exists() else []
        return "\n".join([f"The end of {path}:", *(f"  | {line}" for line in lines)])

    def _end_watches(self) -> None:
        """End the watches in order, while the edge can still pass their ends on."""
        admin = self._settings.ports.envoy_admin
        if not envoy_admin.waiting_requests(admin):
            return
        for process in process_states(self._layout.supervisor_socket) or ():
            if process.name == STREAMING["order"]:
                with contextlib.suppress(ControlError):
                    stop_process(self._layout.supervisor_socket, process)
        deadline = time.monotonic() + supervise.WATCHES_SECONDS
        while time.monotonic() < deadline and not self._stop.is_urgent and envoy_admin.waiting_requests(admin):
            time.sleep(0.05)

    def _drain_edge(self) -> None:
        admin = self._settings.ports.envoy_admin
        envoy_admin.drain(admin)
        deadline = time.monotonic() + supervise.DRAIN_SECONDS
        while time.monotonic() < deadline and not self._stop.is_urgent and envoy_admin.active_requests(admin):
            time.sleep(0.05)

    def _kill_all_but_database(self) -> None:
        """Kill every process except the database, which still shuts down in order."""
        for process in self._descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.pid != self._supervisor.pid and process.name() != "postgres":
                    process.kill()

    def _descendants(self) -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)

    def _kill_the_rest(self) -> None:
        deadline = time.monotonic() + 2
        while (left := self._descendants()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.02)
            self._reap()

    def _reap(self) -> None:
        """Collect the exit status of ended children: supervisord, the renderer, orphans that this process adopted."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in (self._supervisor, self._renderer):
                if child is not None and pid == child.pid:
                    child.returncode = os.waitstatus_to_exitcode(status)


def run(
    settings: StackSettings, layout: Layout, stop: StopRequest, supervisor: subprocess.Popen[bytes], began: float
) -> int:
    """Run the stack until a stop is requested. Return 0 then, and 1 when it cannot start or keep running.

    `began` is when the start began, by the monotonic clock. Raises PreflightError.
    """
    for check in checks(settings, layout):
        check.run()
    stack = Stack(settings, layout, stop, supervisor)
    failure: Exception | None = None
    try:
        say(f"Starting the marketplace (logs: {layout.logs})")
        stack.start()
        stack.wait_until_ready()
        if not stop:
            say(banner(settings, layout, time.monotonic() - began))
        stack.watch()
    except (StackError, OSError, ValueError) as error:
        failure = error
        say(f"\nFailed: {failure}\n")
    finally:
        stopping = time.monotonic()
        say(
            "Stopping: the edge, then the services, then the database. Press Ctrl-C again to drop requests in progress."
        )
        stack.stop()
        layout.remove_sockets()
        say(f"Stopped after {time.monotonic() - stopping:.1f} s. The data stays in {layout.data_dir}")
    return 0 if failure is None else 1
