"""One process of a training by several, on processors (gloo): run by `test_distributed.py`.

Arguments: the base model's folder, a folder to work in, the file to write losses to, the recipe's
section as JSON, and a checkpoint to go on from, if any. The place among the processes is in the
environment, as launchers set it.
"""

import json
import os
import sys
from pathlib import Path

from tests.twin.training.rows import instruct_rows, losses, tiny_trainer
from twin.recipes import TrainingSection

ROWS = 16
"""Four steps of four: where an epoch does not come out even, several processes fill its last step
with samples of its beginning, and one does not."""


def main(base, scratch, out, section, checkpoint=None):
    """Train; the first process writes the losses."""
    recipe = TrainingSection.model_validate_json(section)
    trainer = tiny_trainer(Path(base), Path(scratch), recipe, instruct_rows(ROWS))
    assert trainer.args.world_size == int(os.environ["WORLD_SIZE"])
    assert trainer.args.parallel_mode.value == "distributed"
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.is_world_process_zero():
        Path(out).write_text(json.dumps(losses(trainer)))


if __name__ == "__main__":
    main(*sys.argv[1:])
