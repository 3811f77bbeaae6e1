"""What the network policies allow, asked as the cluster would be: may this pod reach that one?"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.helm.manifests import (
    DEV,
    PRODUCTION,
    every_values_file,
    find,
    gpu_profiles,
    part_of,
    pods,
    profiles,
    ray_pods,
)


@dataclass(frozen=True)
class Place:
    """One end of a connection: a pod with its namespace, or an address outside the cluster."""

    namespace: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    address: str | None = None


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    expressions = selector.get("matchExpressions", [])
    assert {item["operator"] for item in expressions} <= {"In", "NotIn"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        (labels.get(item["key"]) in item["values"]) == (item["operator"] == "In")
        for item in expressions
    )


def is_peer(peer: dict[str, Any], place: Place, own_namespace: str) -> bool:
    if "ipBlock" in peer:
        if place.address is None:
            return False
        address = ipaddress.ip_address(place.address)
        blocks = [peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", [])]
        cidr, *excluded = (ipaddress.ip_network(block) for block in blocks)
        inside = address.version == cidr.version and address in cidr
        return inside and not any(
            address in block for block in excluded if block.version == address.version
        )
    if place.namespace is None:
        return False
    if "namespaceSelector" in peer:
        named = {"kubernetes.io/metadata.name": place.namespace}
        if not selects(peer["namespaceSelector"], named):
            return False
    elif place.namespace != own_namespace:
        return False
    return selects(peer.get("podSelector", {}), place.labels)


def side_allows(policies, pod: Place, other: Place, port: int, side: str) -> bool:
    """Whether the policies on one end of a connection let it pass (Ingress or Egress)."""
    applying = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and selects(policy["spec"]["podSelector"], pod.labels)
        and side in policy["spec"]["policyTypes"]
    ]
    if not applying:
        return True
    rules, peers = ("egress", "to") if side == "Egress" else ("ingress", "from")
    return any(
        any(is_peer(peer, other, policy["metadata"]["namespace"]) for peer in rule[peers])
        and any(item["port"] == port for item in rule.get("ports", [{"port": port}]))
        for policy in applying
        for rule in policy["spec"].get(rules, [])
    )


def allowed(policies, source: Place, target: Place, port: int) -> bool:
    out = source.namespace is None or side_allows(policies, source, target, port, "Egress")
    into = target.namespace is None or side_allows(policies, target, source, port, "Ingress")
    return out and into


def job(profile: str) -> Place:
    return Place("twin-jobs", profiles()[profile]["metadata"]["labels"])


def outside(address: str) -> Place:
    return Place(address=address)


PRIVATE = [
    "10.1.2.3", "172.20.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "224.0.0.1", "::1", "fd00::1", "fe80::1",
]  # fmt: skip
PUBLIC = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
#: What each part of the platform works with; who takes one over reaches no more than this.
WORKS_WITH = {
    "crawl": {"mongodb", "s3"},
    "fetch": {"s3"},
    "job": {"mongodb", "qdrant", "mlflow", "s3"},
    "rollout": {"mongodb", "qdrant", "mlflow", "s3"},
    "serving": {"mongodb", "qdrant", "mlflow", "s3"},
    "airflow": {"mongodb", "mlflow", "s3"},
}
STORE_PORTS = {"mongodb": 27017, "qdrant": 6333, "mlflow": 5000, "s3": 8333}
DNS = Place("kube-system", {"k8s-app": "kube-dns"})
INGRESS = Place("ingress-nginx", {"app": "controller"})


@pytest.fixture(scope="module")
def policies(render):
    return find(render(), "NetworkPolicy")


@pytest.fixture(scope="module")
def head(render):
    return Place("twin", ray_pods(render())[0]["metadata"]["labels"])


@pytest.fixture(scope="module")
def worker(render):
    return Place("twin", ray_pods(render())[1]["metadata"]["labels"])


@pytest.mark.parametrize("profile", ["crawl", "crawl-browser"])
class TestCrawler:
    @pytest.mark.parametrize("address", PUBLIC)
    @pytest.mark.parametrize("port", [80, 443])
    def test_reaches_the_web(self, policies, profile, address, port):
        assert allowed(policies, job(profile), outside(address), port)

    @pytest.mark.parametrize("address", PRIVATE)
    @pytest.mark.parametrize("port", [80, 443])
    def test_reaches_no_private_address(self, policies, profile, address, port):
        assert not allowed(policies, job(profile), outside(address), port)

    def test_reaches_no_other_port_of_the_web(self, policies, profile):
        for port in (22, 25, 6379, 8265, 27017):
            assert not allowed(policies, job(profile), outside(PUBLIC[0]), port)

    def test_reaches_neither_the_api_server_nor_serving(self, policies, profile, head, worker):
        assert not allowed(policies, job(profile), outside("10.96.0.1"), 443)
        for pod in (head, worker):
            for port in (8000, 8265):
                assert not allowed(policies, job(profile), pod, port)


class TestOtherJobs:
    def test_backups_alone_reach_the_sql_databases(self, render):
        inside = Place(
            "twin",
            {"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": "twin"},
        )
        for values, database in ((PRODUCTION, outside("10.0.17.1")), (DEV, inside)):
            policies = find(render(values), "NetworkPolicy")
            reach = {name for name in profiles() if allowed(policies, job(name), database, 5432)}
            assert reach == {"backup"}
            assert not allowed(policies, job("backup"), database, 22)

    @pytest.mark.parametrize("profile", sorted(profiles()))
    def test_each_reaches_names_and_the_stores_that_it_works_with(self, policies, profile):
        assert allowed(policies, job(profile), DNS, 53)
        for name, port in (("mongodb", 27017), ("qdrant", 6333), ("mlflow", 5000)):
            reaches = allowed(policies, job(profile), Place("stores", {"app": "x"}), port)
            assert reaches == (name in WORKS_WITH[part_of(profile)])
        assert not allowed(policies, job(profile), Place("stores", {"app": "x"}), 22)
        assert not allowed(policies, job(profile), Place("elsewhere", {"app": "x"}), 27017)

    @pytest.mark.parametrize(
        "profile", sorted(set(profiles()) - {"crawl", "crawl-browser", "fetch"})
    )
    def test_only_the_crawler_and_the_fetcher_of_models_read_the_web(self, policies, profile):
        assert not allowed(policies, job(profile), outside(PUBLIC[0]), 80)

    def test_the_fetcher_of_models_reaches_what_the_crawler_does_and_the_stores(self, policies):
        for address in PUBLIC:
            assert allowed(policies, job("fetch"), outside(address), 443)
        for address in PRIVATE:
            assert not allowed(policies, job("fetch"), outside(address), 443)

    def test_only_the_rollout_reaches_the_api_server_and_the_endpoint(self, policies, worker):
        for profile in profiles():
            asks = profile == "rollout"
            assert allowed(policies, job(profile), outside("10.96.0.1"), 443) == asks
            assert allowed(policies, job(profile), worker, 8000) == asks
            assert not allowed(policies, job(profile), worker, 8265)

    def test_nobody_reaches_a_job(self, policies, worker):
        for source in (INGRESS, worker, job("cpu"), Place("airflow", {"app": "x"})):
            for port in (80, 8000, 8080):
                assert not allowed(policies, source, job(gpu_profiles()[0]), port)

    def test_a_stranger_in_the_namespace_of_jobs_is_cut_off(self, policies):
        stranger = Place("twin-jobs", {"app": "stranger"})
        assert not allowed(policies, stranger, outside(PUBLIC[0]), 443)
        assert not allowed(policies, stranger, DNS, 53)


class TestServing:
    def test_callers_come_in_through_the_ingress_only(self, policies, worker):
        assert allowed(policies, INGRESS, worker, 8000)
        for other in (
            outside(PUBLIC[0]),
            Place("default", {"app": "x"}),
            Place("twin", {"a": "b"}),
        ):
            assert not allowed(policies, other, worker, 8000)

    def test_names_and_roles_may_come_from_the_node(self, render, worker, tmp_path):
        """NodeLocal DNSCache, and the agent of EKS Pod Identity, listen on link-local addresses."""
        values = tmp_path / "values.yaml"
        values.write_text(
            "networkPolicy:\n"
            "  dns: [{ipBlock: {cidr: 169.254.20.10/32}}]\n"
            "  identity:\n"
            "    - to: [{ipBlock: {cidr: 169.254.170.23/32}}]\n"
            "      ports: [{protocol: TCP, port: 80}]\n"
        )
        policies = find(render(values), "NetworkPolicy")
        for pod in (worker, *map(job, profiles())):
            assert allowed(policies, pod, outside("169.254.20.10"), 53)
            assert allowed(policies, pod, outside("169.254.170.23"), 80)
            assert not allowed(policies, pod, outside("169.254.169.254"), 80)
            assert not allowed(policies, pod, DNS, 53), "it was replaced"

    def test_there_may_be_several_ways_in(self, render, worker):
        selector = "namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name"
        ways = [
            f"networkPolicy.ingressController[{number}].{selector}={name}"
            for number, name in enumerate(("ingress-nginx", "gateways"))
        ]
        policies = find(render(None, *ways), "NetworkPolicy")
        for namespace in ("ingress-nginx", "gateways"):
            assert allowed(policies, Place(namespace, {"app": "x"}), worker, 8000)
        assert not allowed(policies, Place("monitoring", {"app": "x"}), worker, 8000)

    def test_the_dashboard_hears_the_operator_only(self, policies, head, worker):
        assert allowed(policies, Place("kuberay-system", {"app": "operator"}), head, 8265)
        for other in (INGRESS, job("rollout"), job("cpu"), Place("twin", {"a": "b"})):
            assert not allowed(policies, other, head, 8265)

    def test_the_head_alone_reaches_redis(self, render, head, worker):
        """Of production, where it is at an address of the private network."""
        policies = find(render(PRODUCTION), "NetworkPolicy")
        assert allowed(policies, head, outside("10.0.16.9"), 6379)
        assert not allowed(policies, head, outside("10.0.32.9"), 6379)
        for other in (worker, job("cpu"), job("crawl")):
            assert not allowed(policies, other, outside("10.0.16.9"), 6379)

    def test_ray_talks_to_itself_on_any_port(self, policies, head, worker):
        for port in (6379, 10002, 52365, 8265):
            assert allowed(policies, worker, head, port)
            assert allowed(policies, head, worker, port)

    def test_replicas_reach_stores_and_not_the_web(self, policies, worker):
        assert allowed(policies, worker, Place("stores", {"app": "x"}), 6333)
        assert allowed(policies, worker, outside(PUBLIC[0]), 443)  # the object store
        assert not allowed(policies, worker, outside(PUBLIC[0]), 80)
        assert not allowed(policies, worker, outside("169.254.169.254"), 80)
        assert not allowed(policies, worker, outside("10.0.0.7"), 443)

    def test_metrics_are_read_by_the_monitoring_only(self, policies, worker):
        assert allowed(policies, Place("monitoring", {"app": "prometheus"}), worker, 8080)
        assert not allowed(policies, INGRESS, worker, 8080)


class TestPlatform:
    """Everything in one release."""

    AIRFLOW = Place("twin", {"tier": "airflow", "release": "twin", "component": "scheduler"})
    API_SERVER = Place("twin", {"tier": "airflow", "release": "twin", "component": "api-server"})
    OPERATOR = Place(
        "twin",
        {"app.kubernetes.io/name": "kuberay-operator", "app.kubernetes.io/instance": "twin"},
    )
    DATABASE = Place(
        "twin", {"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": "twin"}
    )
    STRANGER = Place("twin", {"app": "stranger"})

    @pytest.fixture(scope="class")
    def policies(self, render):
        return find(render(DEV), "NetworkPolicy")

    def store(self, name):
        return Place("twin", {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": "twin"})

    @pytest.mark.parametrize("name", STORE_PORTS)
    def test_a_store_hears_those_that_work_with_it(self, policies, worker, name):
        port = STORE_PORTS[name]
        sources = [(part_of(profile), job(profile)) for profile in profiles()]
        sources += [("serving", worker), ("airflow", self.AIRFLOW)]
        for part, source in sources:
            reaches = allowed(policies, source, self.store(name), port)
            assert reaches == (name in WORKS_WITH[part]), part
            assert not allowed(policies, source, self.store(name), 22)

    def test_a_crawl_that_is_taken_over_moves_no_model(self, policies, head, worker):
        """Nor does it reach Airflow, its database, Ray, the index or the metadata address."""
        for target, port in (
            (self.store("mlflow"), 5000), (self.store("qdrant"), 6333), (self.DATABASE, 5432),
            (self.API_SERVER, 8080), (head, 8265), (worker, 8000),
            (outside("169.254.169.254"), 80), (outside("10.96.0.1"), 443),
        ):  # fmt: skip
            assert not allowed(policies, job("crawl"), target, port)

    @pytest.mark.parametrize("name", STORE_PORTS)
    def test_a_store_hears_nobody_else(self, policies, name):
        port = STORE_PORTS[name]
        for other in (
            self.STRANGER, self.OPERATOR, self.DATABASE, INGRESS, outside(PUBLIC[0]),
            Place("default", {"app": "x"}), Place("twin-jobs", {"app": "stranger"}),
        ):  # fmt: skip
            assert not allowed(policies, other, self.store(name), port)

    @pytest.mark.parametrize("name", STORE_PORTS)
    def test_a_store_calls_nobody_but_what_it_keeps_things_in(self, policies, name):
        for address in (PUBLIC[0], "10.96.0.1", "169.254.169.254"):
            assert not allowed(policies, self.store(name), outside(address), 443)
        assert allowed(policies, self.store(name), DNS, 53)
        assert not allowed(policies, self.store(name), self.API_SERVER, 8080)
        assert allowed(policies, self.store(name), self.store("s3"), 8333) == (name == "mlflow")

    def test_qdrant_talks_to_its_own_kind(self, policies):
        assert allowed(policies, self.store("qdrant"), self.store("qdrant"), 6335)
        assert not allowed(policies, job("cpu"), self.store("qdrant"), 6335)
        assert allowed(policies, Place("monitoring", {"app": "p"}), self.store("qdrant"), 6333)

    def test_airflow_starts_jobs_and_reads_no_web(self, policies):
        assert allowed(policies, self.AIRFLOW, outside("10.96.0.1"), 6443)
        assert not allowed(policies, self.AIRFLOW, outside(PUBLIC[0]), 80)
        assert allowed(policies, self.AIRFLOW, self.API_SERVER, 8080)
        assert allowed(policies, self.AIRFLOW, self.DATABASE, 5432)

    def test_airflows_web_server_alone_asks_the_endpoint(self, policies, head, worker):
        assert allowed(policies, self.API_SERVER, worker, 8000)
        assert not allowed(policies, self.AIRFLOW, worker, 8000)
        assert not allowed(policies, self.API_SERVER, head, 8265)

    def test_the_registry_reaches_airflow_where_it_has_a_webhook(self, render, policies):
        mlflow = self.store("mlflow")
        assert not allowed(policies, mlflow, self.API_SERVER, 8080)
        hooked = find(render(DEV, "mlflow.webhook.enabled=true"), "NetworkPolicy")
        assert allowed(hooked, mlflow, self.API_SERVER, 8080)
        assert not allowed(hooked, mlflow, self.AIRFLOW, 8080)
        assert not allowed(hooked, mlflow, outside(PUBLIC[0]), 443)

    def test_without_policies_and_keys_the_registry_has_no_webhook(self, run_helm, chart):
        given = ["mlflow.webhook.enabled", "networkPolicy.enabled", "mlflow.auth.enabled"]
        for last in ("true", "false"):
            values = ",".join(map("=".join, zip(given, ("true", "false", last), strict=True)))
            done = run_helm("template", "twin", chart, "--values", DEV, "--set", values)
            assert (done.returncode == 0) == (last == "true"), done.stderr
        assert "keep networkPolicy.enabled or mlflow.auth.enabled" in done.stderr

    def test_airflow_hears_people_through_the_ingress_only(self, policies, worker):
        assert allowed(policies, INGRESS, self.API_SERVER, 8080)
        for other in (self.STRANGER, worker, job("cpu"), Place("default", {"app": "x"})):
            assert not allowed(policies, other, self.API_SERVER, 8080)

    def test_airflows_database_hears_airflow_only(self, policies, worker):
        for other in (self.STRANGER, worker, job("cpu"), self.store("mlflow"), INGRESS):
            assert not allowed(policies, other, self.DATABASE, 5432)

    def test_the_operator_of_the_release_tends_ray_and_no_other_does(self, policies, head):
        assert allowed(policies, self.OPERATOR, head, 8265)
        assert allowed(policies, self.OPERATOR, outside("10.96.0.1"), 443)
        assert not allowed(policies, Place("kuberay-system", {"app": "x"}), head, 8265)
        assert not allowed(policies, self.OPERATOR, outside(PUBLIC[0]), 80)

    def test_the_autoscaler_reaches_the_api_server(self, render, head):
        scaled = find(render(None, "serving.autoscaling.enabled=true"), "NetworkPolicy")
        assert allowed(scaled, head, outside("10.96.0.1"), 6443)
        assert not allowed(find(render(), "NetworkPolicy"), head, outside("10.96.0.1"), 6443)


@every_values_file
def test_every_pod_of_ours_starts_from_nothing(render, values):
    """Each is selected by a policy of both directions, wherever it lives."""
    manifests = render(values)
    policies = find(manifests, "NetworkPolicy")
    namespaces = {item["metadata"]["namespace"] for item in find(manifests, "ServiceAccount")}
    jobs_namespace = "twin-jobs" if "twin-jobs" in namespaces else "twin"
    started = [(jobs_namespace, pod["metadata"]["labels"]) for pod in profiles().values()]
    started += [
        (pod["metadata"].get("namespace", "twin"), pod["metadata"]["labels"])
        for pod in pods(manifests)
    ]
    for namespace, labels in started:
        applying = [
            policy["spec"]["policyTypes"]
            for policy in policies
            if policy["metadata"]["namespace"] == namespace
            and selects(policy["spec"]["podSelector"], labels)
        ]
        assert ["Ingress", "Egress"] in applying


def test_neighbours_in_a_shared_namespace_are_left_alone(render):
    policies = find(render(None, "jobs.namespace=twin"), "NetworkPolicy")
    airflow = Place("twin", {"component": "scheduler"})
    assert allowed(policies, airflow, outside(PUBLIC[0]), 443)
    assert allowed(policies, INGRESS, airflow, 8080)


def test_they_can_be_switched_off(render):
    assert not find(render(None, "networkPolicy.enabled=false"), "NetworkPolicy")
