"""`make status`, `logs`, `psql`, `restart` and `debug`, on a stack of their own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from deploy.local import envoy_admin
from deploy.local.control import ProcessState, begin_takeover, complete_takeover, process_states
from deploy.local.postgres import database_url
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack, stack_command
from tests.support.stack import processes_of as processes_of_folder

SECONDS = 180
IMPORTS = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack whose processes the tests restart."""
    running = Stack()
    try:
        yield running.start()
    finally:
        running.stop()


class Terminal:
    """A command of the local stack on a terminal of its own."""

    def __init__(self, data_dir: Path, *words: str) -> None:
        self.output = ""
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            # A shell's background job, which a run of the tests may be, ignores Ctrl-C, and so would its children.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(ROOT)
            os.environ.update(IMPORTS, DATA_DIR=str(data_dir))
            os.execv(sys.executable, [sys.executable, "-m", "deploy.local", *words])

    def read_until(self, text: str) -> None:
        """Read the output until the text comes."""
        deadline = time.monotonic() + SECONDS
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            if select.select([self._descriptor], [], [], 0.2)[0]:
                self.output += os.read(self._descriptor, 4096).decode()

    def press(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def status(self) -> int:
        """Wait for the end of the command and return its exit status."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def pids(stack: Stack, service: str) -> set[int]:
    return {process.pid for name, process in stack.processes().items() if name.startswith(f"{service}-")}


def test_status_lists_every_process(own_stack: Stack) -> None:
    shown = stack_command(own_stack.data_dir, "status")

    assert shown.returncode == 0
    names = [line.split()[0] for line in shown.stdout.splitlines() if "RUNNING" in line]
    workers = ["gig-0", "gig-1", "order-0", "order-1", "review-0", "review-1"]
    assert sorted(names) == sorted(["envoy", "postgres", *workers, "gig-images", "order-events"])


@pytest.mark.parametrize("words", [["status"], ["psql", "--service", "order"], ["restart", "--service", "order"]])
def test_without_a_stack_a_command_says_so(words: list[str], tmp_path: Path) -> None:
    shown = stack_command(tmp_path, *words)

    assert (shown.returncode, shown.stdout) == (1, f"no stack is running on {tmp_path}\n")


@pytest.mark.parametrize(
    ("service", "database"), [("gig", "gigs"), ("order", "orders"), ("review", "reviews"), ("sandbox", "sandbox")]
)
def test_psql_opens_a_database_as_its_owner(service: str, database: str, own_stack: Stack) -> None:
    query = "SELECT current_database(), current_user"

    shown = stack_command(own_stack.data_dir, "psql", "--service", service, "--", "-tAc", query)

    assert (shown.returncode, shown.stdout) == (0, f"{database}|{database}\n"), shown.stderr


def test_the_log_of_envoy_has_no_warnings_about_what_nobody_can_change(own_stack: Stack) -> None:
    own_stack.wait_until_healthy()
    lines = own_stack.layout.log("envoy").read_text().splitlines()

    assert any("starting workers" in line for line in lines)
    assert not [line for line in lines if "[misc]" in line or "[lua]" in line]


def test_psql_on_a_terminal_is_a_prompt(own_stack: Stack) -> None:
    terminal = Terminal(own_stack.data_dir, "psql", "--service", "review", "--")

    terminal.read_until("reviews=> ")
    terminal.press("\\q\n")

    assert terminal.status() == 0


def test_psql_does_not_show_a_password_on_its_command_line(own_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    url = database_url(own_stack.layout, "orders")
    secret = urlsplit(url).password or "secret"
    if os.geteuid() != 0:
        url = url.replace("orders@", f"orders:{secret}@")
    monkeypatch.setenv("ORDER_DATABASE_URL", url)
    show_command_line = r"\! tr '\0' ' ' < /proc/$PPID/cmdline; echo; echo $PGPASSWORD"

    shown = stack_command(own_stack.data_dir, "psql", "--service", "order", "--", "-c", show_command_line)

    assert shown.returncode == 0, shown.stderr
    command_line, password = shown.stdout.splitlines()
    assert "psql" in command_line
    assert secret not in command_line
    assert password == secret


def test_logs_away_from_a_terminal_are_the_newest_lines_of_each(tmp_path: Path) -> None:
    write_logs(tmp_path)

    shown = stack_command(tmp_path, "logs", "--service", "order")

    assert shown.returncode == 0
    assert "order-0 line 30" in shown.stdout
    assert "order-1 line 30" in shown.stdout
    assert "order-0 line 5\n" not in shown.stdout
    assert "gig-0" not in shown.stdout


def test_logs_on_a_terminal_are_followed_until_ctrl_c(tmp_path: Path) -> None:
    write_logs(tmp_path)
    terminal = Terminal(tmp_path, "logs")
    terminal.read_until("order-1 line 30")

    with (tmp_path / "logs" / "gig-0.log").open("a") as log:
        log.write("one more\n")

    terminal.read_until("one more")
    terminal.press("\x03")
    assert terminal.status() == 0


def test_logs_of_an_unknown_service_name_those_that_exist(tmp_path: Path) -> None:
    write_logs(tmp_path)

    shown = stack_command(tmp_path, "logs", "--service", "orders")

    assert (shown.returncode, shown.stdout) == (
        1,
        f"no log of orders in {tmp_path / 'logs'}, which has: gig-0, order-0, order-1\n",
    )


def write_logs(data_dir: Path) -> None:
    (data_dir / "logs").mkdir()
    for name in ("gig-0", "order-0", "order-1"):
        lines = "".join(f"{name} line {number}\n" for number in range(1, 31))
        (data_dir / "logs" / f"{name}.log").write_text(lines)


def test_a_restart_replaces_each_worker_and_readers_notice_nothing(own_stack: Stack) -> None:
    before, others = pids(own_stack, "gig"), pids(own_stack, "order")
    over = threading.Event()
    statuses: list[int] = []

    def read() -> None:
        with own_stack.client() as client:
            while not over.is_set():
                statuses.append(client.get("/api/categories").status_code)

    reader = threading.Thread(target=read)
    reader.start()
    restarted = stack_command(own_stack.data_dir, "restart", "--service", "gig")
    over.set()
    reader.join()

    assert restarted.returncode == 0, restarted.stdout
    # The two workers, the process that takes pictures, and the spare one of each.
    assert restarted.stdout.count("is healthy as process") == 5
    assert restarted.stdout.count("-spare") == restarted.stdout.count("has ended") * 2 == 4
    after = pids(own_stack, "gig")
    assert len(after) == 3
    assert not before & after
    assert pids(own_stack, "order") == others
    # The log tells what a refused reader met.
    log = own_stack.layout.log("envoy").read_text().splitlines()
    assert set(statuses) == {200}, [line for line in log if "503" in line]


def test_a_worker_that_hangs_is_killed_and_restarted(own_stack: Stack) -> None:
    before = pids(own_stack, "review")
    hanging = own_stack.processes()["review-0"]
    hanging.suspend()

    restarted = stack_command(own_stack.data_dir, "restart", "--service", "review")

    assert restarted.returncode == 0, restarted.stdout
    assert not before & pids(own_stack, "review")


def test_a_worker_runs_on_a_terminal_for_the_debugger_and_then_in_the_stack_again(own_stack: Stack) -> None:
    terminal = Terminal(own_stack.data_dir, "debug", "--service", "order")

    terminal.read_until("serving")
    stopped = processes_of(own_stack, "order")[0]
    terminal.press("\x03")
    terminal.read_until("runs in the stack again")

    assert terminal.status() == 0
    assert (stopped.name, stopped.state) == ("order-0", "STOPPED")
    assert {process.state for process in processes_of(own_stack, "order")} == {"RUNNING"}


def test_a_new_envoy_takes_over_and_one_that_is_killed_then_comes_back(own_stack: Stack) -> None:
    own_stack.wait_until_healthy()
    old = own_stack.processes()["envoy"].pid
    client = own_stack.client()
    assert client.get("/api/categories").status_code == 200

    restarted = stack_command(own_stack.data_dir, "restart", "--service", "edge")

    assert restarted.returncode == 0, restarted.stdout
    assert client.get("/api/categories").status_code == 200
    new = envoy_pid(own_stack)
    assert new != old
    os.kill(new, signal.SIGKILL)
    eventually(lambda: envoy_admin.epoch(own_stack.ports.envoy_admin) == 0)
    own_stack.wait_until_healthy()
    assert own_stack.client().get("/api/categories").status_code == 200


def test_a_configuration_that_cannot_be_rendered_leaves_the_edge_as_it_is(own_stack: Stack) -> None:
    own_stack.wait_until_healthy()
    layout, pid = own_stack.layout, envoy_pid(own_stack)
    before = layout.envoy_config.read_bytes(), layout.readable_envoy_config.read_bytes()
    kept = layout.environments / "edge.json"
    good = kept.read_text()
    kept.write_text(json.dumps(json.loads(good) | {"EDGE_CACHE": "perhaps"}))

    restarted = stack_command(own_stack.data_dir, "restart", "--service", "edge")
    kept.write_text(good)

    assert restarted.returncode == 1
    assert "the edge stays as it is: Envoy's configuration cannot be rendered" in restarted.stdout
    assert (layout.envoy_config.read_bytes(), layout.readable_envoy_config.read_bytes()) == before
    assert own_stack.client().get("/api/categories").status_code == 200
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: envoy_pid(own_stack) not in (0, pid))
    own_stack.wait_until_healthy()
    assert own_stack.client().get("/api/categories").status_code == 200


@pytest.mark.parametrize("program", ["edge.bootstrap", "validate"])
def test_ctrl_c_while_the_configuration_is_made_leaves_the_edge_as_it_is(program: str, own_stack: Stack) -> None:
    own_stack.wait_until_healthy()
    pid, before = envoy_pid(own_stack), own_stack.layout.envoy_config.read_bytes()
    terminal = Terminal(own_stack.data_dir, "restart", "--service", "edge")

    eventually(lambda: program in children_of(terminal), SECONDS)
    terminal.press("\x03")

    terminal.read_until("Interrupted. ")
    assert terminal.status() == 1
    assert "FAILED" not in terminal.output
    assert envoy_pid(own_stack) == pid
    assert own_stack.layout.envoy_config.read_bytes() == before
    assert "edge.bootstrap" not in " ".join(processes_of_folder(own_stack.data_dir))


def test_an_envoy_that_cannot_start_takes_nothing_over(own_stack: Stack) -> None:
    own_stack.wait_until_healthy()
    admin, envoy = own_stack.ports.envoy_admin, own_stack.processes()["envoy"]
    before = envoy_admin.epoch(admin)
    own_stack.layout.envoy_config.write_text("nonsense")

    pid, _ = begin_takeover(own_stack.layout.supervisor_socket)

    eventually(lambda: not psutil.pid_exists(pid))
    assert not complete_takeover(own_stack.layout.supervisor_socket)
    assert envoy.is_running()
    assert envoy_admin.epoch(admin) == before
    assert own_stack.client().get("/api/categories").status_code == 200


def test_an_interrupted_restart_leaves_no_worker_down(own_stack: Stack) -> None:
    environment = {**os.environ, **IMPORTS, "DATA_DIR": str(own_stack.data_dir)}
    program = [sys.executable, "-m", "deploy.local", "restart", "--service", "order"]
    with subprocess.Popen(program, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as restarting:
        assert restarting.stdout is not None
        restarting.stdout.readline()
        restarting.send_signal(signal.SIGINT)
        assert "Interrupted" in restarting.stdout.read()

    deadline = time.monotonic() + SECONDS
    while {process.state for process in processes_of(own_stack, "order")} != {"RUNNING"}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def children_of(terminal: Terminal) -> list[str]:
    """Return the words of the command lines of a command's children."""
    words: list[str] = []
    for child in psutil.Process(terminal.pid).children():
        with contextlib.suppress(psutil.Error):
            words += child.cmdline()
    return words


def envoy_pid(stack: Stack) -> int:
    """Return the pid of the Envoy that supervisord starts again when it ends; 0 while it is down."""
    (state,) = (each for each in process_states(stack.layout.supervisor_socket) or [] if each.name == "envoy")
    return state.pid


def processes_of(stack: Stack, service: str) -> list[ProcessState]:
    states = process_states(stack.layout.supervisor_socket) or []
    return [each for each in states if each.name.startswith(f"{service}-") and not each.name.endswith("-spare")]
