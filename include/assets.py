"""The assets that connect the pipelines, each named by what exists when it updates.

An update's ``extra`` names the recipes it is about: ``{"recipes": ["handbook"]}``.

The URIs' scheme begins with ``x-``, which Airflow leaves as it is; for any other it would load
all providers at every parse to look for one that knows the scheme.
"""

from airflow.sdk import Asset, AssetWatcher

from include.promotion import ChampionTrigger

documents = Asset("documents", uri="x-twin://documents")
"""The author's documents lie in the warehouse as they stand published."""

index = Asset("index", uri="x-twin://index")
"""Every live document can be found in the index."""

samples = Asset("samples", uri="x-twin://samples")
"""A version of the sample sets matches the index."""

candidate = Asset("candidate", uri="x-twin://candidate")
"""A model trained on the newest samples is registered."""

champion = Asset(
    "champion",
    uri="x-twin://champion",
    watchers=[AssetWatcher(name="model-registry", trigger=ChampionTrigger())],
)
"""A model was promoted: by evaluation, or by anyone who moved the alias in the registry."""
