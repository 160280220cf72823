"""What README and manual say holds: links, commands, errors, exit codes, schema, and the samples' answers."""

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

import docx
import jsonschema
import pypdfium2
import pytest

from lctx.core.errors import ExitCode, worst_exit_code

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
GUIDES = [ROOT / "README.md", ROOT / "docs/index.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
REFERENCE = ROOT / "docs/reference"
FENCE = re.compile(r"^(`{3,})(\w*)[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OPERATORS = {"|", "||", "&&", ";", "<", ">", "(", ")", "do", "done"}


def generator():
    """docs/generate.py, which is a script and no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shell_commands(page: Path) -> Iterator[list[str]]:
    """Each `lctx …` of the page's console blocks as its arguments, out of pipes and substitutions."""
    for _, language, block in FENCE.findall(page.read_text("utf-8")):
        for line in block.splitlines() if language == "console" else ():
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
            lexer.wordchars += ":$"
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in OPERATORS:
                    words.append(word)
                    continue
                if words and Path(words[0]).name == "lctx":
                    yield words[1:]
                words = []


@cache
def help_of(command: str | None) -> str:
    return generator().help_of(command)


def plain(text: str) -> str:
    """`text` without the hyphenation and line ends of a typeset page."""
    return " ".join(re.sub("\ufffe(\r?\n)?|\N{SOFT HYPHEN}", "", text).split())


def test_every_internal_link_resolves():
    """This test ensures that no page points to a file that is not in the repository."""
    broken = []
    for page in PAGES:
        for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
            path = target.partition("#")[0]
            if path and "://" not in target and not (page.parent / path).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_command_line_of_the_guides_exists(page):
    """This test ensures that each command and option that a reader may copy is one that lctx has."""
    known = generator().COMMANDS
    for command, *arguments in shell_commands(page):
        assert command in known
        words = set(re.findall(r"--?[\w-]+", help_of(command)))
        options = {argument.partition("=")[0] for argument in arguments if re.match(r"--?[a-z]", argument)}
        assert options <= words, f"lctx {command} {shlex.join(arguments)}"


def test_the_guides_hold_commands():
    """This test ensures that the check above has something to check."""
    assert sum(1 for page in GUIDES for _ in shell_commands(page)) >= 25


def test_help_names_every_documented_command():
    """This test ensures that `lctx --help` and the manual know the same commands."""
    assert all(
        re.search(rf"^\W*{command}\b", help_of(None), re.MULTILINE) for command in generator().COMMANDS
    )


@pytest.mark.parametrize("name", ["errors", "commands", "schema"])
def test_generated_pages_are_fresh(name):
    """This test ensures that the reference says what the code says; `python docs/generate.py` mends it."""
    file, page = generator().PAGES[name]
    assert (REFERENCE / file).read_text("utf-8") == page()


def test_every_error_is_documented():
    """This test ensures that each class of core/errors.py has a row with its code and its exit code."""
    rows = (REFERENCE / "errors.md").read_text("utf-8").splitlines()
    for error, _ in generator().error_classes():
        row = next((row for row in rows if f"`{error.__name__}`" in row), "")
        assert f"`{error.code}` | {error.exit_code.value} |" in row, error.__name__


def test_the_schema_is_what_the_code_writes():
    """This test ensures that the committed JSON Schema is the one of the wire types."""
    from lctx.core.answering.wire import json_schema

    assert json.loads((REFERENCE / "answer.schema.json").read_text("utf-8")) == json_schema()


def test_the_example_of_the_output_page_is_valid():
    """This test ensures that the object shown in the manual is one that lctx could print."""
    blocks = FENCE.findall((REFERENCE / "output.md").read_text("utf-8"))
    example = next(json.loads(block) for _, language, block in blocks if language == "json")
    jsonschema.validate(example, json.loads((REFERENCE / "answer.schema.json").read_text("utf-8")))


def test_the_exit_codes_are_those_of_the_code():
    """This test ensures that the page lists every code once and tells their order as it is."""
    page = (REFERENCE / "exit-codes.md").read_text("utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == sorted(ExitCode)
    told = re.search(r"the first of ([\d, ]+) is returned", page)
    order = [ExitCode(int(code)) for code in told[1].split(", ")]
    assert sorted(order) == sorted(ExitCode)
    assert all(worst_exit_code([later, earlier]) is earlier for earlier, later in combinations(order, 2))


def test_the_readme_and_the_checks_run_the_same_tests():
    """This test ensures that what a reader is told to run is what has to be green."""
    command = ".venv/bin/python -m pytest\n"
    assert command in (ROOT / "README.md").read_text("utf-8")
    assert f"        {command}" in (ROOT / ".ci/run").read_text("utf-8")


def test_commit_hooks_run_the_commands_of_the_checks():
    """This test ensures that a commit that passes the hooks passes the style stage."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    checks = (ROOT / ".ci/run").read_text("utf-8")
    for command in ("ruff check .", "ruff format --check .", "mypy -p lctx"):
        assert f"entry: {command}\n" in hooks
        assert f".venv/bin/{command}\n" in checks


@cache
def sample_text(path: str, page: int | None) -> str:
    file = ROOT / "examples" / path
    if page is not None:
        return plain(pypdfium2.PdfDocument(file)[page - 1].get_textpage().get_text_range())
    return plain("\n".join(paragraph.text for paragraph in docx.Document(str(file)).paragraphs))


def test_the_samples_hold_their_answers():
    """This test ensures that each question of examples/README.md has its answer where it says, word for word."""
    rows = re.findall(
        r"^\| (.+\?) \| (.+?) \| `(\S+)`(?:, page (\d+))?",
        (ROOT / "examples/README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(rows) >= 6
    for question, answer, path, page in rows:
        assert answer in sample_text(path, int(page) if page else None), question


def test_the_sample_is_a_real_document():
    """This test ensures that the first command of the README asks at least 30 pages with an outline."""
    named = re.search(r"lctx ask (examples/\S+\.pdf)", (ROOT / "README.md").read_text("utf-8"))
    document = pypdfium2.PdfDocument(ROOT / named[1])
    assert len(document) >= 30
    assert len(list(document.get_toc())) >= 30
