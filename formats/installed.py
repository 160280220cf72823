"""Whether another installed distribution may bring formats, told in little time.

To ask `importlib.metadata` takes fifty milliseconds, half of them for its import: longer than most files.
"""

import os
import sys
from importlib.machinery import PathFinder

_ENDINGS = (".dist-info", ".egg-info")


def may_bring(group: str) -> bool:
    """Whether any distribution may have entry points of `group`; False is certain."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return True  # it finds what stands in no folder
    return any(_may_hold(place or ".", group.encode()) for place in sys.path)


def _may_hold(place: str, group: bytes) -> bool:
    """Whether a place that packages are imported from may hold a distribution that speaks of `group`."""
    try:
        names = os.listdir(place)  # noqa: PTH208 - names are all that is wanted
    except NotADirectoryError:
        return True  # an archive
    except OSError:
        return False  # nothing is found there by anybody
    return any(
        _speaks_of(f"{place}/{name}/entry_points.txt", group)
        for name in names
        if (small := name.lower()).endswith(_ENDINGS) or small == "egg-info"
    )


def _speaks_of(file: str, group: bytes) -> bool:
    try:
        with open(file, "rb") as stream:  # noqa: PTH123 - hundreds of them: a Path for each takes longer
            return group in stream.read()
    except OSError:
        return False
