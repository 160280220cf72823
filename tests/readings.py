"""Reading sources as commands do, without a terminal to ask for passwords."""

from lctx.cli.sources import Reading, nothing_read, read_each, reading_of


def read_found(found, *, stdin=False, **more) -> Reading:
    """Every source as a document, or why it is none."""
    contents = {}
    results = read_each(found, stdin=stdin, contents=contents, **more)
    return reading_of(found, results, stdin=stdin, contents=contents)


def read_sources(found, **more) -> Reading:
    """As a command reads: nothing at all is an error."""
    reading = read_found(found, **more)
    if not reading.documents:
        raise nothing_read(reading.unreadable)
    return reading
