"""The rules that keep the rooms apart: who may import whom, where a library may appear, how long a file may be."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("cli", "core", "formats")


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


PRODUCT = [*python_files(*LAYERS), ROOT / "lctx/__init__.py"]
EVERYTHING = [*PRODUCT, *python_files("tests", "examples", "docs")]

MAY_IMPORT = {
    "cli": ("lctx.cli", "lctx.formats", "lctx.core"),
    "formats": ("lctx.formats", "lctx.core.document", "lctx.core.errors"),
    "core": ("lctx.core",),
}
# Inside core a room imports itself and the rooms below it. New rooms get their place here.
FLOORS = (
    ("document", "document_cache", "document_part", "errors", "kept", "storage"),
    ("chunking",),
    ("models",),
    ("tokens",),
    ("retrieval",),
    ("planning",),
    ("engine",),
    ("citing",),
    ("answering",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Where a library may be imported; an empty string is nowhere.
DOORS = {
    "rich": "cli/",
    "typer": "cli/",
    "click": "",  # typer carries its own
    "pypdf": "formats/pdf",
    "pypdfium2": "formats/pdf",
    "docx": "formats/word",
    "tree_sitter": "formats/",
    "tantivy": "core/retrieval/",
    "Stemmer": "core/retrieval/",
    "tiktoken": "core/tokens/",
    "tokenizers": "core/tokens/",
    "jinja2": "core/tokens/",
    "xllamacpp": "core/engine/llama_child.py",
    "torch": "",
    "transformers": "",
    "vllm": "",
}
HEAVY = (
    "numpy",
    "rich",
    "tantivy",
    "pypdfium2",
    "pypdf",
    "docx",
    "tree_sitter",
    "lxml",
    "tinycss2",
    "cssselect2",
    "tokenizers",
    "tiktoken",
    "jinja2",
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def module_name(path: str) -> str:
    """The import name of a file: `core/engine/__init__.py` is `lctx.core.engine`."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"lctx.{name}" if name.split(".")[0] in LAYERS else name


def imports_of(path: str, source: str) -> Iterator[str]:
    """Every imported name in full, wherever in the file it stands; `from a import b` gives `a.b`."""
    package = module_name(path) if path.endswith("__init__.py") else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "__import__",
            "import_module",
            "importlib.import_module",
        }:
            yield from (name.value for name in node.args[:1] if isinstance(name, ast.Constant))


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def wrong_direction(path: str, source: str) -> list[str]:
    """Imports that point back: core to formats, formats to a room of core."""
    allowed = MAY_IMPORT.get(path.partition("/")[0])
    return [
        f"{path} imports {name}"
        for name in imports_of(path, source)
        if allowed
        and any(within(name, f"lctx.{layer}") for layer in LAYERS)
        and not any(within(name, one) for one in allowed)
    ]


def wrong_floor(path: str, source: str) -> list[str]:
    """Imports inside core that point to a higher room, and rooms that have no place yet."""
    if not path.startswith("core/") or path == "core/__init__.py":
        return []
    own = path.split("/")[1].removesuffix(".py")
    rooms = {own, *(name.split(".")[2] for name in imports_of(path, source) if name.startswith("lctx.core."))}
    return [f"{path}: {room} has no floor" for room in rooms if room not in FLOOR_OF] + [
        f"{path} imports {room} from above" for room in rooms if FLOOR_OF.get(room, 0) > FLOOR_OF.get(own, 0)
    ]


def wrong_door(path: str, source: str) -> list[str]:
    """Libraries outside the one place that may know them."""
    tops = {name.split(".")[0] for name in imports_of(path, source)}
    return [
        f"{path} imports {top}"
        for top in tops & DOORS.keys()
        if not (DOORS[top] and path.startswith(DOORS[top]))
    ]


def bare_names(path: str, source: str) -> list[str]:
    """`import core`: a second copy of every class would appear."""
    return [f"{path} imports {name}" for name in imports_of(path, source) if name.split(".")[0] in LAYERS]


def prints(path: str, source: str) -> list[str]:
    """Calls of print where only `cli` may speak."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        f"{path}:{call.lineno} prints"
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "print" and not path.startswith("cli/")
    ]


def too_long(path: str, source: str) -> list[str]:
    """Files and functions that nobody reads in one go."""
    lines = len(source.splitlines())
    found = [f"{path} has {lines} lines"] if lines > MAX_FILE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                found.append(f"{path}:{node.lineno} {node.name} has {length} lines")
    return found


Check = Callable[[str, str], list[str]]
PRODUCT_CHECKS: tuple[Check, ...] = (wrong_direction, wrong_floor, wrong_door, prints, too_long)


def violations(check: Check, files: list[Path]) -> list[str]:
    return [
        found for file in files for found in check(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    ]


@pytest.mark.parametrize("check", PRODUCT_CHECKS, ids=lambda check: check.__name__)
def test_product_code_keeps_the_rule(check):
    """This test ensures that no file of cli, formats or core breaks the rule, lazy imports included."""
    assert violations(check, PRODUCT) == []


def test_nobody_imports_the_folders_by_their_bare_names():
    """This test ensures that product, tests, examples and docs all say `lctx.core`, never `core`."""
    assert violations(bare_names, EVERYTHING) == []


def test_modules_form_no_cycle():
    """This test ensures that every import, lazy or not, points one way."""
    names = {module_name(file.relative_to(ROOT).as_posix()) for file in PRODUCT}
    graph: dict[str, set[str]] = {}
    for file in PRODUCT:
        path = file.relative_to(ROOT).as_posix()
        imported = imports_of(path, file.read_text("utf-8"))
        modules = {name if name in names else name.rpartition(".")[0] for name in imported}
        graph[module_name(path)] = modules & names - {module_name(path)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


PLANTED = [
    (wrong_direction, "core/planning/plan.py", "from lctx.formats.pdf import read_pdf", "lctx.formats.pdf"),
    (wrong_direction, "core/document.py", "def late():\n    import lctx.cli.app", "lctx.cli.app"),
    (
        wrong_direction,
        "formats/pdf.py",
        "from lctx.core.tokens.tokenizer import Tokenizer",
        "lctx.core.tokens",
    ),
    (wrong_direction, "formats/pdf.py", "from lctx.core import storage", "lctx.core.storage"),
    (wrong_direction, "formats/pdf.py", "from ..core import storage", "lctx.core.storage"),
    (wrong_direction, "formats/pdf.py", "from ..cli import app", "lctx.cli.app"),
    (wrong_direction, "core/storage.py", "importlib.import_module('lctx.cli.app')", "lctx.cli.app"),
    (
        wrong_floor,
        "core/models/profile.py",
        "from lctx.core.tokens.tokenizer import Tokenizer",
        "tokens from above",
    ),
    (wrong_floor, "core/errors.py", "from lctx.core.chunking.chunk import Chunk", "chunking from above"),
    (
        wrong_floor,
        "core/planning/plan.py",
        "def late():\n    from lctx.core import answering",
        "answering from above",
    ),
    (wrong_floor, "core/gossip/talk.py", "import os", "gossip has no floor"),
    (wrong_door, "core/answering/answer.py", "def late():\n    import rich.text", "rich"),
    (wrong_door, "formats/word.py", "import pypdf", "pypdf"),
    (wrong_door, "formats/text.py", "from docx import Document", "docx"),
    (wrong_door, "core/engine/vllm.py", "import vllm", "vllm"),
    (wrong_door, "core/engine/server.py", "import xllamacpp", "xllamacpp"),
    (wrong_door, "cli/ask.py", "import torch", "torch"),
    (wrong_door, "cli/ask.py", "import click", "click"),
    (bare_names, "core/errors.py", "from core.document import Document", "core.document"),
    (bare_names, "tests/test_pdf.py", "import formats.pdf", "formats.pdf"),
    (prints, "core/errors.py", "def told():\n    print('x')", "core/errors.py:2"),
    (too_long, "core/errors.py", "x = 1\n" * 401, "401 lines"),
    (too_long, "cli/ask.py", "def ask():\n" + "    x = 1\n" * 60, "ask has 61 lines"),
]


@pytest.mark.parametrize(("check", "path", "source", "told"), PLANTED)
def test_a_planted_violation_is_caught(check, path, source, told):
    """This test ensures that the checks see what they are for, and say which line or module it is."""
    assert [found for found in check(path, source) if told in found]


@pytest.mark.parametrize("check", [*PRODUCT_CHECKS, bare_names], ids=lambda check: check.__name__)
def test_an_honest_file_passes(check):
    """This test ensures that the checks do not forbid what is meant to be."""
    honest = "import os\nfrom lctx.core.document import Document\nfrom lctx.core.errors import LctxError\n"
    assert check("formats/pdf.py", honest + "import pypdf\n") == []
    assert check("core/engine/client.py", honest + "from lctx.core.engine.events import Finished\n") == []
    assert (
        check("cli/ask.py", honest + "import rich\nfrom lctx.formats.registry import read\nprint('x')\n")
        == []
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_the_links_under_lctx_resolve(layer):
    """This test ensures that each folder has its one import name: a relative link that survived the checkout."""
    link = ROOT / "lctx" / layer
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / layer


def test_the_command_line_starts_light():
    """This test ensures that `lctx --help` and a usage error never wait for a reader, a tokenizer or Rich."""
    code = f"import sys, lctx.cli.app; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
