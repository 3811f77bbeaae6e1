"""The schema refuses wrong values, and says which."""

import json
import re

import jsonschema
import pytest
import yaml

from tests.helm.manifests import CHART

WRONG = {
    "serving.nam=x": "/serving",
    "serving.workers.replicas=0": "/serving/workers/replicas",
    "serving.workers.replicas=many": "/serving/workers/replicas",
    "serving.workers.resources.limits.memory=8GB": "/serving/workers/resources/limits/memory",
    "serving.router.replicas=0": "/serving/router/replicas",
    "serving.name=Twin": "/serving/name",
    "images.tag=latest": "/images/tag",
    "images.pullPolicy=Sometimes": "/images/pullPolicy",
    "images.repository=https://example.com/twin:1": "/images/repository",
    "jobs.namespace=Twin_Jobs": "/jobs/namespace",
    "jobs.quota.cpu=lots": "/jobs/quota/cpu",
    "airflow.serviceAccounts=null": "airflow",
    "airflow.serviceAccounts[0].name=x": "/airflow/serviceAccounts/0",
    "settings.TWIN_MONGO_URI=mongodb://u:p@h": "TWIN_MONGO_URI",
    "settings.AWS_SECRET_ACCESS_KEY=x": "AWS_SECRET_ACCESS_KEY",
    "settings.TWIN_REMOTE_API_KEY=x": "TWIN_REMOTE_API_KEY",
    "settings.TWIN_JUDGE_API_KEY=x": "TWIN_JUDGE_API_KEY",
    "settings.TWIN_TEACHER_API_KEY=x": "TWIN_TEACHER_API_KEY",
    "settings.TWIN_HUB_TOKEN=x": "TWIN_HUB_TOKEN",
    "settings.TWIN_GITHUB_TOKEN=x": "TWIN_GITHUB_TOKEN",
    "settings.HF_TOKEN=x": "HF_TOKEN",
    "settings.PATH=/bin": "PATH",
    "serving.engines.replica=2": "/serving/engines",
    "serving.engines.replicas=-1": "/serving/engines/replicas",
    "serving.engines.maxReplicas=0": "/serving/engines/maxReplicas",
    "serving.engines.resources.limits.memory=8GB": "/serving/engines/resources/limits/memory",
    "serving.head.redis.address=redis": "/serving/head/redis/address",
    "serving.head.redis.adress=redis:1": "/serving/head/redis",
    "serving.podDisruptionBudget.maxUnavailable=50%": "/serving/podDisruptionBudget/maxUnavailable",
    "credentials.source=plain": "/credentials/source",
    "credentials.source=external": "/credentials/external/storeName",
    "credentials.source=values": "/credentials/values",
    "credentials.values.TWIN_API_KEYS=x": "/credentials/values",
    "credentials.parts.crwal.TWIN_MONGO_URI=x": "invalid propertyName 'crwal'",
    "credentials.external.keys.crawl=null": "/credentials/external/keys",
    "networkPolicy.stores.qdrant=null": "/networkPolicy/stores",
    "gateway.enabled=true": "/gateway/host",
    "gateway.enabled=true,gateway.host=twin.example.com": "/gateway/parentRefs",
    "networkPolicy.monitoring.namespaceSelector=x": "/networkPolicy/monitoring",
    "recipes.Jane=x": "invalid propertyName 'Jane'",
    "recipes.jane=1": "/recipes/jane",
    "ingress.enabled=true": "/ingress/host",
    "ingress.enabled=true,ingress.host=twin.example.com": "/ingress/tlsSecretName",
    "networkPolicy.crawlerExcept.ipv4=null": "/networkPolicy/crawlerExcept",
    "networkPolicy.apiServer.cidrs={10.0.0.1}": "/networkPolicy/apiServer/cidrs/0",
    "podMonitor.interval=often": "/podMonitor/interval",
    "install.redis=true": "/install",
    "images.jobsTag=latest": "/images/jobsTag",
    "images.digests.crawl=1.0": "/images/digests/crawl",
    "images.digests.crwal=sha256:1": "/images/digests",
    "jobs.nightlyRecipes={../x}": "/jobs/nightlyRecipes/0",
    "airflow.remoteLogs.folder=/var/log": "/airflow/remoteLogs/folder",
    "credentials.storesValues.MLFLOW_X=x": "/credentials/storesValues",
    "serving.autoscaling.upscalingMode=Aggressive": "/serving/autoscaling/upscalingMode",
    "priorityClasses.serving=2000000000": "/priorityClasses/serving",
    "kueue.flavors=null": "kueue",
    "kueue.flavors[0].quota.cpu=lots": "/kueue/flavors/0",
    "dashboard.enabled=maybe": "/dashboard/enabled",
    "alerts.errorShare=5": "/alerts/errorShare",
    "alerts.runbookUrl=see the wiki": "/alerts/runbookUrl",
    "mongodb.image.tag=latest": "/mongodb/image/tag",
    "mongodb.storage.size=big": "/mongodb/storage/size",
    "mlflow.autoscaling.minReplicas=1": "/mlflow/autoscaling/minReplicas",
    "mlflow.auth.defaultPermission=ALL": "/mlflow/auth/defaultPermission",
    "mlflow.artifactsDestination=/data": "/mlflow/artifactsDestination",
    "s3.buckets={A}": "/s3/buckets/0",
}


@pytest.mark.parametrize("sets", WRONG)
def test_wrong_value_is_refused(run_helm, chart, sets):
    done = run_helm("template", "twin", chart, "--set", sets)
    assert done.returncode != 0
    assert "don't meet the specifications of the schema" in done.stderr
    assert WRONG[sets] in done.stderr


def test_every_secret_of_the_settings_is_refused_among_them():
    """They are for a ConfigMap, which anyone may read who may look into the namespace."""
    from pydantic import SecretStr

    from twin.settings import Settings

    schema = json.loads((CHART / "values.schema.json").read_text())
    refused = schema["properties"]["settings"]["propertyNames"]["not"]["enum"]
    secret = {
        f"TWIN_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if SecretStr.__name__ in str(field.annotation)
    }
    assert len(secret) > 8
    assert secret <= set(refused)


def test_schema_is_a_schema_and_knows_every_value():
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def leaves(value, path=()):
    """Paths of all values in a tree of mappings."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


def test_every_value_that_a_template_reads_has_a_default():
    """A misspelt path in a template renders to nothing, and nobody is told."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = {path[:length] for path in leaves(values) for length in range(1, len(path) + 1)}
    read = set()
    for template in (CHART / "templates").rglob("*"):
        if template.is_file():
            text = template.read_text()
            read |= {match.strip(".") for match in re.findall(r"\$?\.Values\.([\w.]+)", text)}
    assert len(read) > 60
    unknown = {path for path in read if tuple(path.split(".")) not in known}
    assert not unknown
