"""The foreground process of `make run`: start everything, say where it is, stay, and stop everything."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from types import FrameType

import psutil
import psycopg2

from deploy.local import envoy_admin, postgres, supervise
from deploy.local.banner import banner
from deploy.local.control import ProcessState, process_states
from deploy.local.layout import Layout
from deploy.local.preflight import PreflightError, checks, exclusive
from deploy.local.privileges import adopt_orphans, tie_to_parent
from deploy.local.settings import StackSettings

_START_SECONDS = 120.0
_STOP_SECONDS = 9.0  # of the 10 that are promised; what is left then is killed
_DEATHS_AT_START = 4
_START_PATIENCE_SECONDS = 3.0  # a part may die of what the others have not made yet
_LOG_LINES = 15


class StackError(Exception):
    """The stack cannot come up or stay up; the text says which part, why, and where its log is."""


class StopRequest:
    """Whether somebody asked to stop, and whether again, impatiently."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._asked_at = 0.0
        self.hurry = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        # Under nohup a terminal that goes away is no reason to stop.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._asked.is_set():
            self._asked_at = time.monotonic()
            self._asked.set()
        # The same wish may arrive twice at once, from the terminal and through make.
        elif number == signal.SIGINT and time.monotonic() - self._asked_at > 0.5:
            self.hurry = True

    def __bool__(self) -> bool:
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep until somebody asks, at most so long; whether somebody has."""
        return self._asked.wait(seconds)


class Stack:
    """A supervisord with all parts below it, from its start to its end."""

    def __init__(self, settings: StackSettings, layout: Layout, stop: StopRequest) -> None:
        self._settings = settings
        self._layout = layout
        self._stop = stop
        self._pids: dict[str, int] = {}
        self._deaths: Counter[str] = Counter()
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self, lock: int) -> None:
        """Render the configurations and start supervisord, which shares the lock on DATA_DIR. Raises StackError."""
        environment = supervise.shared_environment(self._settings, self._layout, os.environ)
        _render_edge(self._layout, environment)
        self._layout.supervisor_config.write_text(supervise.render(self._settings, self._layout))
        self._layout.supervisor_socket.unlink(missing_ok=True)
        adopt_orphans()
        foreground = os.getpid()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._layout.supervisor_config)],
            cwd=self._layout.data_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            # Away from the terminal's Ctrl-C, which is for the foreground process alone; but never outliving it.
            start_new_session=True,
            preexec_fn=lambda: tie_to_parent(foreground, signal.SIGTERM),
            pass_fds=[lock],
        )

    def wait_until_ready(self) -> None:
        """Return when the edge answers and every worker is healthy, or a stop was requested. Raises StackError."""
        began = time.monotonic()
        said, said_at = "", began
        databases = not self._settings.embedded_postgres
        while not self._stop.wait(0.1):
            self._look_after(fail_on_deaths=time.monotonic() - began > _START_PATIENCE_SECONDS)
            databases = databases or self._create_databases()
            waiting_for = self._missing() if databases else "the database"
            if waiting_for is None:
                return
            now = time.monotonic()
            if waiting_for != said or now - said_at > 5:
                say(f"{now - began:6.1f} s  waiting for {waiting_for}")
                said, said_at = waiting_for, now
            if now - began > _START_SECONDS:
                raise StackError(f"gave up after {_START_SECONDS:.0f} s, waiting for {said}. {self._logs('envoy')}")

    def watch(self) -> None:
        """Say which part died and was started again, until a stop is requested. Raises StackError."""
        while not self._stop.wait(0.5):
            self._look_after(ready=True)

    def stop(self) -> None:
        """Finish what is under way, then end the edge, the services and the database, in this order.

        Nothing of the stack runs any more when this returns.
        """
        if self._supervisor is None:
            return
        deadline = time.monotonic() + _STOP_SECONDS
        if self._supervisor.returncode is None:
            self._drain_edge()
            self._supervisor.terminate()
        while self._supervisor.returncode is None and time.monotonic() < deadline:
            if self._stop.hurry:
                self._cut_short()
            process_states(self._layout.supervisor_socket)  # so that it notices at once who has ended
            time.sleep(0.05)
            self._reap()
        self._kill_the_rest()

    def _create_databases(self) -> bool:
        try:
            postgres.create_databases(self._layout)
        except psycopg2.OperationalError:
            return False
        return True

    def _missing(self) -> str | None:
        """What the stack still waits for, in words; `None` when it is up."""
        ports = self._settings.ports
        workers = {ports.rpc(name, worker) for name, count in self._settings.workers.items() for worker in range(count)}
        workers.add(ports.streaming("gig"))
        healthy = envoy_admin.healthy_upstreams(ports.envoy_admin)
        if healthy is None:
            return "Envoy"
        if not workers <= healthy:
            return f"the services ({len(workers & healthy)} of {len(workers)} workers are ready)"
        return None if envoy_admin.edge_answers(self._settings.edge_url) else f"{self._settings.edge_url} to answer"

    def _look_after(self, *, ready: bool = False, fail_on_deaths: bool = False) -> None:
        self._reap()
        if self._supervisor is not None and self._supervisor.returncode is not None:
            raise StackError(f"supervisord ended with {self._supervisor.returncode}. {self._logs('supervisord')}")
        for process in process_states(self._layout.supervisor_socket) or []:
            before = self._pids.get(process.name, 0)
            if process.pid:
                self._pids[process.name] = process.pid
            if before and process.pid and process.pid != before:
                self._deaths[process.name] += 1
                if ready:
                    self._report_death(process)
            if fail_on_deaths and self._deaths[process.name] >= _DEATHS_AT_START:
                raise StackError(f"{process.name} keeps ending. {self._logs(process.name)}")

    def _report_death(self, process: ProcessState) -> None:
        deaths = self._deaths[process.name]
        if deaths <= 3 or deaths % 10 == 0:
            say(
                f"{time.strftime('%H:%M:%S')}  {process.name} ended and runs again as process {process.pid} "
                f"({deaths} so far; {self._layout.log(process.name)})"
            )

    def _logs(self, name: str) -> str:
        path = self._layout.log(name)
        lines = path.read_text(errors="replace").splitlines()[-_LOG_LINES:] if path.exists() else []
        return "\n".join([f"The end of {path}:", *(f"  | {line}" for line in lines)])

    def _drain_edge(self) -> None:
        admin = self._settings.ports.envoy_admin
        envoy_admin.drain(admin)
        deadline = time.monotonic() + supervise.DRAIN_SECONDS
        while time.monotonic() < deadline and not self._stop.hurry and envoy_admin.active_requests(admin):
            time.sleep(0.05)

    def _cut_short(self) -> None:
        """Leave only the database its orderly end."""
        for process in self._descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                if self._supervisor and process.pid != self._supervisor.pid and process.name() != "postgres":
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
        """Collect ended children: supervisord, and orphans that this process adopted."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._supervisor is not None and pid == self._supervisor.pid:
                self._supervisor.returncode = os.waitstatus_to_exitcode(status)


def _render_edge(layout: Layout, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "edge.bootstrap", "--output", str(layout.envoy_config)]
    rendered = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if rendered.returncode != 0:
        raise StackError(f"Envoy's configuration cannot be rendered:\n{rendered.stderr}")


def say(text: str) -> None:
    """Print a line at once. A terminal that has gone away must not keep the stack from being stopped."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def run(settings: StackSettings) -> int:
    """Run the stack until asked to stop. 0 after that, 1 with the reason when it cannot come up or stay up."""
    layout = Layout.of(settings.data_dir)
    stop = StopRequest()
    began = time.monotonic()
    try:
        with exclusive(layout) as lock:
            for check in checks(settings, layout):
                check.look()
            return _run(settings, layout, stop, lock, began)
    except PreflightError as problem:
        say(f"Cannot start: {problem}")
        return 1


def _run(settings: StackSettings, layout: Layout, stop: StopRequest, lock: int, began: float) -> int:
    stack = Stack(settings, layout, stop)
    failure = None
    try:
        say(f"Starting the marketplace (logs: {layout.logs})")
        stack.start(lock)
        stack.wait_until_ready()
        if not stop:
            say(banner(settings, layout, time.monotonic() - began))
        stack.watch()
    except StackError as error:
        failure = error
        say(f"\nFailed: {failure}\n")
    finally:
        stopping = time.monotonic()
        say("Stopping: the edge, then the services, then the database. Once more Ctrl-C does not wait for requests.")
        stack.stop()
        layout.remove_sockets()
        say(f"Stopped after {time.monotonic() - stopping:.1f} s. The data stays in {layout.data_dir}")
    return 0 if failure is None else 1
