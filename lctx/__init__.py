"""lctx: answers about long documents, with every claim tied to a place that was checked."""

from pathlib import Path as _Path

__version__ = "0.1.0"

# A checkout made with `core.symlinks=false` holds three small text files where the packages should be.
for _name in ("cli", "core", "formats"):
    if not (_Path(__file__).parent / _name).is_dir():
        raise ImportError(
            f"lctx/{_name} is not a folder: this checkout lost its symbolic links. "
            "Run `git config core.symlinks true && git checkout -- lctx`, or install the wheel."
        )
