"""The folder of DAGs for Airflow's DAG processor, which is told when the recipes change.

Every form offers the recipes that there were when its file was read. To read all files every few
seconds for that would take a processor. So the folder of recipes is looked at, and the files are
read again only when it is another than before.
"""

from typing import Any

from airflow.dag_processing.bundles.local import LocalDagBundle

from include.forked_imports import import_libraries
from include.recipe_files import recipe_states


class RecipesBundle(LocalDagBundle):
    """Named in ``[dag_processor] dag_bundle_config_list``.

    `refresh` is called by the DAG processor every ``[dag_processor] refresh_interval`` seconds.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._seen = recipe_states()

    def initialize(self) -> None:
        """Import what each process that reads a file would import for itself."""
        import_libraries()
        super().initialize()

    def refresh(self) -> None:
        """Have all files read again, at once, if a recipe was added, changed or removed."""
        now = recipe_states()
        if now != self._seen:
            self._read_again()
        self._seen = now

    def _read_again(self) -> None:
        """As the button *Reparse Dag* in the web UI does for one file."""
        from airflow.models.dagbag import DagPriorityParsingRequest
        from airflow.utils.session import create_session
        from sqlalchemy import delete

        with create_session() as session:
            mine = DagPriorityParsingRequest.bundle_name == self.name
            session.execute(delete(DagPriorityParsingRequest).where(mine))
            for path in sorted(self.path.glob("*.py")):
                session.add(
                    DagPriorityParsingRequest(
                        bundle_name=self.name,
                        relative_fileloc=path.relative_to(self.path).as_posix(),
                    )
                )
