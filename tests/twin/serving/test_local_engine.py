"""A replica of an engine without Ray around it: adapters come and go, bad ones end nothing.

About half a minute, most of it llama.cpp's converter, which runs once for each model and adapter.
What that buys: a bad adapter of one twin is seen not to take the others out of service.
"""

import asyncio
import shutil

import pytest

from tests import families
from twin.models.adapters import record_base
from twin.models.bases.base_models import BaseModelPin
from twin.models.engines.engine import EngineRequest
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Generation, SamplingParams
from twin.recipes import ServingSection
from twin.serving import local_engine
from twin.serving.engine_messages import read_item
from twin.serving.local_engine import Engine, EngineArguments
from twin.settings import Settings
from twin.stores.files import open_files

pytestmark = pytest.mark.slow

SERVING = {
    "engine": "llama.cpp",
    "cpus_per_replica": 1,
    "llama_cpp": {"quantisation": "bf16", "parallel": 2},
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return families.build("smollm2", tmp_path_factory.mktemp("model") / "smollm2")


@pytest.fixture(scope="module")
def sources(settings, base, tmp_path_factory):
    """The base and two adapters as they are published: URI and digest each."""
    files = open_files(settings)
    folders = {"base": base}
    for seed, name in enumerate(("formal", "terse"), start=1):
        folders[name] = _adapter(base, tmp_path_factory.mktemp(name), seed)
    published = {}
    for name, folder in folders.items():
        uri = files.publish_folder(folder, f"models/{name}")
        published[name] = {"uri": uri, "digest": files.published_digest(f"models/{name}")}
    return published


def _adapter(base, target, seed):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.5)
    adapted.save_pretrained(target)
    return target


@pytest.fixture
def replica(settings, sources, monkeypatch):
    monkeypatch.setattr(local_engine, "get_settings", lambda: settings)
    for name in ("keep_to_gpus", "keep_to_threads", "keep_to_loopback"):
        monkeypatch.setattr(local_engine, name, lambda _: None)  # of this process they are not
    base = sources["base"]
    arguments = EngineArguments(
        weights_uri=base["uri"],
        weights_digest=base["digest"],
        serving=ServingSection.model_validate(SERVING),
    )
    return Engine(arguments)


async def answer(replica, base, adapter):
    messages = [{"role": "user", "content": "Why do you keep a handbook?"}]
    request = EngineRequest(
        tuple(ChatFormat.load(base).prompt_ids(messages)),
        tuple(messages),
        SamplingParams(max_new_tokens=12, min_new_tokens=12),
        adapter=adapter,
    )
    *_, last = [read_item(item) async for item in replica.stream(request.to_dict())]
    assert isinstance(last, Generation)
    return last.text


def test_a_further_adapter_comes_while_the_first_answers_on(replica, base, sources):
    async def life():
        await replica.reconfigure({"adapters": {"v1": sources["formal"]}})
        first = await replica.describe()
        one = await answer(replica, base, "v1")
        await replica.reconfigure({"adapters": {"v1": sources["formal"], "v2": sources["terse"]}})
        second = await replica.describe()
        again, other = await answer(replica, base, "v1"), await answer(replica, base, "v2")
        bare = await answer(replica, base, None)
        await replica.reconfigure({"adapters": {"v2": sources["terse"]}})
        third = await replica.describe()
        assert await answer(replica, base, "v2") == other
        await replica.check_health()
        return (first, second, third), (one, again, other, bare)

    told, (one, again, other, bare) = asyncio.run(life())
    assert [item["adapters"] for item in told] == [["v1"], ["v1", "v2"], ["v2"]]
    assert told[0]["engine"] == "llama.cpp"
    assert told[0]["context_tokens"] > 0
    assert one == again
    assert len({one, other, bare}) == 3


def test_a_bad_adapter_is_refused_and_the_others_answer_on(replica, base, sources):
    bad = {"uri": sources["terse"]["uri"], "digest": "0" * 64}

    async def life():
        await replica.reconfigure({"adapters": {"v1": sources["formal"]}})
        one = await answer(replica, base, "v1")
        await replica.reconfigure({"adapters": {"v1": sources["formal"], "v2": bad}})
        assert await answer(replica, base, "v1") == one
        return await replica.describe()

    told = asyncio.run(life())
    assert told["adapters"] == ["v1"]
    assert "digest differs" in told["refused"]["v2"]


def test_an_adapter_of_another_base_is_refused(replica, base, sources, settings, tmp_path):
    """One with layers as large as those of this base, so that it would load."""
    other = shutil.copytree(sources["formal"]["uri"], tmp_path / "other")
    (other / ".published.json").unlink(missing_ok=True)
    record_base(other, BaseModelPin("other", "1" * 64), weights_digest="2" * 64)
    files = open_files(settings)
    uri = files.publish_folder(other, "models/other")
    bad = {"uri": uri, "digest": files.published_digest("models/other")}

    async def life():
        await replica.reconfigure({"adapters": {"v1": sources["formal"], "v2": bad}})
        assert await answer(replica, base, "v1")
        return await replica.describe()

    told = asyncio.run(life())
    assert told["adapters"] == ["v1"]
    assert "is of base model other (digest 222222222222)" in told["refused"]["v2"]


def test_other_weights_than_were_registered_are_no_engine(replica, sources):
    replica._arguments = replica._arguments.model_copy(update={"weights_digest": "0" * 64})
    with pytest.raises(Exception, match="not the weights that were registered"):
        asyncio.run(replica.reconfigure({"adapters": {}}))
