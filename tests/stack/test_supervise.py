"""What is rendered for supervisord is what supervisord reads, whatever the paths are."""

import json
import shlex
from pathlib import Path

import pytest
from supervisor.datatypes import RestartUnconditionally
from supervisor.options import ServerOptions

from deploy.local import memory, supervise, takeover
from deploy.local.environment import edge_base, of_edge_renderer, of_service
from deploy.local.layout import Layout
from deploy.local.settings import StackSettings
from tests.support.stack import create_cluster

ODD_NAMES = [
    "plain",
    "with space",
    "100% %(ENV_HOME)s",
    "a ;b #c",
    "quote\"d 'and' $HOME `x`",
    "back\\slash",
    "ünï,cödé",
]


@pytest.fixture(params=ODD_NAMES)
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / request.param)
    layout.create()
    create_cluster(layout)
    return layout


def read_back(layout: Layout, settings: StackSettings, monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """Return the configuration as supervisord itself understands it."""
    supervise.write_configuration(settings, layout)
    monkeypatch.chdir(layout.data_dir)
    options = ServerOptions()
    options.realize(["-c", str(layout.supervisor_config)])
    return options


def written_environment(layout: Layout, name: str) -> dict[str, str]:
    """Return the environment that a process gets from its launcher."""
    environment: dict[str, str] = json.loads((layout.environments / f"{name}.json").read_text())
    return environment


def test_every_command_arrives_word_for_word(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = StackSettings()

    options = read_back(layout, settings, monkeypatch)

    read = {
        process.name: shlex.split(process.command)
        for group in options.process_group_configs
        for process in group.process_configs
    }
    assert read == {process.name: process.command for process in supervise.processes(settings, layout)}


def test_groups_stop_from_the_outside_in_and_leave_the_database_time(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = read_back(layout, StackSettings(), monkeypatch)

    # supervisord stops one group after the other, the highest priority first.
    groups = sorted(options.process_group_configs, key=lambda group: group.priority, reverse=True)
    longest = {group.name: max(process.stopwaitsecs for process in group.process_configs) for group in groups}
    assert [group.name for group in groups] == ["envoy", "services", "postgres"]
    assert supervise.DRAIN_SECONDS + longest["envoy"] + longest["services"] < 8


def test_a_dead_process_is_started_again_at_once_and_for_ever(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    options = read_back(layout, StackSettings(), monkeypatch)

    processes = [process for group in options.process_group_configs for process in group.process_configs]
    assert {process.startsecs for process in processes} == {0}
    assert all(process.autorestart is not False for process in processes if process.autostart)


def test_each_service_has_a_spare_process_that_runs_only_when_it_is_asked_for(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEW_WORKERS", "6")

    options = read_back(layout, StackSettings(), monkeypatch)

    later = [each for group in options.process_group_configs for each in group.process_configs if not each.autostart]
    spares = [each for each in later if each.name != takeover.ENVOY]
    assert [each.name for each in spares] == ["gig-spare", "order-spare", "gig-images-spare", "order-events-spare"]
    assert {each.autorestart for each in spares} == {False}
    addresses = {each.name: written_environment(layout, each.name)["LISTEN"] for each in spares}
    edge = of_edge_renderer(StackSettings(), layout, {})
    assert edge["GIG_SERVICE_ADDRESSES"].split(",")[2:] == [addresses["gig-spare"]]
    assert edge["EVENT_SERVICE_ADDRESSES"].split(",")[1:] == [addresses["order-events-spare"]]
    uploads = {name: written_environment(layout, name)["UPLOAD_DIR"] for name in ("gig-images", "gig-images-spare")}
    assert uploads == {"gig-images": "uploads", "gig-images-spare": "uploads/spare"}


def test_envoy_waits_for_its_configuration_and_then_runs_all_the_time(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = read_back(layout, StackSettings(), monkeypatch)

    groups = [each for group in options.process_group_configs for each in group.process_configs]
    [envoy] = [each for each in groups if each.name == takeover.ENVOY]
    assert (envoy.autostart, envoy.autorestart) == (False, RestartUnconditionally)


@pytest.mark.parametrize("url", ["", "postgresql://elsewhere/x"])
def test_services_wait_for_a_new_database_but_not_for_one_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for name in ("GIG", "ORDER", "REVIEW", "SANDBOX"):
        monkeypatch.setenv(f"{name}_DATABASE_URL", url)
    layout = Layout.of(tmp_path)
    layout.create()

    options = read_back(layout, StackSettings(), monkeypatch)

    groups = [each for group in options.process_group_configs for each in group.process_configs]
    services = [each for each in groups if each.name in ("gig-0", "order-1", "review-1", "gig-images", "order-events")]
    assert {each.autostart for each in services} == {bool(url)}
    assert all(each.autorestart is RestartUnconditionally for each in services)


def test_other_services_know_the_spare_worker_where_it_takes_the_place_of_the_only_one(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIG_WORKERS", "1")

    environment = of_service("review", StackSettings(), layout, {})

    assert environment["GIG_SERVICE_ADDRESSES"] == "127.0.0.1:10000,127.0.0.1:10005"
    assert environment["ORDER_SERVICE_ADDRESSES"] == "127.0.0.1:10008,127.0.0.1:10009"


@pytest.mark.parametrize(
    ("cpus", "chosen", "threads"), [(1, "0", "1"), (2, "0", "2"), (3, "0", "2"), (8, "0", "4"), (8, "3", "3")]
)
def test_envoy_has_half_of_the_cpus_as_threads_but_two_of_few_or_what_is_chosen(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, cpus: int, chosen: str, threads: str
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cpus)))
    monkeypatch.setenv("EDGE_THREADS", chosen)

    options = read_back(layout, StackSettings(), monkeypatch)

    (envoy,) = [
        each for group in options.process_group_configs for each in group.process_configs if each.name == "envoy"
    ]
    assert f"--concurrency {threads} " in envoy.command


@pytest.mark.parametrize(
    ("mib", "chosen", "buffers"), [(512, "0", 128), (8_192, "0", 1_024), (65_536, "0", 2_048), (8_192, "300", 300)]
)
def test_postgresql_keeps_an_eighth_of_the_memory_in_bounds_or_what_is_chosen(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, mib: int, chosen: str, buffers: int
) -> None:
    monkeypatch.setattr("deploy.local.memory.total_bytes", lambda: mib << 20)
    monkeypatch.setenv("POSTGRES_SHARED_BUFFERS_MB", chosen)

    options = read_back(layout, StackSettings(), monkeypatch)

    (postgres,) = [
        each for group in options.process_group_configs for each in group.process_configs if each.name == "postgres"
    ]
    assert f"--set shared_buffers={buffers}MB" in postgres.command


def test_the_memory_is_that_of_the_container_where_it_has_a_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    machine = memory.total_bytes()

    (tmp_path / "memory.max").write_text("max\n")
    without_bound = memory.total_bytes()
    (tmp_path / "memory.max").write_text(f"{64 << 20}\n")
    with_bound = memory.total_bytes()

    assert (without_bound, with_bound) == (machine, 64 << 20)


def test_each_worker_knows_its_name_and_its_own_ports(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIG_WORKERS", "3")

    options = read_back(layout, StackSettings(), monkeypatch)

    (services,) = [group for group in options.process_group_configs if group.name == "services"]
    workers = [process.name for process in services.process_configs if process.autostart]
    streaming = ["gig-images", "order-events"]
    assert workers == ["gig-0", "gig-1", "gig-2", "order-0", "order-1", "review-0", "review-1", *streaming]
    assert [written_environment(layout, name)["LISTEN"] for name in streaming] == ["127.0.0.1:10007", "127.0.0.1:10015"]
    own = written_environment(layout, "gig-2")
    assert {name: own[name] for name in ("WORKER", "LISTEN", "METRICS_LISTEN")} == {
        "WORKER": "gig-2",
        "LISTEN": "127.0.0.1:10002",
        "METRICS_LISTEN": "127.0.0.1:10026",
    }


def test_a_database_of_ones_own_takes_the_place_of_the_embedded_one(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in ("GIG", "ORDER", "REVIEW", "SANDBOX"):
        monkeypatch.setenv(f"{service}_DATABASE_URL", f"postgresql://db.example/{service}")
    settings = StackSettings()

    environment = of_service("order", settings, layout, {})

    assert environment["ORDER_DATABASE_URL"] == "postgresql://db.example/ORDER"
    assert "postgres" not in {process.name for process in supervise.processes(settings, layout)}


def test_the_local_key_counts_only_while_no_other_is_set(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    local = of_service("gig-images", StackSettings(), layout, {})
    monkeypatch.setenv("USER_JWKS", "https://id.example/jwks")
    monkeypatch.setenv("USER_JWT_ISSUER", "https://id.example")
    monkeypatch.setenv("USER_JWT_AUDIENCE", "market")

    other = of_service("gig-images", StackSettings(), layout, {})

    assert local["USER_JWKS"] == str(layout.data_dir / "keys" / "user.jwks.json")
    assert (local["USER_JWT_ISSUER"], local["USER_JWT_AUDIENCE"]) == ("marketplace-local", "marketplace")
    assert other["USER_JWKS"] == "https://id.example/jwks"
    assert (other["USER_JWT_ISSUER"], other["USER_JWT_AUDIENCE"]) == ("https://id.example", "market")


def test_a_deep_data_folder_gets_a_short_private_folder_for_its_sockets(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / ("x" * 100))

    layout.create()

    try:
        assert layout.sockets != layout.run
        assert len(str(layout.postgres_socket / ".s.PGSQL.5432.lock")) < 107
        assert layout.sockets.stat().st_mode & 0o066 == 0
    finally:
        layout.remove_sockets()


def test_pictures_lie_in_the_data_folder_and_the_edge_knows_who_takes_them(layout: Layout) -> None:
    environment = of_service("gig-images", StackSettings(), layout, {})

    assert environment["MEDIA_DIR"] == str(layout.media)
    assert environment["MEDIA_URL"] == "http://127.0.0.1:8080/media"
    edge = of_edge_renderer(StackSettings(), layout, {})
    assert edge["MEDIA_DIR"] == str(edge_base(layout) / "media")
    assert edge["IMAGE_SERVICE_ADDRESSES"] == "127.0.0.1:10007,127.0.0.1:10006"
    assert (layout.media.stat().st_mode & 0o777, layout.uploads.stat().st_mode & 0o777) == (0o755, 0o700)
