"""A judge's replies in the file store: a retry asks for none of them again."""

import structlog
from pydantic import TypeAdapter, ValidationError

from twin.rag.judge import Replies
from twin.stores.files import FileStore

log = structlog.get_logger("twin")

_REPLIES: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


class KeptReplies:
    """The replies in one file.

    Args:
        files: where it is.
        name: of the file.
    """

    def __init__(self, files: FileStore, name: str) -> None:
        self._files = files
        self._name = name

    def known(self) -> Replies:
        """Those of earlier attempts; of a damaged file none, so that they are asked for again."""
        if not self._files.exists(self._name):
            return {}
        try:
            return _REPLIES.validate_json(self._files.read_text(self._name))
        except ValidationError:
            log.warning("unreadable replies of the judge, asked for again", path=self._name)
            return {}

    def keep(self, replies: Replies) -> None:
        """Write them all."""
        self._files.write_bytes(self._name, _REPLIES.dump_json(dict(replies)))
