"""`twin evaluation preference`: what people's verdicts show so far, on standard output."""

import json
from pathlib import Path

from twin.evaluation.preference import standings


def show_preference(file: Path, *, as_json: bool = False) -> None:
    """Print how the candidate stands against each opponent, and whether to go on.

    Args:
        file: of `twin evaluation pairs`, with verdicts.
        as_json: print the figures as JSON, with ``advice``.

    Raises:
        BadDataError: there is no such file, it is none of pairs, or nobody has judged any.
    """
    found = standings(file)
    if as_json:
        print(json.dumps([each.model_dump() | {"advice": each.advice} for each in found], indent=2))
        return
    for each in found:
        print(each.text)
