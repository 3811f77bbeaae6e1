"""The answers of a batch on disk: a file of JSON lines that a kill leaves usable.

Each answer is appended and synced before the next, so that a kill leaves at most one line cut off,
which the next run drops. A Parquet file is made of the lines when all are there.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.domain.answer import Answer
from twin.domain.errors import BadDataError

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema

SUFFIXES = (".jsonl", ".parquet")


class AnswersFile:
    """The answers of one batch, by their rows' ids.

    Args:
        place: ends in ``.jsonl`` or ``.parquet``; the lines of a Parquet file lie beside it until
            it is whole.

    Raises:
        BadDataError: another ending, or a file that holds something else.
    """

    def __init__(self, place: Path) -> None:
        if place.suffix not in SUFFIXES:
            raise BadDataError(f"{place}: name a file that ends in {' or '.join(SUFFIXES)}")
        self.place = place
        lines = place.suffix == ".jsonl"
        self._lines = place if lines else place.with_name(f"{place.name}.unfinished.jsonl")
        self._before = _ids_of_parquet(place) if not lines and place.exists() else set()
        self.done = self._before | (self._read() if self._lines.exists() else set())

    @contextmanager
    def appending(self) -> "Iterator[AnswersFile]":
        """Take answers until the block ends."""
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        with self._lines.open("a", encoding="utf-8") as self._open:
            yield self

    def add(self, row: str, answer: Answer) -> None:
        """Keep the answer to a row, for good."""
        self._open.write(json.dumps(line_of(row, answer), ensure_ascii=False) + "\n")
        self._open.flush()
        os.fsync(self._open.fileno())
        self.done.add(row)

    def finish(self) -> None:
        """Make the Parquet file, if one is wanted, or a new one with what has come since."""
        if self.place.suffix == ".jsonl":
            return
        from pyarrow import parquet

        unfinished = self.place.with_name(f"{self.place.name}.unfinished")
        with parquet.ParquetWriter(unfinished, _schema()) as written:
            if self._before:
                for batch in parquet.ParquetFile(self.place).iter_batches():
                    written.write_batch(batch)
            for batch in self._batches():
                written.write_batch(batch)
        unfinished.replace(self.place)
        self._lines.unlink()

    def _batches(self) -> "Iterator[RecordBatch]":
        """The lines as tables, without what an earlier Parquet file has: a kill may have come
        between the making of that file and the end of its lines."""
        from pyarrow import array, compute
        from pyarrow import json as arrow_json

        if not self._lines.stat().st_size:
            return
        options = arrow_json.ParseOptions(explicit_schema=_schema())
        before = array(sorted(self._before), type="string")
        for batch in arrow_json.open_json(self._lines, parse_options=options):
            known = compute.is_in(batch["id"], value_set=before)
            yield batch.filter(compute.invert(known))

    def _read(self) -> set[str]:
        """Ids of the whole lines; what a kill has cut off is dropped."""
        done, end = set(), 0
        with self._lines.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    done.add(str(json.loads(line)["id"]))
                except (ValueError, KeyError, TypeError):
                    raise BadDataError(
                        f"{self._lines}, line {number}: no answer of a batch: name another file"
                    ) from None
                end += len(line)
        os.truncate(self._lines, end)
        return done


def line_of(row: str, answer: Answer) -> dict[str, Any]:
    """An answer as one line of JSON."""
    sources = [
        {
            "title": each.title, "url": each.url, "text": each.text, "score": each.score,
            "chunk_id": each.chunk_id, "document_id": each.document_id,
        }
        for each in answer.sources
    ]  # fmt: skip
    return {
        "id": row,
        "question": answer.question,
        "answer": answer.answer,
        "refused": answer.refused,
        "grounded": answer.grounded,
        "sources": sources,
        "finish_reason": answer.finish_reason,
        "model": answer.model,
        "model_version": answer.model_version,
        "answer_id": answer.id,
        "trace_id": answer.trace_id,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }


def _schema() -> "Schema":
    import pyarrow

    text, number = pyarrow.string(), pyarrow.int64()
    source = pyarrow.struct(
        dict.fromkeys(("title", "url", "text"), text)
        | {"score": pyarrow.float64(), "chunk_id": text, "document_id": text}
    )
    return pyarrow.schema(
        {"id": text, "question": text, "answer": text}
        | dict.fromkeys(("refused", "grounded"), pyarrow.bool_())
        | {"sources": pyarrow.list_(source)}
        | dict.fromkeys(("finish_reason", "model", "model_version", "answer_id", "trace_id"), text)
        | dict.fromkeys(("prompt_tokens", "completion_tokens"), number)
    )


def _ids_of_parquet(place: Path) -> set[str]:
    from pyarrow import ArrowException, parquet

    try:
        return set(parquet.read_table(place, columns=["id"])["id"].to_pylist())
    except (ArrowException, KeyError, OSError):
        raise BadDataError(f"{place}: no answers of a batch: name another file") from None
