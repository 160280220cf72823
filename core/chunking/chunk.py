"""A chunk: a slice of one document, the unit that is planned, counted, read and cited."""

from dataclasses import dataclass

from lctx.core.document import Document, Location


@dataclass(frozen=True)
class Chunk:
    """`document.text[start:end]`: text and place cannot part, because the chunk holds neither of its own.

    Chunks of one document tile its text: sorted, adjacent, no gap, no overlap. Each ends at a line end
    (or at the end of the text), so that token ids can be counted and joined chunk by chunk.

    Attributes:
        document: The source.
        start: Code points into its text, half-open with `end`.
        end: See `start`.
        is_hidden: Whether nobody who looks at the source can see it: it is counted, and never read.
    """

    document: Document
    start: int
    end: int
    is_hidden: bool = False

    @property
    def text(self) -> str:
        """The chunk's characters, exactly as the reader read them."""
        return self.document.text[self.start : self.end]

    @property
    def heading(self) -> tuple[str, ...]:
        """The headings or symbols above the chunk's first character, outermost first."""
        block = self.document.block_at(self.start)
        return (block.heading or block.symbol) if block else ()

    @property
    def location(self) -> Location:
        """Where the whole chunk stands."""
        return self.document.locate(self.start, self.end)
