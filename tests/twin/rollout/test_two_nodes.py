"""Weights are in force when the router's replicas on every node of a Ray cluster have them.

Two raylets on this machine, with a replica of the real router on each. Buys: the promise that a
rollout goes on by what all of them confirm, where no node can see another's memory. No model is
loaded, since a replica routes by its table whether anything answers or not.
"""

import os
import signal
import threading

import psutil
import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin import twins
from tests.twin.rollout.serve_in_process import MODEL, versions
from twin.domain.errors import TryAgainError
from twin.domain.observation import Gpus
from twin.domain.rollout import RolloutState
from twin.rollout import waiting
from twin.rollout.room import check_room
from twin.rollout.transitions import dark, shifted
from twin.serving.local_ray import ray_environment, ray_folder
from twin.stores.endpoint import Endpoint
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import ROUTER, render

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

NODES = 2
GPUS = 3
NOWHERE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    from twin.settings import Settings

    return Settings.model_validate(
        {
            "home": tmp_path_factory.mktemp("nodes"),
            "endpoint_url": f"http://127.0.0.1:{servers.free_port()}",
            "api_keys": (SecretStr("key"),),
            "mongo_uri": NOWHERE,
            "router_replicas": NODES,
        }
    )


@pytest.fixture(scope="module")
def cluster(settings):
    """Two nodes, with Ray on both."""
    ours = {
        **ray_environment(settings),
        "TWIN_ENDPOINT_URL": settings.endpoint_url,
        "TWIN_API_KEYS": "key",
        "TWIN_MONGO_URI": NOWHERE,
    }
    del ours["RAY_START_HOOK"]  # trims a head that has no second node
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ours.items():
            environment.setenv(name, value)
        import ray
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        folder = ray_folder(settings.home)
        nodes = Cluster(initialize_head=True, head_node_args={**node, "temp_dir": str(folder)})
        try:
            nodes.add_node(**node, num_gpus=GPUS)  # of a node's own word: none is used
            ray.init(address=nodes.address, log_to_driver=False)
            yield nodes
        finally:
            # Serve ends with its cluster; asked to end by itself it takes half a minute more.
            ray.shutdown()
            nodes.shutdown()
            servers.remove(folder)


@pytest.fixture(scope="module")
def tell(cluster, settings):
    """Have Serve run the router by a model's state: one replica a node."""
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    serve.start(proxy_location="HeadOnly", http_options=render([], settings)["http_options"])
    client = _get_global_client()

    def tell(state):
        config = render([state], settings)
        config["applications"] = config["applications"][:1]
        [deployment] = config["applications"][0]["deployments"]
        deployment["max_replicas_per_node"] = 1
        client.deploy_apps(ServeDeploySchema.model_validate(config))

    return tell


def router_processes():
    """The router's replicas on this machine, by the raylet that each belongs to."""
    found = {}
    for process in psutil.process_iter(["name", "cmdline"]):
        title = " ".join(process.info["cmdline"] or [])
        if title.startswith(f"ray::ServeReplica:{ROUTER}:"):
            found[process.ppid()] = process.pid
    return found


@pytest.fixture(scope="module")
def state(settings, tell):
    """Version 1 serves and 2 runs beside it, and both replicas have confirmed so."""
    twins.write_recipe(settings.home / "recipes")
    one, two = versions(
        settings.model_copy(update={"recipes": settings.home / "recipes"}), "1", "2"
    )
    states = RolloutStates(settings)
    states.save(RolloutState(model=MODEL, versions=(one,), weights={"1": 100}))
    state = states.change(MODEL, lambda found: dark(found, two))
    tell(state)
    servers.wait_until(lambda: len(router_processes()) == NODES, "a router on each node", 120)
    servers.wait_until(lambda: reports(settings), "the router's reports", 60)
    waiting.wait_for_weights(state, Endpoint(settings), lambda: None)
    return state


def reports(settings):
    try:
        found = Endpoint(settings).reports(MODEL)
    except TryAgainError:
        return ()
    return found if len(found) == NODES else ()


def give(settings, share):
    """Write down the next step of a rollout, as `Shift` does."""
    states = RolloutStates(settings)
    return states.change(MODEL, lambda found: shifted(found, found.versions[1], share))


def test_replicas_on_both_nodes_confirm_by_generation(settings, tell, state):
    assert len(router_processes()) == NODES, "one on each node"
    for share in (10, 50):
        after = give(settings, share)
        tell(after)
        waiting.wait_for_weights(after, Endpoint(settings), lambda: None)
        found = Endpoint(settings).reports(MODEL)
        assert len({report.replica for report in found}) == NODES
        assert [report.generation for report in found] == [after.generation] * NODES
        assert [report.weights for report in found] == [{"1": 100 - share, "2": share}] * NODES
    assert after.generation > state.generation


def test_a_replica_that_does_not_confirm_holds_the_step(settings, tell, state, monkeypatch):
    """It stands still, as one does whose node has lost the network or swaps."""
    after = give(settings, 75)
    frozen = router_processes()[max(router_processes())]
    done = threading.Event()

    def step():
        waiting.wait_for_weights(after, Endpoint(settings), lambda: None)
        done.set()

    os.kill(frozen, signal.SIGSTOP)
    try:
        tell(after)
        waits = threading.Thread(target=step, daemon=True)
        waits.start()
        assert not done.wait(4), "the other replica's confirmation is not enough"
        with monkeypatch.context() as during:
            during.setattr(waiting, "WEIGHTS_SECONDS", 1.0)
            with pytest.raises(TryAgainError, match="not in force in 1 s"):
                waiting.wait_for_weights(after, Endpoint(settings), lambda: None)
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert done.wait(60)
    waits.join()
    assert {report.weights["2"] for report in Endpoint(settings).reports(MODEL)} == {75}


def test_gpus_of_all_nodes_are_counted_before_anything_is_started(settings, state):
    """Ray's word for them: one is reserved, by an actor as engines are."""
    import ray

    assert Endpoint(settings).gpus(MODEL) == Gpus(total=GPUS, free=GPUS)

    @ray.remote(num_cpus=0, num_gpus=1)
    class Engine:
        def runs(self):
            return True

    engine = Engine.remote()
    assert ray.get(engine.runs.remote())
    servers.wait_until(lambda: Endpoint(settings).gpus(MODEL).free == GPUS - 1, "a GPU taken", 20)
    three = state.versions[1].model_copy(update={"version": "3", "name": "3", "engine": "3"})
    serving = {**three.recipe["serving"], "gpus_per_replica": GPUS}
    three = three.model_copy(update={"recipe": {**three.recipe, "serving": serving}})
    with pytest.raises(TryAgainError, match=r"needs 3 GPUs .* 2 of 3 are free"):
        check_room([state], MODEL, three, settings, Endpoint(settings))
    ray.kill(engine)
    servers.wait_until(lambda: Endpoint(settings).gpus(MODEL).free == GPUS, "a GPU free", 20)
    check_room([state], MODEL, three, settings, Endpoint(settings))
