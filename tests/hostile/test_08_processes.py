"""Each process has what it needs and no more: its own variables, its own user, no capability.

A stack of its own is started with an environment full of secrets. Each process is then asked what it has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import psutil
import pytest

from deploy.local.environment import EVENTS, IMAGES, SETTINGS
from deploy.local.inherited import CERTIFICATES, GENERAL, PYTHON, SERVICE
from deploy.local.layout import Layout
from deploy.local.users import give_folders
from tests.support.certificates import certificate_file
from tests.support.eventually import eventually
from tests.support.folders import temporary_folder
from tests.support.pictures import a_jpeg
from tests.support.stack import Stack
from tests.support.story import Market, ok, whole_story

SECONDS = 60
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its processes other users")

# The environment of a user's shell, with secrets that no process needs here and settings that one needs.
SHELL = {
    "STRIPE_API_KEY": "sk_live_secret",
    "STRIPE_WEBHOOK_SECRET": "whsec_secret",
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "PGPASSWORD": "pg-secret",
    "https_proxy": "http://user:proxy-secret@127.0.0.1:9",
    "GITHUB_TOKEN": "github-secret",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "ORDER_ABANDON_DAYS": "31",
    "image_max_count": "19",
    "EDGE_IDLE_TIMEOUT_SECONDS": "299",
}
SET_BY_LAUNCHERS = ("RUN_AS", "DECODER_RUN_AS")
# A process that Python starts, and PostgreSQL's own.
POSTGRES = ("PATH", "LC_*", "TZ", "PG*")


@pytest.fixture(scope="module")
def own() -> Iterator[Stack]:
    """Start a stack from a shell that has more than the stack needs."""
    running = Stack(None, None, workers=1, certificate=None, **SHELL)
    try:
        yield running.start()
    finally:
        running.stop()


def program_of(name: str) -> str:
    """Return the program of a process: `order` for `order-0`."""
    return name if name in (IMAGES, EVENTS, "envoy") else name.split("-")[0]


def allowed(name: str, variable: str) -> bool:
    """Return whether a process may have a variable."""
    if name == "postmaster" or name.startswith("backend"):
        return any(fnmatchcase(variable, pattern) for pattern in POSTGRES)
    if name == "envoy":
        return any(fnmatchcase(variable, pattern) for pattern in GENERAL)
    if name in ("foreground", "supervisord"):
        return name == "foreground" or any(fnmatchcase(variable, pattern) for pattern in PYTHON)
    program = program_of(name)
    own = {field.upper() for field in SETTINGS[program].model_fields} | {*SET_BY_LAUNCHERS}
    # It calls the receivers of webhooks.
    own |= {*CERTIFICATES} if program == "order" else set()
    return variable in own or any(fnmatchcase(variable, pattern) for pattern in SERVICE)


def all_processes(stack: Stack) -> dict[str, psutil.Process]:
    """Return every process of the stack but the foreground one; helpers of a process have its name and their pid."""
    named = {process.pid: name for name, process in stack.processes().items()}
    found: dict[str, psutil.Process] = {}
    for process in stack.supervisor().children(recursive=True):
        name, parent = named.get(process.pid), process
        while name is None and (above := parent.parent()) is not None and above.pid != stack.supervisor().pid:
            parent, name = above, named.get(above.pid)
        try:
            command = " ".join(process.cmdline())
        except psutil.ZombieProcess:
            continue
        found[f"{name or ('supervisord' if 'supervisord' in command else command)} {process.pid}"] = process
    return found


def test_a_process_has_only_its_own_variables(own: Stack) -> None:
    strange = [
        f"{name}: {variable}"
        for name, process in all_processes(own).items()
        for variable in process.environ()
        if not allowed(name.rpartition(" ")[0], variable)
    ]

    assert not strange


def test_no_process_has_a_secret_of_the_users_shell_or_of_another_service(own: Stack) -> None:
    for name, process in all_processes(own).items():
        environment = process.environ()
        text = "\n".join(environment.values()) + " ".join(process.cmdline())
        assert "secret" not in text.replace(str(own.data_dir), ""), name
        databases = {variable for variable in environment if variable.endswith("_DATABASE_URL")}
        program = program_of(name.rpartition(" ")[0])
        expected = {
            "order": {"ORDER_DATABASE_URL", "SANDBOX_DATABASE_URL"},
            EVENTS: {"ORDER_DATABASE_URL"},
            "review": {"REVIEW_DATABASE_URL"},
        }
        assert databases <= expected.get(program, {"GIG_DATABASE_URL"}), name
        assert ("SERVICE_SIGNING_KEY" in environment) <= (program in ("order", "review")), name


def test_a_setting_reaches_the_processes_that_have_it(own: Stack) -> None:
    processes = own.processes()

    assert processes["order-0"].environ()["ORDER_ABANDON_DAYS"] == "31"
    assert "ORDER_ABANDON_DAYS" not in processes["gig-0"].environ()
    assert processes["gig-images"].environ()["IMAGE_MAX_COUNT"] == "19"
    assert "299.0s" in own.layout.envoy_config.read_text()


def test_no_secret_is_in_a_file_that_others_can_read(own: Stack) -> None:
    secrets = {"whsec_secret", "aws-secret", "pg-secret", "proxy-secret", "sk_live_secret"}
    for variable, value in own.processes()["order-0"].environ().items():
        if variable.endswith("DATABASE_URL") and ":" in value.partition("@")[0].removeprefix("postgresql://"):
            secrets.add(value.partition("@")[0].rpartition(":")[2])
    for path in [*own.layout.run.rglob("*"), *own.layout.logs.rglob("*")]:
        if path.is_file():
            found = [secret for secret in secrets if secret in path.read_text(errors="replace")]
            private = path.is_relative_to(own.layout.environments) and path.stat().st_mode & 0o077 == 0
            assert private or not found, path
    assert own.layout.supervisor_config.stat().st_mode & 0o777 == 0o600
    assert own.layout.environments.stat().st_mode & 0o777 == 0o700


def status(process: psutil.Process) -> dict[str, list[str]]:
    """Return the fields of a process's status."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def test_no_process_can_gain_privileges(own: Stack) -> None:
    assert {name: status(process)["NoNewPrivs"] for name, process in all_processes(own).items()} == {
        name: ["1"] for name in all_processes(own)
    }


@AS_ROOT
def test_under_root_a_process_has_its_own_user_no_group_and_no_capability(own: Stack) -> None:
    users = {"gig": 65530, "order": 65531, "review": 65532, "envoy": 65533, "postmaster": 65534, "backend": 65534}
    for name, process in all_processes(own).items():
        has = status(process)
        program = name.split()[0].split("-")[0]
        if program == "supervisord":
            continue
        if program == "gig" and process.ppid() != own.supervisor().children()[0].pid:
            # A decoder, or their keeper, which starts each of them as another user.
            assert {*has["Uid"]} <= {"0", "65529", "65530"}, name
            continue
        assert {*has["Uid"]} == {str(users[program])}, name
        assert "0" not in has["Gid"] and has["Groups"] == [], name
        assert {*has["CapEff"], *has["CapPrm"], *has["CapAmb"]} == {"0" * 16}, name


@AS_ROOT
def test_under_root_a_service_reads_neither_private_keys_nor_other_environments(own: Stack) -> None:
    private = [own.data_dir / "keys" / name for name in ("user.pem", "service.pem", "databases.secret")]
    private += [*own.layout.environments.iterdir(), own.layout.supervisor_config]
    program = "import sys; from servicekit.privileges import drop; drop(sys.argv[1])\n"
    program += "for path in sys.argv[2:]:\n try: open(path).close(); print(path)\n except PermissionError: pass"

    for user in ("65530:65530", "65531:65530", "65533:65533"):
        read = subprocess.run(
            [sys.executable, "-c", program, user, *map(str, private)], capture_output=True, text=True, check=True
        )
        assert read.stdout == ""


def require_pictures(stack: Stack) -> None:
    """Store an image, have the edge serve it, and delete it."""
    market = Market.of(stack)
    images = f"/api/gigs/{market.gig()['id']}/images"
    upload = {"file": ("a.jpg", a_jpeg(), "image/jpeg")}
    (image,) = ok(market.seller.post(images, files=upload), 201)["images"]
    shown = market.anyone.get(image["url"])
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    ok(market.seller.delete(f"{images}/{image['id']}"), 204)
    eventually(lambda: market.anyone.get(image["url"]).status_code == 404, SECONDS)


def test_the_whole_story_passes_with_a_picture(own: Stack) -> None:
    whole_story(own)
    require_pictures(own)


@AS_ROOT
def test_the_story_passes_below_a_folder_that_only_root_may_enter_with_its_certificate(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stack = Stack(closed / "data", workers=1, certificate=certificate_file(closed / "certificate.pem"))
    try:
        whole_story(stack.start())
        require_pictures(stack)
    finally:
        stack.stop()


@AS_ROOT
def test_the_images_of_an_earlier_version_can_still_be_deleted(own: Stack, tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "data")
    layout.create()
    give_folders(layout)
    for folder in (layout.media / "ab", layout.media):
        folder.mkdir(exist_ok=True)
        os.chown(folder, 0, 0)
    (layout.media / "ab" / "file").touch()

    give_folders(layout)

    owners = [path.stat().st_uid for path in (layout.media, layout.media / "ab", layout.media / "ab" / "file")]
    assert owners == [65530, 65530, 0]


def test_every_process_ends_with_supervisord(tmp_path: Path) -> None:
    """Nobody else ends them: the foreground process is stopped."""
    with temporary_folder() as parent:
        stack = Stack(Path(parent) / "data", workers=1).start()
        try:
            (supervisord,) = stack.supervisor().children()
            processes = list(all_processes(stack).values())
            stack.signal(signal.SIGSTOP)
            supervisord.kill()

            eventually(lambda: [each for each in processes if is_alive(each)] == [], SECONDS)
        finally:
            stack.signal(signal.SIGCONT)
            stack.stop()


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process has not ended; a zombie has."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
