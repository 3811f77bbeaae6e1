"""
# Forget

Erases a document for good, by its URL: its texts and their history, its raw pages, its chunks, what
reports of evaluations, MLflow's test questions and judges' replies have of it, the page of what
readers ask, and any later crawl.
By hand only, with the form. Run it when no crawl runs: pages that one is still writing down are not
seen.

**Reads** the sample sets and the model registry. **Writes** the warehouse, the snapshots, the
indexes, the reports and MLflow, where the document is gone then. The task's XCom `detail` names the
sample sets that hold the document, the model versions that were trained on it, and artifacts that a
person must erase, because MLflow's server does not keep them itself. The asset `documents` is
updated, so that new samples are made and a model is trained without it; older sample sets and
versions are for a person to delete, and so are backups.
"""

from airflow.sdk import DAG, Param, chain, task_group

from include.assets import documents
from include.jobs import JobOperator
from include.pipelines import RECIPE_OF_JOB, pipeline, publish, which_recipes

with DAG(
    "forget",
    description="Erase a document everywhere, and name the models that learnt from it.",
    schedule=None,
    **pipeline(
        __doc__,
        params={
            "url": Param(
                type="string",
                pattern=r"^\s*[A-Za-z][A-Za-z0-9+.-]*:\S+\s*$",
                title="URL",
                description="Of the document, as `twin warehouse list` shows it; a web page's "
                "may be spelled in any way.",
            ),
            "reason": Param(
                "asked for",
                type="string",
                minLength=1,
                title="Reason",
                description="Kept with the note that it is forgotten.",
            ),
        },
    ),
) as dag:

    @task_group
    def one_document(recipe: str) -> None:
        """Forget a document of the recipe's author."""
        chain(
            JobOperator(
                task_id="forget",
                job="crawl forget",
                recipe=recipe,
                # The image that has the clients of all the stores that it is kept in.
                image_target="features",
                options=["{{ params.url | trim }}", "--reason={{ params.reason }}"],
                map_index_template=RECIPE_OF_JOB,
            ),
            publish(documents)(recipe=recipe),
        )

    one_document.expand(recipe=which_recipes())
