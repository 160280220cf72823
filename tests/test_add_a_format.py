"""The guide docs/guides/add-a-format.md, followed to the letter: its files, its commands, what they print."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parent.parent / "docs/guides/add-a-format.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_OF = {"none": "talk.srt", "toml": "lctx-srt/pyproject.toml", "python": "lctx-srt/lctx_srt.py"}
FIRST_WITH_BDIST_WHEEL = 71
RUN_LCTX = "from lctx.cli.start import main; main()"
RUN_PIP = "from pip._internal.cli.main import main; raise SystemExit(main())"


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(GUIDE.read_text("utf-8"))


def commands() -> Iterator[tuple[str, str | None]]:
    """Each command of the guide, and what the guide says that it prints."""
    found = blocks()
    for (language, block), after in zip(found, [*found[1:], ("", "")], strict=True):
        lines = block.splitlines() if language == "console" else []
        for number, line in enumerate(lines, start=1):
            is_shown = number == len(lines) and after[0] == "text"
            yield line.removeprefix("$ "), after[1] if is_shown else None


class Environment:
    """A folder with the guide's files, and an environment beside the tests' own that sees what that one sees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "here"
        (self.folder / "lctx-srt").mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        purelib = sysconfig.get_path("purelib")
        inside = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
        (inside / "outer.pth").write_text(f"import site; site.addsitedir({purelib!r})\n")
        programs = folder / "venv/bin"
        for name, code in (("lctx", RUN_LCTX), ("pip", RUN_PIP)):
            (programs / name).write_text(f"#!{programs / 'python'}\n{code}\n")
            (programs / name).chmod(0o755)
        self.variables = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LCTX_HOME": str(folder / "home"),
            "VIRTUAL_ENV": str(folder / "venv"),
            # What the guide's reader does with a network, without one: lctx and setuptools are there already.
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_NO_INDEX": "1",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_DEPS": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """What a shell makes of one line."""
        return subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    """Where the guide was followed up to the installed reader."""
    try:
        major = int(version("setuptools").partition(".")[0])
    except PackageNotFoundError:
        major = 0
    if major < FIRST_WITH_BDIST_WHEEL:
        pytest.skip("setuptools that builds wheels is not here: pip install 'setuptools>=77'")
    made = Environment(tmp_path_factory.mktemp("guide"))
    for language, block in blocks():
        if language in FILE_OF:
            (made.folder / FILE_OF[language]).write_text(block)
    install = next(command for command, _ in commands() if command.startswith("pip "))
    done = made.run(install)
    assert done.returncode == 0, done.stderr
    return made


def test_the_guide_holds_all_that_is_needed():
    """This test ensures that every file and command of the guide is taken up by the tests below."""
    languages = [language for language, _ in blocks()]
    assert sorted({*languages}) == ["console", "none", "python", "text", "toml"]
    assert [languages.count(language) for language in FILE_OF] == [1, 1, 1]
    names = [command.split()[0] for command, _ in commands()]
    assert names.count("pip") == 1
    assert sorted({*names}) == ["cat", "lctx", "pip"]
    assert sum(shown is not None for _, shown in commands()) == languages.count("text")


@pytest.mark.parametrize(
    ("command", "shown"), [one for one in commands() if not one[0].startswith(("pip ", "lctx ask"))]
)
def test_a_command_of_the_guide_prints_what_it_says(environment, command, shown):
    """This test ensures that the reader that was installed is used, by suffix and by content."""
    done = environment.run(command)
    assert (done.returncode, done.stdout) == (0, shown), done.stderr


@pytest.mark.engine
def test_the_question_of_the_guide_is_answered_as_it_says(environment, gemma_gguf):
    """This test ensures that an answer cites the caption by its time, as the guide shows."""
    command, shown = next(one for one in commands() if one[0].startswith("lctx ask"))
    try:
        done = environment.run(f"{command} --keep-alive 0")
        assert (done.returncode, done.stdout) == (0, shown), done.stderr
    finally:
        environment.run("lctx stop --all")


def test_what_was_read_is_cached_by_the_reader_of_the_plugin(environment):
    """This test ensures that the second reading gives the same document, and both name the plugin's reader."""
    first, second = (json.loads(environment.run("lctx read talk.srt --format json").stdout) for _ in range(2))
    assert first["sources"] == second["sources"]
    assert (first["sources"][0]["kind"], first["sources"][0]["reader"]) == ("srt", "srt/1")


def test_a_folder_is_read_with_the_new_format(environment):
    """This test ensures that a folder's subtitles are read, and a broken one is an error beside them."""
    (environment.folder / "folder").mkdir(exist_ok=True)
    (environment.folder / "folder/good.srt").write_bytes((environment.folder / "talk.srt").read_bytes())
    (environment.folder / "folder/bad.srt").write_text("no captions\n")
    done = environment.run("lctx read folder --where 'Maria Lindt'")
    assert (done.returncode, "00:01:12" in done.stdout) == (5, True)
    assert "bad.srt: it holds no captions" in done.stderr
