"""What vLLM's application reserves and where it starts; vLLM itself is tested in tests/vllm."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.recipes import load_recipe
from twin.serving.vllm_adapters import check_adapter
from twin.serving.vllm_engine import RESOURCE, SERVER, EngineSpec, build, deployment_options
from twin.settings import Settings, get_settings


def spec(**serving) -> EngineSpec:
    options = serving.pop("options", {})
    given = {"engine": "vllm", "cpus_per_replica": 3, "replicas": 1, **serving}
    return EngineSpec.model_validate(
        {
            "weights_uri": "models/m",
            "weights_digest": "d",
            "serving": {**given, "vllm": {"options": options}},
        }
    )


@pytest.fixture
def laptop(tmp_path) -> Settings:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    return Settings(vllm_python=python)


CLUSTER = Settings(ray_service="twin/twin")


class TestReservation:
    def test_processors_only(self, laptop):
        options = deployment_options(spec(replicas=2, answer_timeout_seconds=90), laptop)
        actor = options["ray_actor_options"]
        assert (actor["num_cpus"], actor["resources"]) == (3, {})
        assert options["placement_group_bundles"] == [{"CPU": 3}]
        assert options["num_replicas"] == 2
        assert options["graceful_shutdown_timeout_s"] > 90
        variables = actor["runtime_env"]["env_vars"]
        assert variables["OMP_NUM_THREADS"] == "3"
        assert variables["CUDA_VISIBLE_DEVICES"] == "", "no GPU is reserved, so none is seen"
        assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
        assert variables["HF_HUB_OFFLINE"] == variables["VLLM_NO_USAGE_STATS"] == "1"

    def test_one_gpu(self):
        options = deployment_options(spec(gpus_per_replica=1), CLUSTER)
        assert options["placement_group_bundles"] == [{"CPU": 3, "GPU": 1, RESOURCE: 0.001}]
        variables = options["ray_actor_options"]["runtime_env"]["env_vars"]
        assert not {"CUDA_VISIBLE_DEVICES", "VLLM_RAY_PER_WORKER_GPUS"} & set(variables)

    def test_a_share_of_a_gpu(self):
        options = deployment_options(spec(gpus_per_replica=0.5), CLUSTER)
        assert options["placement_group_bundles"][0]["GPU"] == 0.5
        variables = options["ray_actor_options"]["runtime_env"]["env_vars"]
        assert variables["VLLM_RAY_PER_WORKER_GPUS"] == "0.5"

    @pytest.mark.parametrize(
        "sizes",
        [
            {"tensor_parallel_size": 4},
            {"tensor_parallel_size": 2, "pipeline_parallel_size": 2},
            {"pipeline_parallel_size": 4},
        ],
    )
    def test_a_bundle_for_each_gpu(self, sizes):
        options = deployment_options(spec(gpus_per_replica=4, options=sizes), CLUSTER)
        first, *others = options["placement_group_bundles"]
        assert first == {"CPU": 3, "GPU": 1, RESOURCE: 0.001}
        assert others == [{"GPU": 1, RESOURCE: 0.001}] * 3

    @pytest.mark.parametrize(
        ("gpus", "sizes"),
        [
            (2, {}), (1, {"tensor_parallel_size": 2}), (4, {"tensor_parallel_size": 2}),
            (1.5, {}), (0.5, {"tensor_parallel_size": 2}),
        ],
    )  # fmt: skip
    def test_gpus_and_processes_must_go_together(self, gpus, sizes):
        with pytest.raises(BadDataError, match=r"gpus_per_replica = .*tensor_parallel_size"):
            deployment_options(spec(gpus_per_replica=gpus, options=sizes), CLUSTER)

    def test_the_shipped_recipe_takes_one_gpu_and_shares_its_base(self, root):
        serving = load_recipe("llama-3.1-8b", root / "include" / "recipes").serving
        made = EngineSpec(weights_uri="u", weights_digest="d", serving=serving)
        assert made.gpus_per_device == 1
        assert serving.adapters == "shared"
        training = load_recipe("llama-3.1-8b", root / "include" / "recipes").training
        assert training.lora.rank <= serving.vllm.options["max_lora_rank"]


class TestEnvironment:
    def test_a_python_of_its_own_on_this_machine(self, laptop):
        runtime = deployment_options(spec(), laptop)["ray_actor_options"]["runtime_env"]
        assert runtime["py_executable"] == str(laptop.vllm_python)

    def test_a_python_that_is_not_there(self, tmp_path):
        with pytest.raises(BadConfigurationError, match="run `make vllm`, or set TWIN_VLLM"):
            deployment_options(spec(), Settings(vllm_python=tmp_path / "python"))

    def test_workers_with_an_image_of_its_own_on_a_cluster(self):
        options = deployment_options(spec(), CLUSTER)
        assert "py_executable" not in options["ray_actor_options"]["runtime_env"]
        assert options["ray_actor_options"]["resources"] == {RESOURCE: 0.001}
        assert options["placement_group_bundles"] == [{"CPU": 3, RESOURCE: 0.001}]

    def test_is_built_where_vllm_is_not(self, laptop, monkeypatch):
        """By its import path: neither vLLM nor Ray Serve LLM is installed here."""
        get_settings.cache_clear()
        monkeypatch.setenv("TWIN_VLLM_PYTHON", str(laptop.vllm_python))
        try:
            application = build(spec().model_dump(mode="json"))
        finally:
            get_settings.cache_clear()
        deployment = application._bound_deployment
        assert (deployment.name, deployment.func_or_class) == ("Engine", SERVER)
        # How many replicas there are is the deployment's, and none of a replica's arguments.
        assert deployment.init_args == (spec(replicas=None).model_dump(mode="json"),)
        assert deployment._deployment_config.num_replicas == (spec().serving.replicas or 1)

    def test_the_module_imports_nothing_of_vllm(self):
        code = (
            "import sys, twin.serving.vllm_engine;"
            "print([m for m in ('vllm', 'torch', 'transformers', 'ray') if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"

    def test_unknown_arguments_are_refused(self):
        with pytest.raises(ValueError, match="extra"):
            EngineSpec.model_validate({**spec().model_dump(), "weight": 1})


class TestAdapter:
    """What vLLM cannot run, said before it is asked."""

    GOOD: ClassVar = {"peft_type": "LORA", "r": 8, "bias": "none", "target_modules": ["q_proj"]}

    def folder(self, tmp_path: Path, weights: str = "adapter_model.safetensors", **config) -> Path:
        (tmp_path / "adapter_config.json").write_text(json.dumps({**self.GOOD, **config}))
        (tmp_path / weights).write_bytes(b"weights")
        return tmp_path

    def test_a_plain_one_is_taken_up_to_the_largest_rank(self, tmp_path):
        check_adapter(self.folder(tmp_path, modules_to_save=None, rank_pattern={}), "a", 8)

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({"r": 9}, r"rank is 9, .* 8 at most: set serving.vllm.options.max_lora_rank: 9"),
            ({"rank_pattern": {"q_proj": 64}}, "max_lora_rank: 64"),
            ({"modules_to_save": ["lm_head"]}, r"modules_to_save = \['lm_head'\]: set serving.ada"),
            ({"trainable_token_indices": [5]}, "trainable_token_indices"),
            ({"use_dora": True}, "use_dora"),
            ({"layer_replication": [[0, 1]]}, "layer_replication"),
            ({"bias": "all"}, "bias = 'all'"),
            ({"peft_type": "PROMPT_TUNING"}, "PROMPT_TUNING; vLLM runs LORA only"),
        ],
    )
    def test_others_are_refused(self, tmp_path, config, says):
        with pytest.raises(BadDataError, match=f"adapter blue: .*{says}"):
            check_adapter(self.folder(tmp_path, **config), "blue", 8)

    def test_weights_in_another_format_are_refused(self, tmp_path):
        with pytest.raises(BadDataError, match=r"adapter_model\.safetensors; weights in another"):
            check_adapter(self.folder(tmp_path, "adapter_model.bin"), "blue", 8)

    @pytest.mark.parametrize("text", [None, "{half"])
    def test_no_adapter_at_all(self, tmp_path, text):
        if text:
            (tmp_path / "adapter_config.json").write_text(text)
        with pytest.raises(BadDataError, match=r"no adapter_config\.json of PEFT"):
            check_adapter(tmp_path, "blue", 8)

    def test_an_engine_that_takes_none(self, tmp_path):
        with pytest.raises(BadDataError, match=r"serving\.adapters: shared"):
            check_adapter(self.folder(tmp_path), "blue", 0)
