"""Reading pages in processes of their own, so that downloads go on and a bad page dies alone.

Parsers are C code fed with strangers' bytes: one that damages its heap or never returns takes
its process with it, and only the page that it was reading fails.
"""

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from traceback import format_exc

from twin.crawl.page import Article, Page, UnusableError
from twin.crawl.read_article import read_article
from twin.recipes import CrawlSection

#: A page takes milliseconds; whatever takes this long does not come to an end.
MAX_SECONDS = 60.0
#: Parsers keep caches and fragments: a new process now and then keeps memory flat.
PAGES_PER_PROCESS = 2_000
START_SECONDS = 120.0
# Not multiprocessing's own: its fork takes along the locks of our threads, its spawn imports
# whatever program runs us once more.
PROGRAM = "from twin.crawl.reader_process import serve; serve({})"

Read = Callable[[Page, CrawlSection], Article]


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

    def read(self, page: Page, limits: CrawlSection) -> Article:
        self.pages += 1
        try:
            if not self._ready:  # its imports take seconds on a busy machine
                if not self._pipe.poll(START_SECONDS):
                    raise BrokenReaderError("the reader's process did not start")
                self._pipe.recv()
                self._ready = True
            self._pipe.send((page, limits))
            if not self._pipe.poll(MAX_SECONDS):
                raise BrokenReaderError(f"not read within {MAX_SECONDS:.0f} s")
            answer: Article | Exception = self._pipe.recv()
        except (EOFError, OSError):
            raise BrokenReaderError(f"the reader's process died ({self._end()})") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

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


class ReaderProcesses:
    """Reads pages in other processes; safe to share between threads. Use it as a context."""

    def __init__(self, processes: int) -> None:
        self._idle: queue.SimpleQueue[_Reader | None] = queue.SimpleQueue()
        self._all: set[_Reader] = set()
        self._lock = threading.Lock()
        for _ in range(processes):
            self._idle.put(None)  # started when there is a page for it

    def __enter__(self) -> "ReaderProcesses":
        """Nothing is started before the first page."""
        return self

    def __exit__(self, *exception: object) -> None:
        for reader in self._all:
            reader.stop()

    def read(self, page: Page, limits: CrawlSection) -> Article:
        """As `read_article`, in another process.

        Raises:
            BrokenReaderError: the page broke its reader, or took too long.
        """
        reader = self._idle.get()
        try:
            if reader is None:
                reader = self._start()
            article = reader.read(page, limits)
        except BrokenReaderError:
            self._stop(reader)
            reader = None
            raise
        finally:
            if reader is not None and reader.pages >= PAGES_PER_PROCESS:
                self._stop(reader)
                reader = None
            self._idle.put(reader)
        return article

    def _start(self) -> _Reader:
        reader = _Reader()
        with self._lock:
            self._all.add(reader)
        return reader

    def _stop(self, reader: _Reader | None) -> None:
        if reader is not None:
            with self._lock:
                self._all.discard(reader)
            reader.stop()


def serve(pipe_number: int) -> None:
    """The process: one page after the other, until the pipe ends (as it does with its parent)."""
    pipe: Connection = Connection(pipe_number)
    # Both reach the whole group; the parent decides when it has no more pages.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _import_readers()
    with suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            page, limits = pipe.recv()
            pipe.send(_answer(page, limits))


def _answer(page: Page, limits: CrawlSection) -> Article | Exception:
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
