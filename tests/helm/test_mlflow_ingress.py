"""People reach MLflow by TLS and as users, or not at all."""

import pytest

from tests.helm.manifests import PRODUCTION, find, only


def hosts(manifests):
    (container,) = only(manifests, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    (own,) = [v["value"] for v in container["env"] if v["name"] == "MLFLOW_SERVER_ALLOWED_HOSTS"]
    return own.split(",")


def test_it_leads_to_a_server_that_answers_to_its_name_and_asks_who_comes(render):
    manifests = render(PRODUCTION)
    spec = only(manifests, "Ingress", "mlflow")["spec"]
    (rule,) = spec["rules"]
    assert spec["tls"] == [{"hosts": [rule["host"]], "secretName": "mlflow-tls"}]
    assert rule["host"] in hosts(manifests)
    (path,) = rule["http"]["paths"]
    service = only(manifests, "Service", path["backend"]["service"]["name"])
    assert path["backend"]["service"]["port"]["name"] in {
        p["name"] for p in service["spec"]["ports"]
    }
    (container,) = only(manifests, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"]
    assert "basic-auth" in container["args"]


def test_the_ingress_controller_is_let_through_only_where_there_is_one(render):
    def callers(manifests):
        (rule, *_) = only(manifests, "NetworkPolicy", "twin-mlflow")["spec"]["ingress"]
        return [
            peer.get("namespaceSelector", {}).get("matchLabels", {}).get(
                "kubernetes.io/metadata.name"
            )
            for peer in rule["from"]
        ]  # fmt: skip

    assert "ingress-nginx" in callers(render(PRODUCTION))
    without = render(PRODUCTION, "mlflow.ingress.enabled=false")
    assert not find(without, "Ingress", "mlflow")
    assert "ingress-nginx" not in callers(without)
    assert "mlflow.twin.example.com" not in hosts(without)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("mlflow.auth.enabled=false", "set mlflow.auth.enabled, so that it asks who comes"),
        ("mlflow.ingress.host=", "mlflow"),
        ("mlflow.ingress.tlsSecretName=", "mlflow"),
    ],
)
def test_a_way_in_that_anybody_could_take_is_refused(run_helm, chart, change, says):
    done = run_helm("template", "twin", chart, "--values", PRODUCTION, "--set", change)
    assert done.returncode != 0
    assert says in done.stderr
