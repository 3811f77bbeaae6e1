"""Samples and pairs as Parquet files, and the manifest of a set of them, in the file store."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ValidationError

from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, PreferencePair
from twin.stores.files import FileStore

Sample = TypeVar("Sample", InstructSample, PreferencePair)
Manifest = TypeVar("Manifest", bound=BaseModel)

ROWS_AT_ONCE = 2_000
"""Rows that are held and written together: some 10 MB."""


class SampleWriter(Generic[Sample]):
    """Writes samples to a Parquet file of this machine as they come; none are a file without rows.

    A context: the file is whole when it is left.
    """

    def __init__(self, path: Path, model: type[Sample]) -> None:
        import pyarrow as arrow
        from pyarrow import parquet

        path.parent.mkdir(exist_ok=True)
        self._schema = arrow.schema([(name, _arrow_type(name)) for name in model.model_fields])
        self._file = parquet.ParquetWriter(path, self._schema)
        self._waiting: list[dict[str, Any]] = []

    def add(self, sample: Sample) -> None:
        """Write a sample, together with others."""
        self._waiting.append(sample.model_dump(mode="json"))
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._write()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits, and the end of the file."""
        if self._waiting:
            self._write()
        self._file.close()

    def _write(self) -> None:
        import pyarrow as arrow

        self._file.write_table(arrow.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting.clear()


def write_samples(path: Path, samples: Iterable[Sample], model: type[Sample]) -> None:
    """Write samples to a Parquet file of this machine; no samples are a file without rows."""
    with SampleWriter(path, model) as writer:
        for sample in samples:
            writer.add(sample)


def read_samples(files: FileStore, name: str, model: type[Sample]) -> list[Sample]:
    """The samples of a Parquet file in the file store.

    Raises:
        BadDataError: the file is damaged.
    """
    import pyarrow as arrow

    try:
        rows = parquet_rows(files.read_bytes(name))
        return [model.model_validate(row) for row in rows]
    except (arrow.ArrowInvalid, ValidationError) as error:
        line = str(error).splitlines()[0]
        raise BadDataError(f"{files.uri(name)}: damaged: {line}") from None


def parquet_rows(content: bytes) -> list[dict[str, Any]]:
    """The rows of a Parquet file of this content."""
    import pyarrow as arrow
    from pyarrow import parquet

    # From memory, and not by `read_table`: those start threads, and a process that ends soon after
    # is aborted by them in one of a dozen cases ("terminate called without an active exception").
    file = parquet.ParquetFile(arrow.BufferReader(content))
    rows: list[dict[str, Any]] = file.read(use_threads=False).to_pylist()
    return rows


def read_manifest(files: FileStore, folder: str, model: type[Manifest]) -> Manifest:
    """The ``manifest.json`` of a folder in the file store.

    Raises:
        BadDataError: there is no such file, or it is damaged.
    """
    name = f"{folder}/manifest.json"
    try:
        return model.model_validate(files.read_json(name))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadDataError(f"{files.uri(name)}: {where}: {first['msg']}") from None


def _arrow_type(field: str) -> Any:
    import pyarrow as arrow

    if field == "history":
        turn = arrow.struct([(name, arrow.string()) for name in Turn.model_fields])
        return arrow.list_(turn)
    if field in {"context", "chunk_ids", "facts"}:
        return arrow.list_(arrow.string())
    return arrow.float64() if field == "likeness" else arrow.string()
