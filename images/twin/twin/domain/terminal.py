"""Text from outside, as a terminal may be shown it."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """``text`` with a replacement character for every control character but tab and line feed.

    Stored text comes from outside: on a terminal it may not move the cursor or set colours.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
