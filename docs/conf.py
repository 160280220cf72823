"""How Sphinx builds the manual: `python -m sphinx -W docs docs/_build/html`."""

import tomllib
from importlib.util import find_spec
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]

project = "lctx"
author = "The lctx authors"
copyright = author  # noqa: A001
release = version = _PROJECT["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo" if find_spec("furo") else "alabaster"
html_title = f"lctx {release}"
html_static_path = ["_static"] if (Path(__file__).parent / "_static").is_dir() else []
