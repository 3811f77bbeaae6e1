"""`make screenshots`: the pictures of README and tutorial, taken from the running platform.

Whatever platform the settings name (`TWIN_LAPTOP_…`) is photographed in Chromium (`TWIN_CHROMIUM`);
nothing is started, trained or changed there but for one question.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from twin.domain.errors import BadDataError, TwinError
from twin.laptop.demo import Demo
from twin.laptop.platform import Platform
from twin.recipes import Recipe, load_recipe
from twin.settings import get_laptop_settings, get_settings
from twin.stores.registry import CHAMPION, Registry

PICTURES = Path(__file__).parent / "pages" / "pictures"
VIEWPORT = {"width": 1280, "height": 720}
#: A picture is two pixels to each of the page's where that stays under `MOST_BYTES`.
SCALE = 1.5
MOST_BYTES = 200_000
TERMINAL_COLUMNS = 96
#: After the last request, in milliseconds: graphs are laid out and faded in.
SETTLING = 2_500


@dataclass(frozen=True)
class Subject:
    """The platform that is photographed, and the twin on it."""

    platform: Platform
    recipe: Recipe
    question: str


def main(recipe: str) -> None:
    """Take every picture; each replaces the one before."""
    platform = Platform(get_laptop_settings(), Console(quiet=True))
    settings = platform.jobs_settings
    loaded = load_recipe(recipe, settings.recipes, settings.overrides)
    subject = Subject(platform, loaded, loaded.serving.probe_question)
    PICTURES.mkdir(exist_ok=True)
    pictures: dict[str, Callable[[Page, Subject], None]] = {
        "airflow-assets": open_assets,
        "airflow-run": open_run,
        "mlflow-version": open_version,
        "answer": show_answer,
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=get_settings().chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for name, prepare in pictures.items():
            path = PICTURES / f"{name}.png"
            path.write_bytes(photograph(browser, prepare, subject))
            print(f"{path}: {path.stat().st_size // 1000} kB")
        browser.close()


def photograph(
    browser: Browser, prepare: Callable[[Page, Subject], None], subject: Subject
) -> bytes:
    """A page as PNG, in few enough colours to be small."""
    page = browser.new_page(
        viewport=VIEWPORT, device_scale_factor=SCALE, color_scheme="light", locale="en-GB"
    )
    try:
        prepare(page, subject)
        page.wait_for_timeout(SETTLING)
        target = page.locator("pre")
        shot = target.screenshot() if page.url == "about:blank" else page.screenshot()
    finally:
        page.close()
    return smaller(shot)


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


def open_assets(page: Page, subject: Subject) -> None:
    """Airflow: the assets and the pipelines that they connect."""
    [asset] = asked(subject, "assets", name_pattern="samples")["assets"]
    page.goto(f"{subject.platform.addresses.airflow}/assets/{asset['id']}")
    page.locator(".react-flow__node").first.wait_for()


def open_run(page: Page, subject: Subject) -> None:
    """Airflow: the newest training, as a graph beside the runs before it."""
    runs = asked(subject, "dags/training/dagRuns", order_by="-run_after", limit=1)["dag_runs"]
    page.goto(f"{subject.platform.addresses.airflow}/dags/training/runs/{runs[0]['dag_run_id']}")
    page.locator(".react-flow__node").first.wait_for()


def asked(subject: Subject, path: str, **query: Any) -> Any:
    """What Airflow's API says."""
    with httpx.Client(base_url=subject.platform.addresses.airflow, timeout=30) as http:
        token = http.get("/auth/token").raise_for_status().json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        answer = http.get(f"/api/v2/{path}", params=query, headers=bearer)
        return answer.raise_for_status().json()


def open_version(page: Page, subject: Subject) -> None:
    """MLflow: the champion's page."""
    with Registry(subject.platform.jobs_settings) as registry:
        champion = registry.by_alias(subject.recipe.model_name, CHAMPION)
        if champion is None:
            raise BadDataError(f"{subject.recipe.model_name} has no champion: run `make demo`")
        page.goto(registry.version_url(champion.name, champion.version))
    page.get_by_text("weights_digest").first.wait_for()


def show_answer(page: Page, subject: Subject) -> None:
    """A terminal with the answer as `make demo` prints it."""
    terminal = Console(record=True, width=TERMINAL_COLUMNS, file=io.StringIO(), force_terminal=True)
    platform = Platform(subject.platform.laptop, terminal)
    demo = Demo(platform, subject.recipe, subject.recipe.name)
    demo.show_answer(demo.ask(subject.question))
    page.set_content(
        "<style>pre {display: inline-block; padding: 16px; margin: 0; background: #fff; "
        "border: 1px solid #ccc; border-radius: 6px; font: 14px/1.4 monospace}</style>"
        + terminal.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "handbook")
    except TwinError as error:
        sys.exit(f"error: {error}")
