"""Reading pages in a process of their own, so that downloads go on and a bad page dies alone.

Parsers are C code fed with strangers' bytes: one that damages its heap or never returns takes
its process with it, and only the page that it was reading fails.
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from multiprocessing.connection import Connection, Pipe
from traceback import format_exc

from twin.crawl.page import Article, Page, UnusableError
from twin.crawl.read_article import read_article
from twin.recipes import CrawlSection

#: A page takes milliseconds; whatever takes this long does not come to an end. A page of megabytes
#: is given more: a table of a million cells takes minutes.
MAX_SECONDS = 60.0
BYTES_A_SECOND = 50_000
#: Parsers keep caches and fragments: a new process now and then keeps memory flat.
PAGES_PER_PROCESS = 2_000
START_SECONDS = 120.0
#: Bytes of pages that go to the process at once.
LARGEST_BYTES = 1_000_000
# Not multiprocessing's own: its fork takes along the locks of our threads, its spawn imports
# whatever program runs us once more.
PROGRAM = "from twin.crawl.reader_process import serve; serve({})"

#: An article, or why there is none: an `UnusableError`, or what reading it has raised.
Answer = Article | Exception
ReadAll = Callable[[Sequence[Page], CrawlSection], Sequence[Answer]]


def read_each(pages: Sequence[Page], limits: CrawlSection) -> list[Answer]:
    """As `read_article` of each page, here."""
    answers: list[Answer] = []
    for page in pages:
        try:
            answers.append(read_article(page, limits))
        except Exception as error:
            answers.append(error)
    return answers


class BrokenReaderError(Exception):
    """What broke a reader, in words: the exception itself need not survive the way back.

    Attributes:
        reason: one line.
        trace: of the exception, for the log.
    """

    def __init__(self, reason: str, trace: str = "") -> None:
        super().__init__(reason, trace)
        self.reason = reason
        self.trace = trace


class _Reader:
    """One process, and the pipe to it."""

    def __init__(self) -> None:
        self._pipe, end = Pipe()
        with end:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-P", "-c", PROGRAM.format(end.fileno())],
                pass_fds=[end.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.pages = 0
        self._ready = False

    def read(self, pages: Sequence[Page], limits: CrawlSection) -> Iterator[Answer]:
        """An answer for each page, in their order.

        Raises:
            BrokenReaderError: the first page without an answer broke it.
        """
        self.pages += len(pages)
        try:
            if not self._ready:  # its imports take seconds on a busy machine
                if not self._pipe.poll(START_SECONDS):
                    raise BrokenReaderError("the reader's process did not start")
                self._pipe.recv()
                self._ready = True
            self._pipe.send((pages, limits))
            for page in pages:
                seconds = MAX_SECONDS + len(page.body) / BYTES_A_SECOND
                if not self._pipe.poll(seconds):
                    raise BrokenReaderError(f"not read within {seconds:.0f} s")
                yield self._pipe.recv()
        except (EOFError, OSError):
            raise BrokenReaderError(f"the reader's process died ({self._end()})") from None

    def _end(self) -> str:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "its pipe is closed"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.wait()


class ReaderProcess:
    """Reads pages in another process; safe to share between threads. Use it as a context."""

    def __init__(self) -> None:
        self._reader: _Reader | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> "ReaderProcess":
        """Nothing is started before the first page."""
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def read_all(self, pages: Sequence[Page], limits: CrawlSection) -> list[Answer]:
        """As `read_article` of each page, in another process.

        A page that broke its reader, or took too long, has a `BrokenReaderError` for an answer.
        """
        answers: list[Answer] = []
        with self._lock:
            while len(answers) < len(pages):
                answers += self._read_some(_portion(pages[len(answers) :]), limits)
        return answers

    def _read_some(self, pages: Sequence[Page], limits: CrawlSection) -> list[Answer]:
        """Answers for all, or for those up to the one that broke its reader."""
        answers: list[Answer] = []
        if self._reader is None:
            self._reader = _Reader()
        try:
            answers.extend(self._reader.read(pages, limits))
        except BrokenReaderError as error:
            answers.append(error)
            self._stop()
        else:
            if self._reader.pages >= PAGES_PER_PROCESS:
                self._stop()
        return answers

    def _stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()


def _portion(pages: Sequence[Page]) -> Sequence[Page]:
    """The first pages: so many that they are no large message, but one at least."""
    sizes = accumulate(len(page.body) for page in pages)
    count = sum(size <= LARGEST_BYTES for size in sizes)
    return pages[: max(count, 1)]


def serve(pipe_number: int) -> None:
    """The process: some pages after others, until the pipe ends, as it does with its parent."""
    pipe: Connection = Connection(pipe_number)
    # Both reach the whole group; the parent decides when it has no more pages.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _import_readers()
    with suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            pages, limits = pipe.recv()
            for page in pages:
                pipe.send(_answer(page, limits))


def _answer(page: Page, limits: CrawlSection) -> Answer:
    try:
        return read_article(page, limits)
    except UnusableError as error:
        return error
    except Exception as error:
        text = " ".join(str(error).split())[:200].encode(errors="replace").decode()
        return BrokenReaderError(f"{type(error).__name__}: {text}", format_exc())


def _import_readers() -> None:
    """Import what nearly every page needs, before the first one waits for it."""
    import trafilatura  # noqa: F401

    import twin.crawl.formats.html  # noqa: F401
