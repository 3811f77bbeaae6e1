"""Answers with their callers' feedback, as lines that people and training can read."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError
from twin.domain.feedback import KeptAnswer
from twin.settings import Settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.warehouse import open_warehouse


def export_feedback(settings: Settings, model: str, file: Path) -> int:
    """Write a model's judged answers to a file; returns how many.

    The file is replaced at the end only, so what was there survives a failure.

    Raises:
        TryAgainError: the warehouse is away.
        BadConfigurationError: the file can't be written.
    """
    unfinished = file.with_name(f"{file.name}.unfinished")
    number = 0
    with open_warehouse(settings) as warehouse:
        judged = AnswerRecords(warehouse).judged(model, datetime.now(UTC))
        try:
            with unfinished.open("w", encoding="utf-8") as lines:
                for kept in judged:
                    lines.write(json.dumps(_line(kept), ensure_ascii=False) + "\n")
                    number += 1
            unfinished.replace(file)
        except OSError as error:
            raise BadConfigurationError(f"{file} can't be written: {error.strerror}") from None
        finally:
            unfinished.unlink(missing_ok=True)
    return number


def _line(kept: KeptAnswer) -> dict[str, Any]:
    answer = kept.answer
    return {
        "id": answer.id,
        "created": kept.created.isoformat(),
        "question": answer.question,
        "answer": answer.answer,
        **(kept.feedback.model_dump() if kept.feedback else {}),
        "chunks": [source.chunk_id for source in answer.sources],
        "documents": sorted({source.document_id for source in answer.sources}),
        "model": answer.model,
        "model_version": answer.model_version,
        "prompt_version": answer.prompt_version,
        "trace_id": answer.trace_id,
    }
