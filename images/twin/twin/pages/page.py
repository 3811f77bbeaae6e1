"""One page for a browser that needs nothing else, from a template of the stage that shows it.

No script, no style sheet, no font and no image from elsewhere: the page tells the browser to load
none, whatever the texts on it say. They are escaped, for what is retrieved, written by a model or
taken from a title is data. ``page.html.jinja`` is the frame: light, dark, printed and on a phone.
"""

import base64
from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_FRAME = "twin.pages"
#: Addresses that become links; any other scheme might be a program.
_LINKED = {"http", "https"}


def render_page(package: str, template: str, **values: object) -> str:
    """The page in HTML; everything in ``values`` is escaped.

    Args:
        package: the stage's, that has the template.
        template: its file name; it extends ``page.html.jinja``.
        **values: what the template names.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader(_FRAME, "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files(_FRAME).joinpath("style.css").read_text("utf-8")
    return environment.get_template(template).render(style=Markup(style), **values) + "\n"  # noqa: S704 # ours


def web_link(url: str) -> str:
    """The address, if it is one of the web; empty if not, so that nothing else is linked."""
    return url if url.partition(":")[0].lower() in _LINKED else ""


def embedded_image(png: bytes) -> str:
    """A PNG image as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
