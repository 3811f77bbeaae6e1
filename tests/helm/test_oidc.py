"""The example in which people log in at a provider of OpenID Connect, over that of production."""

import json
import re

import pytest
import yaml

from tests.helm.manifests import CHART, PRODUCTION, ROOT, Manifest, only

LOGIN = ROOT / "images" / "airflow" / "webserver_config.py"
OIDC = CHART / "values-oidc.yaml"


@pytest.fixture(scope="module")
def rendered(run_helm, chart) -> list[Manifest]:
    done = run_helm(
        "template", "twin", chart, "--namespace", "twin", "--values", PRODUCTION, "--values", OIDC
    )
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@pytest.fixture(scope="module")
def airflow() -> dict:
    return yaml.safe_load(OIDC.read_text())["airflowChart"]


def test_mlflow_is_behind_the_provider_and_asks_for_its_user_all_the_same(rendered):
    notes = only(rendered, "Ingress", "mlflow")["metadata"]["annotations"]
    assert notes["nginx.ingress.kubernetes.io/auth-url"].endswith("/oauth2/auth")
    assert (
        "rd=$scheme://$host$escaped_request_uri"
        in (notes["nginx.ingress.kubernetes.io/auth-signin"])
    )
    pod = only(rendered, "Deployment", "mlflow")["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][-2:] == ["--app-name", "basic-auth"]
    # The endpoint has keys of its own: a script cannot log in.
    notes = only(rendered, "Ingress", "twin")["metadata"]["annotations"]
    assert not any("auth-" in name for name in notes)


def test_airflow_is_told_all_that_the_login_reads(airflow):
    read = set(re.findall(r'os\.environ\["(\w+)"\]', LOGIN.read_text()))
    told = {item["name"]: item["value"] for item in airflow["env"]}
    assert read - set(told) == {"TWIN_OIDC_CLIENT_SECRET"}, "the rest comes from the Secret"
    roles = json.loads(told["TWIN_OIDC_ROLES"])
    assert {role for given in roles.values() for role in given} <= {
        "Admin",
        "Op",
        "User",
        "Viewer",
        "Public",
    }
    assert told["TWIN_OIDC_ISSUER"].startswith("https://")


def test_the_login_is_the_one_in_the_image(airflow):
    dockerfile = (ROOT / "images" / "airflow" / "Dockerfile").read_text()
    assert f"COPY {LOGIN.relative_to(ROOT)} /layer/opt/airflow/" in dockerfile
    assert airflow["config"]["fab"]["config_file"] == f"/opt/airflow/{LOGIN.name}"
    assert airflow["config"]["core"]["auth_manager"].endswith(".FabAuthManager")


def test_no_password_of_one_admin_is_left(airflow):
    assert "ADMIN_PASSWORD" not in yaml.safe_dump(airflow)
    default = yaml.safe_load((CHART / "values.yaml").read_text())["airflowChart"]
    migrate = "\n".join(default["migrateDatabaseJob"]["args"]).replace(
        "airflow db migrate\n", "airflow db migrate\nairflow fab-db migrate\n"
    )
    assert "\n".join(airflow["migrateDatabaseJob"]["args"]) == migrate
