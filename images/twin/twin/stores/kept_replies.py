"""Replies of language models that cost money or time, kept one by one in the file store.

Each reply is a file of its own from the moment it comes, so that a kill loses none but those that
were being written. Files are gathered in packs, since a store of a hundred thousand small ones is
slow to read. One process at a time writes to a folder.
"""

from collections.abc import Collection, Iterator

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from twin.domain.errors import BadDataError
from twin.stores.files import FileStore

PACK = 500
"""Replies in a pack."""

_PACKS = "packs"


class KeptReply(BaseModel):
    """What is known of one call: that it began, and what came of it."""

    model_config = ConfigDict(frozen=True)

    key: str = Field(description="of everything that shapes the reply")
    about: str = Field(default="", description="id of the document that it is forgotten with")
    payer: str = Field(default="", description="what it was asked for, so that spending is counted")
    begun: int = Field(default=0, description="times that it was asked for and nothing came back")
    prompt_bound: int = Field(default=0, description="tokens that a prompt has at most")
    answer_bound: int = Field(default=0, description="tokens that an answer has at most")
    text: str | None = Field(default=None, description="the reply; None: none has come")
    refusal: str = Field(default="", description="why the endpoint will never answer it")
    prompt_tokens: int = 0
    answer_tokens: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether asking again would bring nothing new."""
        return self.text is not None or bool(self.refusal)


_PACKED = TypeAdapter(tuple[KeptReply, ...])


class KeptReplies:
    """The replies in one folder.

    Raises (when opened): `BadDataError` where a file is damaged.
    """

    def __init__(self, files: FileStore, folder: str) -> None:
        self._files = files
        self._folder = folder
        self._packs = files.names(f"{folder}/{_PACKS}")
        names = [name for name in files.names(folder) if name.endswith(".json")]
        self._loose = {name.removesuffix(".json") for name in names}
        self._known: dict[str, KeptReply] = {}
        for name in [*(f"{_PACKS}/{pack}" for pack in self._packs), *names]:
            self._known |= {each.key: each for each in self._read(name)}

    def __len__(self) -> int:
        """How many calls are known."""
        return len(self._known)

    def __iter__(self) -> Iterator[KeptReply]:
        """All that is known."""
        return iter(self._known.values())

    def find(self, key: str) -> KeptReply | None:
        """What is known of a call, if anything is."""
        return self._known.get(key)

    def keep(self, reply: KeptReply) -> None:
        """Keep what is known of a call now, in place of what was."""
        self._files.write_text(f"{self._folder}/{reply.key}.json", _json([reply]))
        self._known[reply.key] = reply
        self._loose.add(reply.key)
        if len(self._loose) >= PACK:
            self._pack()

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase the replies about these documents; returns how many there were."""
        gone = {each.key for each in self if each.about in document_ids}
        for pack in self._packs:
            name = f"{_PACKS}/{pack}"
            before = self._read(name)
            after = [each for each in before if each.key not in gone]
            if len(after) < len(before):
                self._files.write_text(f"{self._folder}/{name}", _json(after))
        for key in gone & self._loose:
            self._files.remove(f"{self._folder}/{key}.json")
        self._loose -= gone
        for key in gone:
            del self._known[key]
        return len(gone)

    def remove(self) -> None:
        """Erase all."""
        self._files.remove(self._folder)
        self._known, self._loose, self._packs = {}, set(), []

    def _pack(self) -> None:
        """Gather the settled ones. The files go last: what is there twice is the same."""
        settled = sorted(key for key in self._loose if self._known[key].is_settled)
        if len(settled) < PACK // 2:  # nearly all are still being asked
            return
        last = int(self._packs[-1].removesuffix(".json")) if self._packs else 0
        pack = f"{last + 1:08}.json"
        packed = [self._known[key] for key in settled]
        self._files.write_text(f"{self._folder}/{_PACKS}/{pack}", _json(packed))
        self._packs.append(pack)
        for key in settled:
            self._files.remove(f"{self._folder}/{key}.json")
        self._loose -= set(settled)

    def _read(self, name: str) -> tuple[KeptReply, ...]:
        place = f"{self._folder}/{name}"
        try:
            return _PACKED.validate_json(self._files.read_bytes(place))
        except ValidationError:
            raise BadDataError(
                f"{self._files.uri(place)}: no kept replies: remove the file, and what it held is "
                "asked again"
            ) from None


def _json(replies: Collection[KeptReply]) -> str:
    return _PACKED.dump_json(tuple(replies), exclude_defaults=True).decode()
