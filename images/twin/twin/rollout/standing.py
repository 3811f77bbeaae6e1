"""How a model stands: what should serve, what does, and what is being brought in."""

from typing import Any

from twin.domain.rollout import application_name
from twin.rollout.steering import is_under_way
from twin.settings import Settings
from twin.stores.deployments import open_deployments
from twin.stores.endpoint import Endpoint
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import recipe_of

#: Lines of history that a look shows; `twin rollout history` shows all.
LINES = 10


def standing(model: str, settings: Settings) -> dict[str, Any]:
    """As JSON-like data."""
    state = RolloutStates(settings).load(model)
    previous = state.rollback_target
    running = open_deployments(settings).applications()
    versions = {}
    for item in state.running:
        application = running.get(application_name(model, item.name))
        versions[item.name] = {
            "weight": state.weights.get(item.name, 0),
            "configuration": item.configuration,
            "prompt": recipe_of(item).prompt.label,
            "status": application.status if application else "not there",
            "message": application.message if application else "",
            "weights": item.weights_uri,
        }
    under_way = is_under_way(state) and state.progress is not None
    return {
        "model": model,
        "generation": state.generation,
        "versions": versions,
        "previous": previous.name if previous else None,
        "warm_until": state.warm_until.isoformat() if state.warm_until else None,
        "rollout": state.progress.model_dump(mode="json") if under_way and state.progress else None,
        "wish": state.wish,
        "awaits": state.awaits,
        "router": Endpoint(settings).weights(model),
        "history": history(state.history[-LINES:]),
    }


def history(events: Any) -> list[dict[str, Any]]:
    """Events as JSON-like data."""
    return [item.model_dump(mode="json") for item in events]


def table(found: dict[str, Any]) -> str:
    """A standing as lines for people."""
    lines = [f"{found['model']}   (rollback goes to version {found['previous'] or '-'})"]
    for version, item in found["versions"].items():
        what = f"configuration {item['configuration']}, prompt {item['prompt']}"
        state = f"{item['status']}  {item['message']}".rstrip()
        lines.append(f"  v{version:<5} {item['weight']:>4}%  {what}  {state}")
    if rollout := found["rollout"]:
        paused = "  PAUSED" if found["wish"] == "pause" else ""
        lines.append(f"  v{rollout['version']} at step {rollout['step']}{paused}")
        lines += [f"    {line}" for line in rollout["figures"]]
    if found["awaits"]:
        lines.append(f"  v{found['awaits']} waits for approval (twin rollout promote, or abort)")
    return "\n".join([*lines, *history_lines(found["history"])])


def history_lines(events: list[dict[str, Any]]) -> list[str]:
    """A line of text for each event."""
    return [
        f"  {item['time'][:19]}  v{item['version']:<5} {item['configuration'] or '-':<8} "
        f"{item['event']}  {item['message']}".rstrip()
        for item in events
    ]
