"""What monitoring remembers, for people."""

from collections.abc import Iterator

from twin.domain.monitoring import MonitoringState


def state_lines(state: MonitoringState) -> Iterator[str]:
    """One line a measure and start, the bad ones first."""
    if state.checked is None:
        yield f"nobody has looked at it yet: twin monitoring run --recipe {state.recipe}"
        return
    yield f"{state.recipe}, looked at {state.checked:%Y-%m-%d %H:%M} UTC"
    for name, record in sorted(state.records.items(), key=lambda item: item[1].standing.value):
        now = "" if record.last.standing is record.standing else f" (now {record.last.standing})"
        yield f"  {record.standing:4} {name}{now}: {record.last.says}"
    for start in state.starts:
        yield f"  started {start.pipeline} at {start.at:%Y-%m-%d %H:%M} UTC: {start.reason}"
