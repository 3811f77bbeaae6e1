"""What every engine is given when a product's speed and memory are measured, and the memory."""

from pathlib import Path

PROMPT_TEXT = "The quick brown fox jumps over the lazy dog. " * 60
PROMPT_TOKENS = 256
"""Of the text, which are read."""
WRITTEN_TOKENS = 64
KIB = 1024


def peak_memory_bytes() -> float:
    """The most that this process has had in memory since it began to run its program.

    The usage that Linux counts (``ru_maxrss``) begins with what the process had before that: its
    parent's memory, which has scored a whole model.
    """
    status = Path("/proc/self/status").read_text("ascii")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return float(lines["VmHWM"].split()[0]) * KIB
