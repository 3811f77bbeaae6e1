"""The memory of a product is its own process's, whatever the process is that started it."""

import subprocess
import sys

from twin.training.export.measured_run import peak_memory_bytes

CHILD = """
from twin.training.export.measured_run import peak_memory_bytes
before = peak_memory_bytes()
held = b"x" * 60_000_000
print(before, peak_memory_bytes())
"""


def test_what_the_parent_holds_is_not_the_childs():
    held = b"x" * 300_000_000
    assert peak_memory_bytes() > len(held)
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 100e6
    assert 55e6 < after - before < 75e6
