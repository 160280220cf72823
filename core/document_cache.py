"""Documents that were read before, by the hash of their bytes: a second question need not read them again."""

from dataclasses import fields, replace

import msgspec

from lctx.core.document import Block, Document, Location, Span
from lctx.core.storage import ByteCache

# The nouns' own fields name the layout: what was kept before a field was added is never found again.
_LAYOUT = ",".join(part.name for noun in (Document, Span, Location, Block) for part in fields(noun))


class DocumentCache:
    """Documents under their bytes' sha256 and their reader's version; losing one costs only time."""

    def __init__(self, cache: ByteCache) -> None:
        """Keep documents in `cache`."""
        self._cache = cache
        self._decoder = msgspec.msgpack.Decoder(Document)

    def get(self, sha256: str, reader: str, path: str) -> Document | None:
        """The document that `reader` made of the bytes with this hash; None where none is kept whole.

        Args:
            sha256: Of the source's bytes, in hexadecimal.
            reader: The reader and its version: "pdf/1".
            path: The name to show; the same bytes may have had another when they were read.
        """
        kept = self._cache.get(_key(sha256, reader))
        if kept is None:
            return None
        try:
            document = self._decoder.decode(kept)
        except msgspec.MsgspecError:
            return None
        if (document.sha256, document.reader) != (sha256, reader):
            return None
        return replace(document, path=path)

    def put(self, document: Document) -> None:
        """Keep `document`; where that fails it is not kept, and the cache's `broken` says why."""
        try:
            kept = msgspec.msgpack.encode(replace(document, path=""))
        except UnicodeEncodeError:
            return  # a lone surrogate has no bytes: such a text is read anew each time
        self._cache.put(_key(document.sha256, document.reader), kept)


def _key(sha256: str, reader: str) -> str:
    return f"document {_LAYOUT} {reader} {sha256}"
