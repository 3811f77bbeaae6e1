"""Parquet files of samples, as a process reads them that ends soon after."""

import subprocess
import sys
from pathlib import Path

import pyarrow as arrow
from pyarrow import parquet

COUNT = """
import os, pathlib, sys
from pyarrow import parquet
from twin.stores.sample_files import parquet_rows
before = len(os.listdir("/proc/self/task"))
rows = parquet_rows(pathlib.Path(sys.argv[1]).read_bytes())
print(len(rows), len(os.listdir("/proc/self/task")) - before)
"""


def test_reading_leaves_no_thread(tmp_path: Path) -> None:
    """pyarrow's pool of threads aborts a process that ends while it starts: exit code 134."""
    file = tmp_path / "rows.parquet"
    parquet.write_table(arrow.Table.from_pylist([{"a": "x", "b": ["y"]}] * 5), file)
    read = subprocess.run(
        [sys.executable, "-c", COUNT, str(file)], capture_output=True, text=True, check=True
    )
    assert read.stdout.split() == ["5", "0"]
