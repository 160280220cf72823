"""How a PDF's parent and child processes make sure that they speak of the same text of a page."""

import hashlib


def digest_of(text: str) -> str:
    """A name for a page's text: what was found in one text says nothing of another."""
    # The document ends a page with a newline that the page does not have.
    return hashlib.sha256(text.removesuffix("\n").encode("utf-8", "replace")).hexdigest()
