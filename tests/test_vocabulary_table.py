"""The flat vocabulary: what is put in is found, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.core.tokens.table import VocabularyTable, build_table


@given(
    texts=st.lists(st.text(max_size=6), unique=True, max_size=60),
    others=st.lists(st.text(max_size=6), max_size=20),
)
def test_every_text_is_found_under_its_rank(texts, others):
    """This test ensures that lookup, dict and ids agree, and that what is not in there is not found."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    ids = [7 * rank + 3 for rank in range(len(texts))]
    table = VocabularyTable(build_table(encoded, ids, {"rule": "é\ud800"}))
    assert len(table) == len(texts)
    assert [table.rank(text, -1) for text in texts] == list(range(len(texts)))
    assert table.ranks() == {text: rank for rank, text in enumerate(texts)}
    assert table.byte_ranks() == {text: rank for rank, text in enumerate(encoded)}
    assert list(table.ids) == ids
    assert table.rules == {"rule": "é\ud800"}
    for text in others:
        assert (table.rank(text, -1) == -1) == (text not in texts)


def test_what_is_no_table_is_refused():
    """This test ensures that a value of any other length or kind is told from a table."""
    content = build_table([b"a", b"b"], [1, 2], {})
    for length in range(len(content)):
        with pytest.raises(ValueError, match="not a vocabulary table"):
            VocabularyTable(content[:length])
    with pytest.raises(ValueError, match="not a vocabulary table"):
        VocabularyTable(b"xxxx" + content[4:])
    with pytest.raises(ValueError, match="not a vocabulary table"):
        VocabularyTable(content + b"x")
