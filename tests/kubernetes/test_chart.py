"""The chart, rendered by Helm itself, agrees with the code: settings, ports, calls, health, privileges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from deploy.helm import schemas
from deploy.helm.check import CHART, NAMESPACE, RELEASE, ROOT, chart_errors, containers, examples, render
from deploy.helm.program import HelmError
from deploy.local import supervise, takeover
from deploy.local.environment import SETTINGS
from deploy.local.layout import Layout
from deploy.local.ports import DEFAULT_EDGE_PORT, STREAMING, Ports
from deploy.local.settings import StackSettings
from edge.bootstrap import render as render_bootstrap
from edge.settings import EdgeSettings
from marketplace.event.v1 import event_pb2
from marketplace.gig.v1 import gig_pb2, image_pb2
from marketplace.order.v1 import order_pb2
from marketplace.review.v1 import review_pb2
from servicekit.internal_tls import EDGE, host_name, spiffe_id

Resource = dict[str, Any]

PROGRAMS: dict[str, dict[str, Any]] = yaml.safe_load((CHART / "files" / "programs.yaml").read_text())
PORTS = Ports(DEFAULT_EDGE_PORT)
PROBE_PORT = 10100
# The first service of each program's spec.
SERVED = {
    "gig": gig_pb2.DESCRIPTOR.services_by_name["GigService"],
    "gig-images": image_pb2.DESCRIPTOR.services_by_name["ImageService"],
    "order": order_pb2.DESCRIPTOR.services_by_name["OrderService"],
    "order-events": event_pb2.DESCRIPTOR.services_by_name["EventService"],
    "review": review_pb2.DESCRIPTOR.services_by_name["ReviewService"],
}
# The setting of the edge with the addresses of each program.
EDGE_SETTINGS = {"gig": "GIG", "gig-images": "IMAGE", "order": "ORDER", "order-events": "EVENT", "review": "REVIEW"}


@pytest.fixture(scope="module", params=[values.name for values in examples()])
def example(request: pytest.FixtureRequest) -> list[Resource]:
    """Return the chart's resources with one of the examples of values."""
    return render(CHART.parent / request.param)


def of_kind(resources: list[Resource], kind: str) -> Iterator[Resource]:
    return (resource for resource in resources if resource["kind"] == kind)


def named(resources: list[Resource], kind: str, name: str) -> Resource:
    return next(
        resource for resource in of_kind(resources, kind) if resource["metadata"]["name"] == f"{RELEASE}-{name}"
    )


def environment(container: Any) -> dict[str, str]:
    """Return the variables of a container; those of Secrets with a value that stands for them."""
    values = {"uri": "postgresql:///x", "keys": "A" * 43 + "="}
    return {
        variable["name"]: variable.get("value")
        or values.get(variable["valueFrom"].get("secretKeyRef", {}).get("key"), "secret")
        for variable in container["env"]
    }


def container_of(resources: list[Resource], name: str) -> Any:
    deployment = named(resources, "Deployment", name)
    return next(each for each in containers(deployment) if each["name"] == ("bootstrap" if name == "edge" else name))


def test_every_resource_is_right_by_its_schema(example: list[Resource]) -> None:
    assert [error for resource in example for error in schemas.errors(resource)] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_starts_with_the_settings_of_its_container(
    example: list[Resource], program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environment(container_of(example, program))
    for name in SETTINGS[program].model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = SETTINGS[program]()

    port, metrics_port = PROGRAMS[program]["port"], PROGRAMS[program]["metricsPort"]
    assert (settings.listen, settings.metrics_listen) == (f"0.0.0.0:{port}", f"0.0.0.0:{metrics_port}")  # type: ignore[attr-defined]


def test_the_edge_is_rendered_from_the_settings_of_its_container(
    example: list[Resource], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in EdgeSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    jwks = tmp_path / "jwks.json"
    jwks.write_text('{"keys": []}')
    for name, value in environment(container_of(example, "edge")).items():
        # Files of Secrets, which are not here.
        monkeypatch.setenv(name, str(jwks) if value.startswith("/etc/marketplace/users/") else value)

    settings = EdgeSettings()  # type: ignore[call-arg]

    bootstrap = yaml.load(render_bootstrap(settings, tmp_path), yaml.CSafeLoader)
    clusters = {cluster["name"]: cluster for cluster in bootstrap["static_resources"]["clusters"]}
    for program, setting in EDGE_SETTINGS.items():
        cluster = clusters[setting.lower()]
        (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        address = endpoint["endpoint"]["address"]["socket_address"]
        # Every address that DNS has is a worker of its own.
        assert cluster["type"] == "STRICT_DNS"
        assert address == {"address": f"{RELEASE}-{program}.{NAMESPACE}.svc", "port_value": PROGRAMS[program]["port"]}


def test_the_ports_are_those_of_one_machine() -> None:
    expected = {service: (PORTS.rpc(service, 0), PORTS.metrics(service, 0)) for service in ("gig", "order", "review")}
    expected |= {
        name: (PORTS.streaming(service), PORTS.streaming_metrics(service)) for service, name in STREAMING.items()
    }

    assert {name: (facts["port"], facts["metricsPort"]) for name, facts in PROGRAMS.items()} == expected


def test_each_process_has_the_certificate_of_its_own_identity_alone(example: list[Resource]) -> None:
    is_off = environment(container_of(example, "edge"))["INTERNAL_TLS"] == "off"
    certificates = {each["spec"]["secretName"]: each["spec"] for each in of_kind(example, "Certificate")}
    for identity in (*PROGRAMS, EDGE):
        pod = named(example, "Deployment", identity)["spec"]["template"]["spec"]
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        mounts = [
            {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "internal-tls"}
            for container in containers(named(example, "Deployment", identity))
        ]
        assert environment(container_of(example, identity))["INTERNAL_TLS"] == ("off" if is_off else "on")
        if is_off:
            assert "internal-tls" not in secrets
            continue
        folder = environment(container_of(example, identity))["INTERNAL_TLS_FOLDER"]
        # Envoy reads the files as well as its renderer.
        assert mounts == [{f"{folder}/{identity}"}] * len(mounts)
        assert secrets["internal-tls"].endswith(f"-{identity}")
        if certificates:
            made = certificates[secrets["internal-tls"]]
            assert (made["uris"], made["dnsNames"]) == ([spiffe_id(identity)], [host_name(identity)])


def test_the_edges_ports_agree_with_its_probes_its_drain_and_one_machine(example: list[Resource]) -> None:
    deployment = named(example, "Deployment", "edge")
    given = environment(container_of(example, "edge"))
    envoy = next(each for each in containers(deployment) if each["name"] == "envoy")
    ports = {port["name"]: port["containerPort"] for port in envoy["ports"]}
    drain = envoy["lifecycle"]["preStop"]["exec"]["command"]

    assert int(given["PORT"]) == ports["http"] == DEFAULT_EDGE_PORT
    assert int(given["ENVOY_METRICS_PORT"]) == ports["metrics"]
    assert int(given["ENVOY_ADMIN_PORT"]) == PORTS.envoy_admin
    assert drain[drain.index("--admin-port") + 1] == given["ENVOY_ADMIN_PORT"]
    assert ports["metrics"] not in PORTS.used({"gig": 7, "order": 7, "review": 7}, traces=True)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert envoy[probe]["httpGet"] == {"path": "/ready", "port": "metrics"}


def test_envoy_is_started_as_on_one_machine_but_for_its_hot_restart(example: list[Resource], tmp_path: Path) -> None:
    settings = StackSettings(data_dir=tmp_path, edge_threads=3)

    process = next(each for each in supervise.processes(settings, Layout.of(tmp_path)) if each.name == "envoy")
    local = process.command[process.command.index("-c") + 2 :]
    envoy = next(each for each in containers(named(example, "Deployment", "edge")) if each["name"] == "envoy")
    words = envoy["command"][3:]
    # A pod is replaced as a whole: there is no Envoy beside it to hand the sockets to.
    assert words.pop(0) == "--disable-hot-restart"
    options = takeover.options()
    assert local[: len(options)] == options
    del local[: len(options)]
    local[local.index("--concurrency") + 1] = words[words.index("--concurrency") + 1]

    assert words == local


def test_the_database_has_connections_for_every_pod_that_may_be_there(example: list[Resource]) -> None:
    assert PROGRAMS["order"]["connections"] == supervise._CONNECTIONS_PER_ORDER_WORKER
    others = {facts["connections"] for name, facts in PROGRAMS.items() if name != "order"}
    assert others == {supervise._CONNECTIONS_PER_WORKER}

    for cluster in of_kind(example, "Cluster"):
        service = cluster["spec"]["bootstrap"]["initdb"]["database"].removesuffix("s")
        needed = sum(
            facts["connections"] * (1 + most_pods(example, name))
            for name, facts in PROGRAMS.items()
            if facts["service"] == service
        )
        assert int(cluster["spec"]["postgresql"]["parameters"]["max_connections"]) > needed


def most_pods(resources: list[Resource], program: str) -> int:
    scaler = [each for each in of_kind(resources, "HorizontalPodAutoscaler") if program_of(each) == program]
    if scaler:
        return int(scaler[0]["spec"]["maxReplicas"])
    return int(named(resources, "Deployment", program)["spec"]["replicas"])


def program_of(resource: Resource) -> str:
    return str(resource["metadata"]["labels"]["app.kubernetes.io/component"])


@pytest.mark.parametrize("program", PROGRAMS)
def test_probes_name_a_service_whose_health_the_program_has(example: list[Resource], program: str) -> None:
    container = container_of(example, program)

    for probe in ("startupProbe", "readinessProbe"):
        grpc = container[probe]["grpc"]
        assert grpc == {"port": PROBE_PORT, "service": SERVED[program].full_name}
    assert container["livenessProbe"]["grpc"] == {"port": PROBE_PORT}
    assert environment(container)["PROBE_LISTEN"] == f"0.0.0.0:{PROBE_PORT}"
    assert PROBE_PORT not in (PROGRAMS[program]["port"], PROGRAMS[program]["metricsPort"])


def test_every_call_has_its_policy_and_no_other_is_let_through(example: list[Resource]) -> None:
    policies = {
        policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component"): policy["spec"]
        for policy in of_kind(example, "NetworkPolicy")
    }
    if not policies:
        pytest.skip("this example has no policies")
    # The calls are those whose callers have a setting with the addresses of the called.
    calls = {("edge", program) for program in PROGRAMS}
    calls |= {
        (caller, called)
        for caller in PROGRAMS
        for called in ("gig", "order", "review")
        if f"{called}_service_addresses" in SETTINGS[caller].model_fields
    }

    entering = {
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"], program)
        for program in PROGRAMS
        for rule in policies[program]["ingress"]
        if rule["ports"] == [{"port": PROGRAMS[program]["port"]}]
        for peer in rule["from"]
    }
    leaving = {
        (program, component)
        for program in (*PROGRAMS, "edge")
        for rule in policies[program]["egress"]
        for peer in rule.get("to", ())
        if (component := peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component"))
    }

    assert entering == calls
    assert leaving == calls


def test_a_database_is_reached_by_its_own_service_alone(example: list[Resource]) -> None:
    for policy in of_kind(example, "NetworkPolicy"):
        cluster = policy["spec"]["podSelector"]["matchLabels"].get("cnpg.io/cluster")
        if cluster is None:
            continue
        service = cluster.removeprefix(f"{RELEASE}-").removesuffix("-db")
        ours = {name for name, facts in PROGRAMS.items() if facts["service"] == service}
        admitted = {
            peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            for rule in policy["spec"]["ingress"]
            for peer in rule["from"]
            if "app.kubernetes.io/component" in peer.get("podSelector", {}).get("matchLabels", {})
        }
        assert admitted == {*ours, f"{service}-migrations"}


def test_no_container_has_privileges_or_writes_its_own_files(example: list[Resource]) -> None:
    pods = [each["spec"]["template"]["spec"] for each in example if each["kind"] in ("Deployment", "Job")]

    assert len(pods) == len(PROGRAMS) + 1 + 3
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= container["resources"].keys()


def test_secrets_are_named_and_never_in_the_chart(example: list[Resource]) -> None:
    assert list(of_kind(example, "Secret")) == []
    for deployment in of_kind(example, "Deployment"):
        for container in containers(deployment):
            for variable in container.get("env", ()):
                is_secret = variable["name"].endswith(
                    ("_DATABASE_URL", "_API_KEY", "_SECRET", "WEBHOOK_KEYS", "_ACCESS_KEY")
                )
                assert not is_secret or "secretKeyRef" in variable["valueFrom"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_private_key_is_mounted_where_calls_are_signed_alone(example: list[Resource], program: str) -> None:
    pod = named(example, "Deployment", program)["spec"]["template"]["spec"]
    keys = {
        item["key"] for volume in pod["volumes"] if "secret" in volume for item in volume["secret"].get("items", ())
    }

    assert ("signing-key.pem" in keys) == ("service_signing_key" in SETTINGS[program].model_fields)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_pod_is_killed_only_after_its_process_has_had_its_time(example: list[Resource], program: str) -> None:
    pod = named(example, "Deployment", program)["spec"]["template"]["spec"]
    grace = float(environment(container_of(example, program))["SHUTDOWN_GRACE_SECONDS"])

    assert pod["terminationGracePeriodSeconds"] >= grace + 5


def test_an_edge_is_killed_only_after_its_drain(example: list[Resource]) -> None:
    pod = named(example, "Deployment", "edge")["spec"]["template"]["spec"]
    command = next(each for each in pod["containers"] if each["name"] == "envoy")["lifecycle"]["preStop"]["exec"][
        "command"
    ]
    options = dict(zip(command[3::2], command[4::2], strict=True))

    assert pod["terminationGracePeriodSeconds"] >= int(options["--announce"]) + int(options["--seconds"]) + 5


def test_every_deployment_may_lose_one_pod_at_a_time(example: list[Resource]) -> None:
    budgets = {
        program_of(budget): budget["spec"]["maxUnavailable"] for budget in of_kind(example, "PodDisruptionBudget")
    }

    assert budgets == dict.fromkeys((*PROGRAMS, "edge"), 1)


def test_prometheus_finds_the_metrics_of_every_pod(example: list[Resource]) -> None:
    monitors = list(of_kind(example, "ServiceMonitor"))
    if not monitors:
        pytest.skip("this example has no monitors")
    wanted = {tuple(monitor["spec"]["selector"]["matchLabels"].items()) for monitor in monitors}

    found = {
        program_of(service)
        for service in of_kind(example, "Service")
        if any(set(labels) <= set(service["metadata"]["labels"].items()) for labels in wanted)
        and any(port["name"] == "metrics" for port in service["spec"]["ports"])
    }

    assert found == {*PROGRAMS, "edge"}


def test_every_service_is_migrated_before_an_upgrade(example: list[Resource]) -> None:
    jobs = {job["metadata"]["name"]: job for job in of_kind(example, "Job")}

    assert set(jobs) == {f"{RELEASE}-{service}-migrations" for service in ("gig", "order", "review")}
    for name, job in jobs.items():
        assert "pre-upgrade" in job["metadata"]["annotations"]["helm.sh/hook"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        module = container["command"][2]
        assert module == f"{name.split('-')[1]}_service.migrate"
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_command_of_a_program_is_there(example: list[Resource], program: str) -> None:
    python, option, module = container_of(example, program)["command"]

    assert (python, option) == ("python", "-m")
    assert (ROOT / module.replace(".", "/") / "__main__.py").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("edge.replica=2", "replica"),
        ("databases.kind=sqlite", "kind"),
        ("programs.gig.settings.rpc_threads=8", "rpc_threads"),
        ("databases.cloudnativepg.instances=1", "instances"),
        ("images.edge.digest=latest", "digest"),
        ("user.uid=0", "uid"),
        ("users.issuer=", "users.issuer"),
        ("pictures.s3.bucket=", "pictures.s3.bucket"),
        ("files.s3Bucket=", "files.s3Bucket"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(change: str, complaint: str) -> None:
    with pytest.raises(HelmError, match=complaint):
        render(CHART.parent / "values-production.yaml", change)


def test_a_setting_that_a_program_does_not_have_is_an_error(tmp_path: Path) -> None:
    values = yaml.safe_load((CHART.parent / "values-small.yaml").read_text())
    values["programs"]["gig"]["settings"] = {"RPC_THREDS": "8"}
    (tmp_path / "values.yaml").write_text(json.dumps(values))

    (error,) = chart_errors(tmp_path / "values.yaml")

    assert error.endswith("gig has no setting RPC_THREDS")


@pytest.mark.parametrize(
    ("version", "kind", "spec"),
    [
        ("apps/v1", "Deploiment", {}),
        ("apps/v2", "Deployment", {}),
        ("policy.example/v1", "PodDisruptionBudget", {}),
        ("postgresql.cnpg.io/v1", "Pooler", {}),
        ("policy/v1", "PodDisruptionBudget", {"maxUnavailible": 1}),
        ("postgresql.cnpg.io/v1", "Cluster", {"instances": 1, "storage": {"size": "1Gi", "class": "fast"}}),
        ("monitoring.coreos.com/v1", "ServiceMonitor", {"selector": {"matchLabels": {}}, "endpoints": []}),
    ],
)
def test_an_unknown_kind_and_an_unknown_field_are_errors(version: str, kind: str, spec: dict[str, Any]) -> None:
    assert list(schemas.errors({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}))
