"""The services' processes are forked from supervisord, and are as separate as if they had been started anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local import log_rotation, supervise, supervisord
from deploy.local.layout import Layout
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = f"{ROOT}:{ROOT / 'generated'}"
# Libraries that decode pictures and take uploads.
OF_IMAGES = {"PIL", "landlockpy", "python_multipart", "seccompy"}

# Writes down what it is, and then ends in one of the ways in which a program ends.
PROBE = """
import atexit, json, os, pathlib, random, signal, sys, time
names = sorted(sys.modules)
import uuid_utils
proc = pathlib.Path("/proc/self")
print(json.dumps({
    "argv": sys.argv[1:],
    "name": __name__,
    "modules": names,
    "variables": dict(os.environ),
    "shown": proc.joinpath("environ").read_bytes().decode().split(chr(0))[:-1],
    "command": proc.joinpath("cmdline").read_bytes().decode().split(chr(0))[:-1],
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
    "ignored_or_handled": [n for n in (1, 2, 3, 12, 15, 17) if signal.getsignal(n) not in (signal.SIG_DFL,)],
    "drawn": [random.random(), str(uuid_utils.uuid7()), str(uuid_utils.uuid4())],
}), flush=True)
atexit.register(lambda: print("at exit", flush=True))
signal.alarm(60)
if os.environ["ENDS"] == "by itself":
    sys.exit("a reason")
if os.environ["ENDS"] == "by an error":
    raise ValueError("a mistake")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if os.environ["ENDS"] == "never, and writes":
    for number in range(60_000):
        os.write(1, b"%08d" % number + b"x" * 991 + bytes([10]))
        if number % 1000 == 0:
            time.sleep(0.05)
signal.pause()
"""


@pytest.fixture(scope="module")
def logs() -> Iterator[dict[str, Path]]:
    """Run five processes of a service under supervisord; yield the log of each."""
    with temporary_folder() as name:
        layout = Layout.of(Path(name))
        layout.create()
        layout.environments.mkdir()
        (layout.data_dir / "probe_service.py").write_text(PROBE)
        programs = [
            supervise.Process(
                process,
                supervise.launched(
                    "SIGTERM",
                    [
                        *("--environment", f"run/environment/{process}.json", "--log", f"logs/{process}.log"),
                        *(sys.executable, "-m", "probe_service"),
                    ],
                ),
                20,
                5,
            )
            for process in ("one", "two", "ending", "failing", "writing")
        ]
        for process, ends in (
            *(("one", ""), ("two", ""), ("ending", "by itself"), ("failing", "by an error")),
            ("writing", "never, and writes"),
        ):
            own = {"PYTHONPATH": f"{PYTHONPATH}:{layout.data_dir}", "ENDS": ends, "OWN": process}
            (layout.environments / f"{process}.json").write_text(json.dumps(own))
        layout.supervisor_config.write_text(supervise.render(programs, layout))
        with subprocess.Popen(
            [sys.executable, "-m", "deploy.local.supervisord", "-c", str(layout.supervisor_config)],
            cwd=layout.data_dir,
            env={"PYTHONPATH": f"{PYTHONPATH}:{layout.data_dir}", "PYTHONSAFEPATH": "1", "OF_SUPERVISORD": "yes"},
            stdin=subprocess.PIPE,
        ) as running:
            try:
                assert running.stdin is not None
                running.stdin.write(b"\n")
                running.stdin.close()
                yield {program.name: layout.log(program.name) for program in programs}
            finally:
                running.terminate()
                running.wait(20)


def told(log: Path) -> dict[str, Any]:
    """Return what a process has written down about itself."""
    eventually(lambda: log.exists() and "\n" in log.read_text(), 30)
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[0])
    return found


def test_a_process_has_its_own_environment_and_shows_it_with_its_command_line(logs: dict[str, Path]) -> None:
    process = told(logs["one"])

    assert process["variables"]["OWN"] == "one"
    assert "OF_SUPERVISORD" not in process["variables"]
    assert dict(line.split("=", 1) for line in process["shown"]) == process["variables"]
    assert process["command"] == [sys.executable, "-m", "probe_service"]
    assert (process["name"], process["argv"]) == ("__main__", [])


def test_a_process_has_the_libraries_loaded_but_no_code_of_ours(logs: dict[str, Path]) -> None:
    modules = set(told(logs["one"])["modules"])

    assert modules >= set(supervisord.LIBRARIES)
    ours = {name for name in modules if name.partition(".")[0] in ("deploy", "servicekit", "edge", "marketplace")}
    # These have been read anew, to hand them what supervisord knows.
    assert ours == {"servicekit", "servicekit.linux", "servicekit.privileges"}


def test_a_process_has_nothing_of_supervisords_files_and_signals(logs: dict[str, Path]) -> None:
    process = told(logs["one"])

    assert process["descriptors"] == [0, 1, 2]
    # SIGINT raises KeyboardInterrupt in every Python.
    assert process["ignored_or_handled"] == [2]


def test_processes_draw_different_numbers(logs: dict[str, Path]) -> None:
    first, second = told(logs["one"])["drawn"], told(logs["two"])["drawn"]

    assert not set(first) & set(second)


@pytest.mark.parametrize(("process", "words"), [("ending", "a reason"), ("failing", "ValueError: a mistake")])
def test_a_process_ends_as_python_does_and_is_started_again(logs: dict[str, Path], process: str, words: str) -> None:
    told(logs[process])

    eventually(lambda: logs[process].read_text().count(f"{words}\nat exit\n") > 1, 30)
    assert "Traceback" in logs[process].read_text() or process == "ending"


def test_a_log_is_bounded_and_its_newest_lines_are_there(logs: dict[str, Path]) -> None:
    log = logs["writing"]
    told(logs["one"])

    def older(number: int) -> Path:
        return log.with_name(f"{log.name}.{number}")

    def is_written() -> bool:
        # While a log becomes an older one, there is none with the number 1 for a moment.
        files = [file for file in (log, older(1)) if file.exists()]
        return older(2).exists() and any(b"00059999x" in file.read_bytes()[-1000:] for file in files)

    eventually(lambda: is_written() and log.stat().st_size < log_rotation.MAX_BYTES, 60, every=0.2)

    assert not older(3).exists()
    for file in (log, older(1), older(2)):
        lines = file.read_bytes().splitlines()
        assert {len(line) for line in lines if line[:1] != b"{"} <= {999}, "no line is cut"
        assert len(lines) * 1000 < 3 * log_rotation.MAX_BYTES


@pytest.mark.parametrize(
    "module",
    ["gig_service", "gig_service.images", "order_service", "order_service.events", "review_service"],
)
def test_every_library_that_all_processes_use_is_loaded_before(module: str) -> None:
    words = f"""
import sys
from deploy.local import supervisord
supervisord.preload()
before = set(sys.modules)
import {module}.__main__
added = [module for name, module in sys.modules.items() if name not in before]
print(*{{each.__name__.partition(".")[0] for each in added if "site-packages" in str(each.__spec__)}})
"""
    shown = subprocess.run(
        [sys.executable, "-c", words], env={"PYTHONPATH": PYTHONPATH}, capture_output=True, text=True, check=True
    )

    assert set(shown.stdout.split()) <= OF_IMAGES
