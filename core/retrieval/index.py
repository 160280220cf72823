"""Chunks under tantivy's BM25: term by term, because the question's terms do not weigh alike."""

from collections.abc import Sequence
from itertools import chain
from pathlib import PurePath

import tantivy

from lctx.core.chunking.chunk import Chunk
from lctx.core.retrieval.terms import terms

_HEAP_BYTES = 50_000_000
_FIELD = "terms"


class ChunkIndex:
    """A BM25 index over chunks, in memory. Each chunk is indexed with its heading path in front."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        """Index `chunks`; their order is the order of the numbers in every result."""
        builder = tantivy.SchemaBuilder()
        builder.add_text_field(_FIELD, stored=False, tokenizer_name="spaces")
        builder.add_integer_field("number", stored=True)
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)
        # The terms are made here, not by tantivy, so that index, question and sentences agree on them.
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("spaces", analyzer)
        writer = self._index.writer(_HEAP_BYTES, num_threads=1)
        above: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for number, chunk in enumerate(chunks):
            place = chunk.document.path, chunk.heading
            if place not in above:  # chunks of one section share it
                above[place] = terms(heading_text(chunk))
            words = " ".join(chain(above[place], terms(chunk.text)))
            writer.add_document(tantivy.Document(**{_FIELD: words, "number": number}))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()
        self._num_chunks = len(chunks)

    def _term(self, term: str) -> "tantivy.Query":
        return tantivy.Query.term_query(self._schema, _FIELD, term)

    def search(self, weights: dict[str, float], limit: int) -> list[tuple[int, float]]:
        """The best chunks as (number, score), best first; only chunks that hold at least one term."""
        clauses = [
            (tantivy.Occur.Should, tantivy.Query.boost_query(self._term(term), weight))
            for term, weight in weights.items()
        ]
        if not clauses or not self._num_chunks:
            return []
        hits = self._searcher.search(tantivy.Query.boolean_query(clauses), limit, count=False).hits
        return [(self._searcher.doc(address)["number"][0], score) for score, address in hits]

    def num_holding(self, term: str) -> int:
        """How many chunks hold `term`."""
        return int(self._searcher.doc_freq(_FIELD, term))

    def holding(self, term: str) -> list[int]:
        """The numbers of all chunks that hold `term`, in no order."""
        hits = self._searcher.search(self._term(term), max(self._num_chunks, 1), count=False).hits
        return [self._searcher.doc(address)["number"][0] for _, address in hits]


def heading_text(chunk: Chunk) -> str:
    """What stands above a chunk and is not in it: its heading path and its file's name."""
    name = PurePath(chunk.document.path).stem
    return " ".join((name, *chunk.heading))
