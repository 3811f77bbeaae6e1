"""`make screenshots`: the pictures of README and tutorial, taken from the running platform.

Whatever platform the settings name (`TWIN_LAPTOP_…`) is photographed in Chromium (`TWIN_CHROMIUM`);
nothing is started, trained or changed there but for one question.
"""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from rich.console import Console

from twin.domain.errors import BadDataError, TwinError
from twin.laptop.demo import Demo
from twin.laptop.platform import Platform
from twin.recipes import Recipe, load_recipe
from twin.settings import get_laptop_settings, get_settings
from twin.stores.registry import CHAMPION, Registry

PICTURES = Path(__file__).parent / "pages" / "pictures"
MOST_BYTES = 200_000
TERMINAL_COLUMNS = 116
#: After the last request, in milliseconds: graphs are laid out and faded in.
SETTLING = 6_000
#: What the web pages keep of a reader's choices: a graph of open groups, and no chat beside it.
CHOICES = {
    "default_dag_view": '"graph"',
    "training/open-groups": '["one_model"]',
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
}


@dataclass(frozen=True)
class Subject:
    """The platform that is photographed, and the twin on it."""

    platform: Platform
    recipe: Recipe
    question: str


@dataclass(frozen=True)
class Picture:
    """One picture: ``open`` brings a page before the camera and returns what of it is wanted."""

    name: str
    open: Callable[[Page, Subject], Locator]
    width: int
    height: int


def main(recipe: str) -> None:
    """Take every picture; each replaces the one before."""
    platform = Platform(get_laptop_settings(), Console(quiet=True))
    settings = platform.jobs_settings
    loaded = load_recipe(recipe, settings.recipes, settings.overrides)
    subject = Subject(platform, loaded, loaded.serving.probe_question)
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=get_settings().chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for picture in (
            Picture("airflow-chain", open_chain, 760, 1180),
            Picture("airflow-run", open_run, 1280, 640),
            Picture("mlflow-version", open_version, 1280, 640),
            Picture("answer", open_answer, 1200, 800),
            Picture("page", open_page, 1200, 640),
        ):
            path = PICTURES / f"{picture.name}.png"
            path.write_bytes(photograph(browser, picture, subject))
            print(f"{path}: {path.stat().st_size // 1000} kB")
        browser.close()


def photograph(browser: Browser, picture: Picture, subject: Subject) -> bytes:
    """A page, or a part of one, as a small PNG."""
    page = browser.new_page(
        viewport={"width": picture.width, "height": picture.height},
        device_scale_factor=1.5,
        color_scheme="light",
        locale="en-GB",
    )
    remember(page, CHOICES)
    try:
        wanted = picture.open(page, subject)
        page.wait_for_timeout(SETTLING)
        return smaller(wanted.screenshot())
    finally:
        page.close()


def remember(page: Page, choices: dict[str, str]) -> None:
    """Let the web page find these choices of a reader's, as if made at an earlier visit."""
    page.add_init_script(
        f"for (const [key, value] of Object.entries({json.dumps(choices)})) "
        "localStorage.setItem(key, value)"
    )


def smaller(png: bytes) -> bytes:
    """The picture with a palette: screenshots have few colours.

    Raises:
        BadDataError: it is too large for a README all the same.
    """
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64):
        buffer = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
    raise BadDataError(f"a picture has {buffer.tell()} bytes: at most {MOST_BYTES} are wanted")


def open_chain(page: Page, subject: Subject) -> Locator:
    """Airflow: the assets and the pipelines that they connect, from top to bottom."""
    [asset] = asked(subject, "assets", name_pattern="samples")["assets"]
    remember(page, {f"direction-{asset['id']}": '"DOWN"'})
    page.goto(f"{subject.platform.addresses.airflow}/assets/{asset['id']}")
    page.locator(".react-flow__node").first.wait_for()
    page.add_style_tag(content=".react-flow__panel {visibility: hidden}")
    return page.locator(".react-flow")


def _version(run: dict[str, Any]) -> int:
    return max((int(each["version_number"]) for each in run["dag_versions"]), default=0)


def open_run(page: Page, subject: Subject) -> Locator:
    """Airflow: the longest of the newest trainings, as a graph."""
    query = {"order_by": "-run_after", "limit": 20, "state": "success"}
    runs = asked(subject, "dags/training/dagRuns", **query)["dag_runs"]
    if not runs:
        raise BadDataError("no training has succeeded here: run `make demo`")
    # Of the DAG as it is now the run that had most to do.
    newest = max(_version(run) for run in runs)
    latest = [run for run in runs if _version(run) == newest]
    run = max(latest, key=lambda run: run["duration"])["dag_run_id"]
    page.goto(f"{subject.platform.addresses.airflow}/dags/training/runs/{quote(run)}")
    page.locator(".react-flow__node").first.wait_for()
    return page.locator("body")


def asked(subject: Subject, path: str, **query: Any) -> Any:
    """What Airflow's API says."""
    with httpx.Client(base_url=subject.platform.addresses.airflow, timeout=30) as http:
        token = http.get("/auth/token").raise_for_status().json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        answer = http.get(f"/api/v2/{path}", params=query, headers=bearer)
        return answer.raise_for_status().json()


def open_version(page: Page, subject: Subject) -> Locator:
    """MLflow: the champion's page."""
    with Registry(subject.platform.jobs_settings) as registry:
        champion = registry.by_alias(subject.recipe.model_name, CHAMPION)
        if champion is None:
            raise BadDataError(f"{subject.recipe.model_name} has no champion: run `make demo`")
        page.goto(registry.version_url(champion.name, champion.version))
    page.get_by_text("Digest of the recipe").first.wait_for()
    return page.locator("body")


def open_answer(page: Page, subject: Subject) -> Locator:
    """A terminal with the answer as `make demo` prints it."""
    terminal = Console(
        record=True,
        width=TERMINAL_COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        highlight=False,
    )
    platform = Platform(subject.platform.laptop, terminal)
    demo = Demo(platform, subject.recipe, subject.recipe.name)
    demo.show_answer(demo.ask(subject.question))
    page.set_content(
        "<style>pre {display: inline-block; padding: 16px; margin: 0; background: #fff; "
        "border: 1px solid #ccc; border-radius: 6px; font: 14px/1.4 monospace}</style>"
        + terminal.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
    )
    return page.locator("pre")


def open_page(page: Page, subject: Subject) -> Locator:
    """The endpoint's own page, with a question answered and its first source open."""
    page.goto(subject.platform.addresses.endpoint)
    page.get_by_label("API key").fill(subject.platform.secrets.api_key)
    page.get_by_role("button", name="Use this key").click()
    page.get_by_label("Your question").fill(subject.question)
    page.get_by_role("button", name="Ask").click()
    page.locator(".said[aria-busy=false] .text").wait_for(timeout=60_000)
    page.locator(".sources details").first.evaluate("source => source.open = true")
    return page.locator("body")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "handbook")
    except (TwinError, httpx.HTTPError) as error:
        sys.exit(f"error: {error}")
