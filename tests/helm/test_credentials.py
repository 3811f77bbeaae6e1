"""Each part of the platform has its own Secret, and only what it needs is in it."""

import base64

import yaml

from tests.helm.manifests import (
    CHART,
    DEV,
    PRODUCTION,
    find,
    only,
    profiles,
)


class TestCredentials:
    SECRETS = ("example-key", "example-secret")
    PARTS = ("crawl", "fetch", "job", "rollout")

    def test_none_are_made_by_default(self, render):
        assert not find(render(), "Secret")

    def test_given_ones_are_in_the_secret_and_nowhere_else(self, render):
        manifests = render(CHART / "ci" / "laptop-values.yaml")
        secret = only(manifests, "Secret", "twin-credentials-serving")
        held = {base64.b64decode(value).decode() for value in secret["data"].values()}
        assert set(self.SECRETS) <= held
        rest = yaml.safe_dump([item for item in manifests if item["kind"] != "Secret"])
        for value in held:
            assert value not in rest

    def test_external_ones_are_fetched_into_both_namespaces(self, render):
        manifests = render(PRODUCTION)
        assert not find(manifests, "Secret")
        external = find(manifests, "ExternalSecret")
        where = {
            (item["spec"]["target"]["name"], item["metadata"]["namespace"]) for item in external
        }
        assert where == {
            ("twin-credentials-serving", "twin"),
            *((f"twin-credentials-{part}", "twin-jobs") for part in (*self.PARTS, "backup")),
            ("twin-airflow", "twin"),
            ("twin-stores", "twin"),
        }
        entries = {item["spec"]["dataFrom"][0]["extract"]["key"] for item in external}
        assert len(entries) == 8, "each Secret has an entry of its own"

    def test_addresses_of_databases_are_for_backups_alone(self, render):
        held = self.held(render, "credentials.parts.backup.TWIN_DATABASES=of-backups")
        assert held.pop("backup") == {"TWIN_DATABASES": "of-backups"}
        assert not any("TWIN_DATABASES" in values for values in held.values())
        readers = {
            name
            for name, pod in profiles().items()
            for source in pod["spec"]["containers"][0]["envFrom"]
            if source.get("secretRef", {}).get("name") == "twin-credentials-backup"
        }
        assert readers == {"backup"}
        assert "backup" not in self.held(render), "without any there is no Secret"

    def test_trainers_may_have_a_user_of_their_own(self, render):
        held = self.held(render, "credentials.parts.training.TWIN_MLFLOW_USERNAME=training")
        assert held["training"] == {"TWIN_MLFLOW_USERNAME": "training"}
        assert held["job"]["TWIN_MLFLOW_USERNAME"] == "of-all"
        external = render(PRODUCTION, "credentials.external.keys.training=llm-twin/training")
        (entry,) = (
            item["spec"]["dataFrom"][0]["extract"]["key"]
            for item in find(external, "ExternalSecret", "twin-credentials-training")
        )
        assert entry == "llm-twin/training"

    def test_jobs_cannot_read_what_only_servers_and_airflow_need(self, render):
        secrets = find(render(DEV), "Secret")
        assert len(secrets) == 7
        among_jobs = [item for item in secrets if item["metadata"]["namespace"] == "twin-jobs"]
        assert {item["metadata"]["name"] for item in among_jobs} == {
            f"twin-credentials-{part}" for part in self.PARTS
        }
        for item in among_jobs:
            assert not {"ADMIN_PASSWORD", "MONGO_INITDB_ROOT_PASSWORD"} & set(item["data"])

    def held(self, render, *sets):
        """Names of the variables that each part is given of one that knows them all."""
        names = (
            "TWIN_MONGO_URI", "TWIN_API_KEYS", "TWIN_INDEX_API_KEY", "TWIN_MLFLOW_USERNAME",
            "TWIN_MLFLOW_PASSWORD", "TWIN_HUB_TOKEN", "TWIN_GITHUB_TOKEN", "TWIN_REMOTE_API_KEY",
            "TWIN_JUDGE_API_KEY", "TWIN_TEACHER_API_KEY", "TWIN_LABEL_STUDIO_TOKEN",
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
        )  # fmt: skip
        given = [f"credentials.values.{name}=of-all" for name in names]
        manifests = render(None, "credentials.source=values", *given, *sets)
        return {
            item["metadata"]["name"].removeprefix("twin-credentials-"): {
                name: base64.b64decode(value).decode() for name, value in item["data"].items()
            }
            for item in find(manifests, "Secret")
        }

    def test_each_part_is_given_what_it_needs_and_no_more(self, render):
        bucket = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        registry = {"TWIN_MLFLOW_USERNAME", "TWIN_MLFLOW_PASSWORD"}
        remote = {"TWIN_REMOTE_API_KEY", "TWIN_JUDGE_API_KEY"}
        index = {"TWIN_INDEX_API_KEY"}
        held = {part: set(values) - bucket for part, values in self.held(render).items()}
        assert held == {
            "crawl": {"TWIN_MONGO_URI", "TWIN_GITHUB_TOKEN"},
            "fetch": {"TWIN_HUB_TOKEN"},
            "job": {"TWIN_MONGO_URI", "TWIN_TEACHER_API_KEY", "TWIN_LABEL_STUDIO_TOKEN"}
            | registry | remote | index,
            "rollout": {"TWIN_MONGO_URI", "TWIN_API_KEYS"} | registry | index,
            "serving": {"TWIN_MONGO_URI", "TWIN_API_KEYS"} | registry | remote | index,
        }  # fmt: skip
        for values in self.held(render).values():
            assert bucket <= set(values)

    def test_a_part_may_have_a_user_of_its_own(self, render):
        held = self.held(render, "credentials.parts.crawl.TWIN_MONGO_URI=of-the-crawl")
        users = {part: values.get("TWIN_MONGO_URI") for part, values in held.items()}
        assert users.pop("crawl") == "of-the-crawl"
        assert set(users.values()) == {"of-all", None}
