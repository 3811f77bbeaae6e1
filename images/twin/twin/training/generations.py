"""What a model in training writes to a few held-out questions, checkpoint by checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from transformers import TrainerCallback  # noqa: TID253 - imported by the training functions only

from twin.domain.errors import TwinError
from twin.models.formats.chat_format import ChatFormat
from twin.stores.generation_tables import COLUMNS, TABLE
from twin.stores.tracking import TrackingRun
from twin.training.interruption import RandomStates
from twin.training.tokens import IGNORED

log = structlog.get_logger("twin")


class Generations(TrainerCallback):
    """Writes to the same prompts at each checkpoint, greedily, into a table of the run.

    Nothing of the training changes: random states are put back, and only the likeliest words are
    written. MLflow may be away; the next checkpoint sends the whole table.

    Args:
        run: has the table.
        chat: of the model.
        rows: held-out samples, as `instruct_rows` makes them.
        max_tokens: of a text.
    """

    def __init__(
        self, run: TrackingRun, chat: ChatFormat, rows: Sequence[dict[str, Any]], max_tokens: int
    ) -> None:
        self._run = run
        self._chat = chat
        self._prompts = [_prompt_of(row) for row in rows]
        self._answers = [
            chat.tokenizer.decode(row["input_ids"][len(prompt) :], skip_special_tokens=True)
            for row, prompt in zip(rows, self._prompts, strict=True)
        ]
        self._max_tokens = max_tokens
        self._rows: list[list[Any]] = []

    def resume(self, checkpoint: Path) -> None:
        """Go on with the rows of a checkpoint."""
        if (checkpoint / TABLE).is_file():
            self._rows = json.loads((checkpoint / TABLE).read_text("utf-8"))["data"]

    def keep(self, checkpoint: Path) -> None:
        """Put what is written so far beside a checkpoint."""
        if self._rows:
            (checkpoint / TABLE).write_text(self._table(), encoding="utf-8")

    def _table(self) -> str:
        return json.dumps({"columns": COLUMNS, "data": self._rows}, ensure_ascii=False)

    def on_save(self, args: Any, state: Any, _control: Any, **kwargs: Any) -> None:
        """Write to each prompt, beside the checkpoint just saved and to the run."""
        if not state.is_world_process_zero or not self._prompts:
            return
        before = RandomStates.now()
        written = self._write(kwargs["model"])
        before.restore()
        for prompt, answer, text in zip(self._prompts, self._answers, written, strict=True):
            shown = self._chat.tokenizer.decode(prompt, skip_special_tokens=True)
            self._rows.append([state.global_step, shown, answer, text])
        self.keep(Path(args.output_dir) / f"checkpoint-{state.global_step}")
        try:
            self._run.log_table(self._table(), TABLE)
        except TwinError as error:
            log.warning("generations are sent at the next checkpoint", reason=str(error))

    def _write(self, model: Any) -> list[str]:
        import torch

        tokenizer = self._chat.tokenizer
        longest = max(map(len, self._prompts))
        pad = tokenizer.pad_token_id
        ids = [[pad] * (longest - len(each)) + each for each in self._prompts]
        seen = [[0] * (longest - len(each)) + [1] * len(each) for each in self._prompts]
        training = model.training
        model.eval()
        try:
            # As in training: adapters are in float32, and what goes through them in bf16.
            with torch.no_grad(), torch.autocast(model.device.type, dtype=torch.bfloat16):
                made = model.generate(
                    input_ids=torch.tensor(ids, device=model.device),
                    attention_mask=torch.tensor(seen, device=model.device),
                    max_new_tokens=self._max_tokens,
                    do_sample=False,
                    eos_token_id=self._chat.end_id,
                    pad_token_id=pad,
                )
        finally:
            model.train(training)
        return [
            text.strip()
            for text in tokenizer.batch_decode(made[:, longest:], skip_special_tokens=True)
        ]


def _prompt_of(row: dict[str, Any]) -> list[int]:
    labels = row["labels"]
    begin = next((n for n, label in enumerate(labels) if label != IGNORED), len(labels))
    return list(row["input_ids"][:begin])
