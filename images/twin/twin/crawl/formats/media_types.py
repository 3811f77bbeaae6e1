"""Media types of the files that can become documents, and how files are told apart by name."""

from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
NOTEBOOK = "application/x-ipynb+json"
PLAIN_TEXT = "text/plain"
VTT = "text/vtt"
SRT = "application/x-subrip"
SOURCE_CODE = "text/x-source-code"

#: What servers say of files whose kind they do not know.
VAGUE = frozenset({"", PLAIN_TEXT, "application/octet-stream", "binary/octet-stream"})

SUFFIXES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": PDF,
    ".docx": DOCX,
    ".ipynb": NOTEBOOK,
    ".txt": PLAIN_TEXT,
    ".text": PLAIN_TEXT,
    ".rst": PLAIN_TEXT,
    ".vtt": VTT,
    ".srt": SRT,
}

#: Programming languages by suffix, named as Markdown's fenced blocks name them.
LANGUAGES = {
    ".asm": "asm", ".awk": "awk", ".bash": "bash", ".bat": "batch", ".c": "c", ".cc": "cpp",
    ".clj": "clojure", ".cljs": "clojure", ".cpp": "cpp", ".cs": "csharp", ".css": "css",
    ".cu": "cuda", ".cuh": "cuda", ".cxx": "cpp", ".dart": "dart", ".el": "elisp",
    ".elm": "elm", ".erl": "erlang", ".ex": "elixir", ".exs": "elixir", ".f90": "fortran",
    ".fs": "fsharp", ".go": "go", ".gradle": "groovy", ".graphql": "graphql",
    ".groovy": "groovy", ".h": "c", ".hh": "cpp", ".hpp": "cpp", ".hs": "haskell",
    ".hxx": "cpp", ".java": "java", ".jl": "julia", ".js": "javascript", ".jsx": "jsx",
    ".kt": "kotlin", ".kts": "kotlin", ".lisp": "lisp", ".lua": "lua", ".m": "objective-c",
    ".mjs": "javascript", ".ml": "ocaml", ".mli": "ocaml", ".mm": "objective-c", ".nim": "nim",
    ".nix": "nix", ".php": "php", ".pl": "perl", ".pm": "perl", ".proto": "protobuf",
    ".ps1": "powershell", ".py": "python", ".pyi": "python", ".pyx": "cython", ".r": "r",
    ".rb": "ruby", ".rkt": "racket", ".rs": "rust", ".sass": "sass", ".scala": "scala",
    ".scm": "scheme", ".scss": "scss", ".sh": "bash", ".sol": "solidity", ".sql": "sql",
    ".svelte": "svelte", ".swift": "swift", ".tcl": "tcl", ".tf": "terraform", ".ts": "typescript",
    ".tsx": "tsx", ".vim": "vim", ".vue": "vue", ".zig": "zig", ".zsh": "zsh",
}  # fmt: skip

LANGUAGES_BY_NAME = {
    "cmakelists.txt": "cmake",
    "dockerfile": "dockerfile",
    "gemfile": "ruby",
    "justfile": "just",
    "makefile": "makefile",
    "rakefile": "ruby",
}


def media_type_of(name: str) -> str:
    """Media type of a file by its name; what is not known is called by its suffix."""
    suffix = PurePosixPath(name).suffix.lower()
    if programming_language(name):
        return SOURCE_CODE
    return SUFFIXES.get(suffix) or suffix or "no suffix"


def programming_language(name: str) -> str | None:
    """The programming language of a file by its name, as a fenced block calls it."""
    path = PurePosixPath(name)
    return LANGUAGES_BY_NAME.get(path.name.lower()) or LANGUAGES.get(path.suffix.lower())


def settled_type(media_type: str, url: str, body: bytes) -> str:
    """What a page is, where its server was vague: by its first bytes, else by its name."""
    if media_type not in VAGUE:
        return media_type
    if body.startswith(b"%PDF-"):
        return PDF
    by_name = SUFFIXES.get(PurePosixPath(unquote(urlsplit(url).path)).suffix.lower())
    if media_type == PLAIN_TEXT and by_name in {PDF, DOCX, "text/html"}:
        return PLAIN_TEXT  # whoever calls a page of HTML plain text means its source
    return by_name or media_type
