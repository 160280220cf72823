"""What nobody who looks at a source can see: found on the pages that enter a prompt, left out, and told.

Text that is white on white or outside the page is how a document tells a model what its reader must not know.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lctx.core.answering.inputs import Inputs
from lctx.core.document import Document
from lctx.core.planning.plan import Piece


def without_unseen(inputs: Inputs, included: Iterable[Piece], looked_at: Sequence[set[int]]) -> Inputs:
    """`inputs` as they are where all that is included can be seen, else with more of them hidden.

    Args:
        inputs: The question and its sources.
        included: What would be read.
        looked_at: For each document the pages that were looked at; those of `included` are added.
    """
    if inputs.unseen is None:
        return inputs
    places = {id(document): number for number, document in enumerate(inputs.documents)}
    wanted: list[set[int]] = [set() for _ in inputs.documents]
    for piece in included:
        pages = piece.chunk.location.pages
        if pages:
            wanted[places[id(piece.chunk.document)]].update(range(pages[0], pages[1] + 1))
    documents = list(inputs.documents)
    for number, document in enumerate(documents):
        new = wanted[number] - looked_at[number]
        looked_at[number] |= new
        found = inputs.unseen(document, sorted(new)) if new else ()
        if found:
            hidden = tuple(merged([*document.hidden, *found]))
            documents[number] = replace(document, hidden=hidden)
    changed = any(one is not other for one, other in zip(documents, inputs.documents, strict=True))
    return replace(inputs, documents=documents) if changed else inputs


def merged(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same characters as stretches that are sorted and apart; none is empty."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found


def hidden_warnings(documents: Iterable[Document]) -> list[str]:
    """One line for each source that holds what nobody can see, with where that is."""
    told = []
    for document in documents:
        if not document.hidden:
            continue
        count = sum(end - start for start, end in document.hidden)
        pages = [
            page
            for start, end in document.hidden
            if (location := document.locate(start, end)).pages
            for page in range(location.pages[0], location.pages[1] + 1)
        ]
        named = ", ".join(str(page) for page in dict.fromkeys(pages))
        where = f" on p. {named}" if named else ""
        told.append(f"{document.path}: {count:,} characters{where} cannot be seen, and are left out")
    return told
