"""The page "what you write about, and what readers ask for", and the same in Markdown."""

from collections.abc import Iterator
from datetime import datetime

from twin.monitoring.coverage import Coverage, Topic
from twin.pages.page import render_page, web_link

TEMPLATE = "topics.html.jinja"

#: What follows from a topic's standing.
_SAYS = {
    "asked more": "asked for more than is written",
    "written more": "written more than is asked for",
    "open": "",
}


def as_page(coverage: Coverage, author: str, days: int, now: datetime) -> str:
    """HTML for the author: each topic with a bar for each month."""
    return render_page(
        "twin.monitoring",
        TEMPLATE,
        author=author,
        days=days,
        made=now,
        coverage=coverage,
        says=_SAYS,
        link=web_link,
        highest=max(
            (share for topic in coverage.topics for share in topic.months if share), default=1.0
        ),
    )


def as_markdown(coverage: Coverage, author: str, days: int, now: datetime) -> str:
    """The same for a terminal or an issue, without the plot."""
    return "\n".join(_lines(coverage, author, days, now)) + "\n"


def _lines(coverage: Coverage, author: str, days: int, now: datetime) -> Iterator[str]:
    yield f"# What {author} writes about"
    yield ""
    yield (
        f"{now:%Y-%m-%d}; {coverage.questions} questions of {coverage.callers} readers in the last "
        f"{days} days, {coverage.elsewhere:.0%} near none of the texts."
    )
    yield ""
    yield "| Topic | Written | Asked | Refused | Last written | |"
    yield "|---|---|---|---|---|---|"
    for topic in coverage.topics:
        asked = topic.asked
        share = f"{asked.share:.0%} [{asked.low:.0%}, {asked.high:.0%}]" if asked else ""
        refused = f"{asked.refused:.0%}" if asked else ""
        yield (
            f"| {', '.join(topic.words)} | {topic.written:.0%} | {share} | {refused} "
            f"| {last_written(topic, coverage.months)} | {_SAYS[topic.standing]} |"
        )


def last_written(topic: Topic, months: tuple[str, ...]) -> str:
    """The last month that has some of a topic; empty if no date is known."""
    written = [month for month, share in zip(months, topic.months, strict=True) if share]
    return written[-1] if written else ""
