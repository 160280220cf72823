"""Chunks under tantivy's BM25: term by term, because the question's terms do not weigh alike."""

from collections.abc import Sequence

import tantivy

from lctx.core.chunking.chunk import Chunk
from lctx.core.retrieval.chunk_terms import chunk_terms
from lctx.core.storage import ByteCache

_HEAP_BYTES = 50_000_000
_FIELD = "terms"
_DETAIL = "freq"  # how often a term stands in a chunk is all that BM25 asks, not where


class ChunkIndex:
    """A BM25 index over chunks, in memory. Each chunk is indexed with its heading path in front."""

    def __init__(self, chunks: Sequence[Chunk], cache: ByteCache) -> None:
        """Index `chunks`; their order is the order of the numbers in every result.

        Args:
            chunks: Those of one document stand together.
            cache: Where their terms are kept.
        """
        builder = tantivy.SchemaBuilder()
        builder.add_text_field(_FIELD, stored=False, tokenizer_name="spaces", index_option=_DETAIL)
        builder.add_integer_field("number", stored=True)
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)
        # The terms are made here, not by tantivy, so that index, question and sentences agree on them.
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("spaces", analyzer)
        writer = self._index.writer(_HEAP_BYTES, num_threads=1)
        for number, words in enumerate(chunk_terms(chunks, cache)):
            writer.add_document(tantivy.Document(**{_FIELD: words, "number": number}))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()
        self._num_chunks = len(chunks)

    def _term(self, term: str) -> "tantivy.Query":
        return tantivy.Query.term_query(self._schema, _FIELD, term, index_option=_DETAIL)

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
