"""Which files a recipe means: patterns on relative paths, as folders know them."""

import re
from collections.abc import Iterable

from fsspec.utils import glob_translate


class FilePatterns:
    """Patterns such as ``docs/**/*.md``; ``**`` stands for any folders, none included."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [re.compile(glob_translate(pattern)) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, name: str) -> bool:
        """Whether a relative path, with slashes, matches one of the patterns."""
        return any(pattern.match(name) for pattern in self._patterns)
