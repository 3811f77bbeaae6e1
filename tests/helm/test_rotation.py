"""What is started anew when a Secret changes; two releases in one cluster."""

import pytest
import yaml

from tests.helm.manifests import DEV, PRODUCTION, find, only

NOTE = "llm-twin/credentials"


def notes(manifests):
    """Reader to what its pods say of the Secrets that they read."""
    cluster = only(manifests, "RayService")["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    ray = {each["template"]["metadata"].get("annotations", {}).get(NOTE) for each in groups}
    found = {"serving": ray.pop() if len(ray) == 1 else ray}
    for kind, name in (("Deployment", "mlflow"), ("StatefulSet", "s3")):
        for item in find(manifests, kind, name):
            annotations = item["spec"]["template"]["metadata"].get("annotations", {})
            found[name] = annotations.get(NOTE)
    return found


@pytest.mark.parametrize(
    ("changed", "restarted"),
    [
        ("credentials.values.TWIN_API_KEYS=another", {"serving"}),
        ("credentials.parts.serving.TWIN_WEBHOOK_SECRET=another", {"serving"}),
        ("credentials.storesValues.AWS_SECRET_ACCESS_KEY=another", {"mlflow", "s3"}),
        ("credentials.parts.crawl.TWIN_GITHUB_TOKEN=another", set()),
        ("credentials.airflowValues.ADMIN_PASSWORD=another", set()),
        ("credentials.rotation=2027-01", {"serving", "mlflow", "s3"}),
    ],
)
def test_a_changed_secret_restarts_what_reads_it_and_nothing_else(render, changed, restarted):
    before, after = notes(render(DEV)), notes(render(DEV, changed))
    assert all(before.values()) and before.keys() == {"serving", "mlflow", "s3"}
    assert {name for name in before if before[name] != after[name]} == restarted


def test_secrets_of_elsewhere_are_restarted_for_by_hand(render):
    """Without a cluster helm sees no content; so does whatever only renders."""
    assert set(notes(render(PRODUCTION)).values()) == {None}
    assert all(notes(render(PRODUCTION, "credentials.rotation=2027-01")).values())


def test_no_secret_shows_in_its_note(render):
    secret = "a-key-that-nobody-else-has"
    made = render(DEV, f"credentials.values.TWIN_API_KEYS={secret}")
    assert secret not in yaml.safe_dump(only(made, "RayService"))


@pytest.mark.parametrize("values", [DEV, PRODUCTION])
def test_two_releases_share_a_cluster(run_helm, chart, values):
    """Nothing that belongs to the whole cluster, or to a namespace, has the same name in both."""
    names = []
    for release in ("one", "two"):
        done = run_helm(
            "template", release, chart, "--namespace", release, "--values", values,
            "--set", f"jobs.namespace={release}-jobs",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        made = [item for item in yaml.safe_load_all(done.stdout) if item]
        names.append({
            (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
            for item in made
        })  # fmt: skip
    assert len(names[0]) == len(names[1]) > 40
    assert not names[0] & names[1]
