"""The other side of `shares.py`: a process that counts one share, begun with nothing else imported."""

import sys
from array import array

from lctx.core.tokens.sentencepiece import count_alone
from lctx.core.tokens.shares import read_order
from lctx.core.tokens.table import VocabularyTable


def main() -> None:
    """Count the texts that stand on stdin; their counts, as numbers of eight bytes, on stdout."""
    content, texts = read_order(sys.stdin.buffer)
    counts = count_alone(VocabularyTable(content), texts)
    sys.stdout.buffer.write(array("Q", counts).tobytes())
    sys.stdout.buffer.flush()
