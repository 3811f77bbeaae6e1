"""Who may do what: exactly what each needs, in one namespace."""

from tests.helm.manifests import every_values_file, find, only, profiles


def rights(role):
    """A role as a set of (API group, resource, verb)."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def subjects(binding):
    return {(item["kind"], item["namespace"], item["name"]) for item in binding["subjects"]}


@every_values_file
def test_airflow_may_run_pods_and_nothing_else(render, values):
    role = only(render(values), "Role", "twin-airflow")
    pods = {("", "pods", verb) for verb in ("create", "get", "list", "watch", "patch", "delete")}
    assert rights(role) == pods | {
        ("", "pods/log", "get"),
        ("", "pods/exec", "get"),
        ("", "pods/exec", "create"),
        ("", "events", "list"),
        ("", "events", "watch"),
    }


def test_airflow_may_do_so_in_the_namespace_of_jobs_only(render):
    manifests = render()
    named = [
        item for item in manifests if item["kind"] in {"Role", "RoleBinding"}
        and item["metadata"]["name"] == "twin-airflow"
    ]  # fmt: skip
    assert {item["metadata"]["namespace"] for item in named} == {"twin-jobs"}
    binding = only(manifests, "RoleBinding", "twin-airflow")
    assert subjects(binding) == {
        ("ServiceAccount", "airflow", "airflow-scheduler"),
        ("ServiceAccount", "airflow", "airflow-triggerer"),
    }


def test_rollout_may_patch_the_one_ray_service(render):
    manifests = render(None, "serving.name=echo")
    role = only(manifests, "Role", "twin-rollout")
    assert role["metadata"]["namespace"] == "twin"
    assert rights(role) == {("ray.io", "rayservices", "get"), ("ray.io", "rayservices", "patch")}
    assert [rule["resourceNames"] for rule in role["rules"]] == [["echo"]]
    account = ("ServiceAccount", "twin-jobs", "twin-rollout")
    assert subjects(only(manifests, "RoleBinding", "twin-rollout")) == {account}


@every_values_file
def test_nothing_reaches_beyond_a_namespace(render, values):
    manifests = render(values)
    assert not find(manifests, "ClusterRole") and not find(manifests, "ClusterRoleBinding")
    for role in find(manifests, "Role"):
        assert not any("*" in right for right in rights(role))
        assert not any(resource == "secrets" for _, resource, _ in rights(role))
    for binding in find(manifests, "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        named = [role["metadata"] for role in find(manifests, "Role")]
        assert (binding["roleRef"]["name"], namespace) in {
            (role["name"], role["namespace"]) for role in named
        }


@every_values_file
def test_no_account_mounts_a_token_unasked(render, values):
    accounts = find(render(values), "ServiceAccount")
    assert accounts
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


def test_pods_that_airflow_makes_may_pull_from_a_private_registry(render):
    """Their account brings the Secrets: no profile of theirs knows the values."""
    accounts = find(render(None, "images.pullSecrets={registry}"), "ServiceAccount")
    named = {item["metadata"]["name"] for item in accounts if "imagePullSecrets" in item}
    assert named == {pod["spec"]["serviceAccountName"] for pod in profiles().values()}
    for item in accounts:
        if item["metadata"]["name"] in named:
            assert item["imagePullSecrets"] == [{"name": "registry"}]
    assert not any("imagePullSecrets" in item for item in find(render(), "ServiceAccount"))


def test_only_the_rollouts_pod_asks_for_a_token(render):
    bound = {name for item in find(render(), "RoleBinding") for _, _, name in subjects(item)}
    for name, pod in profiles().items():
        asks = pod["spec"]["automountServiceAccountToken"]
        assert asks == (pod["spec"]["serviceAccountName"] in bound) == (name == "rollout")
