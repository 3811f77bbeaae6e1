"""How the questions of an evaluation are known in MLflow, without MLflow's client."""

from hashlib import sha256

DOCUMENT_TAG = "twin.document"
"""Of traces and of dataset records: id of the document that the question was made from."""
SAMPLE_TAG = "twin.sample"


def trace_id_of(run_id: str, sample: str) -> str:
    """Id of the trace of a sample in a run."""
    return f"tr-{sha256(f'{run_id}/{sample}'.encode()).hexdigest()[:32]}"
