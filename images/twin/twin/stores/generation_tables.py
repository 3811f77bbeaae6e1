"""Tables of what models in training wrote (`twin.training.generations`), kept by MLflow's runs.

They quote samples: prompts with their passages, and the author's answers.
"""

import json
from collections.abc import Sequence

from twin.settings import Settings
from twin.stores.lineage import SampleSet
from twin.stores.mlflow_rest import MlflowRest, tags_of

TABLE = "generations.json"
"""Artifact of the run, and file of each checkpoint: a resumed training goes on with its rows."""

COLUMNS = ("step", "prompt", "answer", "written")

#: MLflow's own tag, by which its UI knows tables (`twin.stores.tracking`).
_TABLES_TAG = "mlflow.loggedArtifacts"
_PROXY = "mlflow-artifacts:/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def forget_in_generations(
    settings: Settings, sets: Sequence[SampleSet]
) -> tuple[int, tuple[str, ...]]:
    """Empty the tables of all trainings on these sample sets.

    A table shows passages of several documents, and only people look at it: all of it goes.

    Args:
        settings: where MLflow is; without a sample set it is not asked.
        sets: that hold what is forgotten.

    Returns:
        How many were emptied, and those that only a person can erase, because MLflow's server does
        not keep them itself.

    Raises:
        TryAgainError: MLflow is away; run again.
    """
    if not sets:
        return 0, ()
    with GenerationTables(settings) as tables:
        left = [tables.forget(*each) for each in sets]
    return sum(count for count, _ in left), tuple(name for _, names in left for name in names)


class GenerationTables(MlflowRest):
    """The tables of trainings' runs; errors are those of `MlflowRest`."""

    def forget(self, experiment: str, dataset_version: str) -> tuple[int, list[str]]:
        """Empty the tables of an experiment's runs on a version of samples.

        A run loses its tag of the table after the table, so one that was killed is gone on with.

        Args:
            experiment: name, which is the recipe's; one that is not there has no runs.
            dataset_version: of the samples.

        Returns:
            How many were emptied, and those that MLflow's server does not keep itself.
        """
        emptied, left = 0, list[str]()
        trained_on = f"tags.dataset_version = '{dataset_version}'"
        # A run that somebody has deleted has its artifacts still.
        for run in self._search_runs(experiment, filter=trained_on, run_view_type="ALL"):
            if TABLE not in tags_of(run).get(_TABLES_TAG, ""):
                continue
            artifacts = run["info"]["artifact_uri"]
            if not artifacts.startswith(_PROXY):
                left.append(f"{artifacts}/{TABLE}")
                continue
            place = f"{_ARTIFACTS}/{artifacts.removeprefix(_PROXY).lstrip('/')}/{TABLE}"
            empty = json.dumps({"columns": COLUMNS, "data": []})
            self._request("PUT", place, content=empty.encode())
            if run["info"].get("lifecycle_stage") == "deleted":
                continue  # it takes no tags
            tag = {"run_id": run["info"]["run_id"], "key": _TABLES_TAG, "value": "[]"}
            self._post("runs/set-tag", tag)
            emptied += 1
        return emptied, left
