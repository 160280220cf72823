"""What the guide and the reference say of `lctx read`, run by a shell as a reader would."""

import os
import re
import shutil
import subprocess

import pytest
from cli_answers import LCTX, ROOT, environment

from lctx.cli.read_record import (
    LinkRow,
    OutlineRow,
    PlacePart,
    QuotePart,
    ReadRecord,
    SourcePart,
    SpanRow,
    UnreadablePart,
)

GUIDE = (ROOT / "docs/guides/read.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", GUIDE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    (line.removeprefix("$ "), shown if number + 1 == len(block.splitlines()) else "")
    for block, shown in BLOCKS
    for number, line in enumerate(block.splitlines())
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A git tree with the samples, a password, and a change that is not committed."""
    if shutil.which("git") is None:
        pytest.skip("no git: the guide pipes a diff")
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "password.txt").write_text("open sesame\n", "utf-8")
    for arguments in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    (folder / "password.txt").write_text("another\n", "utf-8")
    return folder


def masked(line: str) -> str:
    """`line` with its spaces alike, and without the number of a line on a page, which is the reader's."""
    return re.sub(r"\blines? \d+(-\d+)?", "line", " ".join(line.split()))


def test_the_guide_has_commands():
    """This test ensures that the check below has something to check."""
    assert len(COMMANDS) >= 14
    assert sum(bool(shown) for _, shown in COMMANDS) >= 5


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_the_guide_s_commands_do_what_it_says(checkout, tmp_path, command, shown):
    """This test ensures that each line ends as the guide says in a shell, and prints what it shows, in order."""
    path = f"{LCTX.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=checkout,
        env=environment(tmp_path / "home", PATH=path),
        check=False,
        timeout=60,
    )
    code = re.search(r" # exit (\d+)$", command)
    told = (done.stderr + done.stdout).decode()
    assert done.returncode == (int(code[1]) if code else 0), told
    assert told or "--quiet" in command
    printed = iter(map(masked, told.splitlines()))
    for line in filter(None, map(masked, shown.splitlines())):
        if line != "…":
            pattern = ".*".join(re.escape(part) for part in line.split("…"))
            assert any(re.fullmatch(pattern, other) for other in printed), (line, told)


@pytest.mark.parametrize(
    "record",
    [ReadRecord, SourcePart, SpanRow, LinkRow, OutlineRow, QuotePart, PlacePart, UnreadablePart],
    ids=lambda record: record.__name__,
)
def test_every_field_of_a_reading_is_explained(record):
    """This test ensures that the output page names each field of the objects that read prints."""
    page = (ROOT / "docs/reference/output.md").read_text("utf-8")
    section = page[page.index("## `lctx read`") :]
    named = set(re.findall(r"`(\w+)`", section[: section.index("\n## ", 1)]))
    assert set(record.__struct_fields__) <= named
