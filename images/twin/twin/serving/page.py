"""The page at ``/`` on which people talk to the twin: plain files, served without a key.

Assets are named by the digest of all of them, so a browser keeps them for good and never mixes two
releases. Nothing on the page comes from another host, and a policy forbids the browser to ask one.
"""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request
from fastapi.responses import Response

from twin.serving.errors import ApiError

FOLDER = "page_files"
INDEX = "index.html"
PREFIX = "/page"
#: Where the page names its assets' folder.
PLACE = b"{{assets}}"

#: Scripts and styles from here only; scripts may write no HTML but what DOMPurify has cleaned.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
FOR_GOOD = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"

#: Python's own list depends on the machine's.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Page:
    """The page's files, read once.

    Attributes:
        digest: of all of them.
    """

    def __init__(self) -> None:
        self._files = dict(_read(files("twin.serving") / FOLDER))
        digest = hashlib.sha256()
        for name, content in sorted(self._files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        self.digest = digest.hexdigest()[:16]
        assets = f"{PREFIX}/{self.digest}".encode()
        self._files[INDEX] = self._files[INDEX].replace(PLACE, assets)

    def index(self, request: Request) -> Response:
        """The page itself, which a browser asks for each time and mostly is told to keep."""
        tag = f'"{self.digest}"'
        headers = {**HEADERS, "Cache-Control": ASKED_AGAIN, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(self._files[INDEX], headers=headers, media_type=TYPES[".html"])

    def asset(self, digest: str, name: str) -> Response:
        """One of its files.

        While one release follows another, a page of the old one may ask this one: it gets what
        there is, and does not keep it.

        Raises:
            ApiError: 404, no such file.
        """
        if name == INDEX or name not in self._files:
            raise ApiError(404, f"no file {name!r} of the page", code="not_found")
        kept = FOR_GOOD if digest == self.digest else ASKED_AGAIN
        suffix = name[name.rindex(".") :]
        headers = {**HEADERS, "Cache-Control": kept}
        return Response(self._files[name], headers=headers, media_type=TYPES[suffix])


def add_page(app: FastAPI) -> None:
    """Add the page and its files; they are no part of the API's document."""
    page = Page()

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def index(request: Request) -> Response:
        """The page."""
        return page.index(request)

    @app.get(PREFIX + "/{digest}/{name:path}", include_in_schema=False)
    async def asset(digest: str, name: str) -> Response:
        """One of its files."""
        return page.asset(digest, name)


def _read(folder: Traversable, above: str = "") -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        name = f"{above}{item.name}"
        if item.is_dir():
            found += _read(item, f"{name}/")
        else:
            found.append((name, item.read_bytes()))
    return found
