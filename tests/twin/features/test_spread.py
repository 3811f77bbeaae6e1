"""Ray Data makes the same index as one process."""

import pytest

from tests.twin.features.documents import make
from tests.twin.features.test_build import RECIPE, run, store
from tests.twin.features.test_curation import article
from twin.stores.index import open_index


@pytest.mark.slow
def test_workers_make_the_same_index_as_one_process(stores_settings):
    """Slow: starts a Ray of its own; a spread index that differs would be found nowhere else."""
    documents = [make(f"Article {n}", article(n, 6)) for n in range(40)]
    store(stores_settings, *documents, make("Copy", documents[0].content))
    run(stores_settings)
    index = open_index(stores_settings, RECIPE)
    alone = list(index.read().documents())
    features = RECIPE.features.model_copy(update={"workers": 2})
    run(stores_settings, RECIPE.model_copy(update={"features": features}), rebuild=True)
    spread = list(index.read().documents())
    assert [item.state for item in spread] == [item.state for item in alone]
    for one, other in zip(alone, spread, strict=True):
        assert one.chunks == other.chunks
        for mine, theirs in zip(one.vectors, other.vectors, strict=True):
            assert mine == pytest.approx(theirs, abs=0.02)  # batches differ, and so does rounding
