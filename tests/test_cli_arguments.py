"""Which argument is the question, what the sources are, and who reads standard input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lctx.cli.arguments import (
    Invocation,
    check_question,
    looks_like_path,
    parse_arguments,
    path_exists,
    split_list,
)
from lctx.core.errors import UsageError

THERE = {"a.pdf", "b.pdf", "repo", "README.md"}


def parse(*arguments, terminal=True, **options):
    return parse_arguments(arguments, stdin_is_terminal=terminal, exists=THERE.__contains__, **options)


@pytest.mark.parametrize(
    ("arguments", "terminal", "expected"),
    [
        (["a.pdf"], True, (None, ("a.pdf",), False)),
        (["a.pdf", "b.pdf"], True, (None, ("a.pdf", "b.pdf"), False)),
        (["a.pdf", "why?"], True, ("why?", ("a.pdf",), False)),
        (["repo", "a.pdf", "b.pdf"], True, (None, ("repo", "a.pdf", "b.pdf"), False)),
        (["-", "why?"], True, ("why?", (), True)),
        (["-"], False, (None, (), True)),
        (["why?"], False, ("why?", (), True)),
        (["a.pdf", "why?"], False, ("why?", ("a.pdf",), False)),
        (["a.pdf", "-", "why?"], False, ("why?", ("a.pdf",), True)),
        (["a.pdf", "README.md"], True, (None, ("a.pdf", "README.md"), False)),
        (["a.pdf", "a.pdf", "-", "-"], True, (None, ("a.pdf",), True)),
        ([], False, (None, (), True)),
    ],
)
def test_the_question_is_last_unless_it_names_a_path(arguments, terminal, expected):
    """This test ensures that one rule tells the question from the sources, and stdin is taken only when wanted."""
    found = parse(*arguments, terminal=terminal)
    assert (found.question, found.sources, found.stdin) == expected
    assert found.warnings == ()


def test_an_option_makes_every_argument_a_source():
    """This test ensures that `-q` wins over the last argument, even one that is no path."""
    found = parse("a.pdf", "gone.pdf", question="README.md")
    assert found == Invocation("README.md", ("a.pdf", "gone.pdf"), stdin=False)


def test_a_list_of_files_adds_sources_and_leaves_stdin_alone():
    """This test ensures that `--files-from -` is paths, never content."""
    assert parse(
        listed=["a.pdf", "b.pdf"], question="why?", terminal=False, stdin_is_taken=True
    ) == Invocation("why?", ("a.pdf", "b.pdf"), stdin=False)
    with pytest.raises(UsageError, match="no source"):
        parse(listed=[], question="why?", terminal=False)
    with pytest.raises(UsageError, match="at once"):
        parse("-", listed=[], question="why?", terminal=False, stdin_is_taken=True)


def test_a_misspelt_path_is_told():
    """This test ensures that a path that is not there never silently becomes the question."""
    assert parse("a.pdf", "gone.pdf").warnings == ("gone.pdf: no such file, so it was taken as the question",)
    with pytest.raises(UsageError, match=r"gone.pdf: no such file"):
        parse("gone.pdf")


def test_without_any_source_there_is_a_hint():
    """This test ensures that nothing at all is a usage error that shows what to type."""
    with pytest.raises(UsageError) as raised:
        parse()
    assert "lctx ask" in raised.value.hint


@pytest.mark.parametrize("question", [None, "", "  \n"])
def test_a_question_has_to_be_there(question):
    """This test ensures that a missing and an empty question are told apart and both refused."""
    with pytest.raises(UsageError, match="empty" if question is not None else "no question"):
        check_question(question)


def test_a_question_keeps_its_inside():
    """This test ensures that only the white space around a question goes."""
    assert check_question("  why\n not? \n") == "why\n not?"


@pytest.mark.parametrize("text", ["", "x" * 5000, "a\0b", "no/such/file"])
def test_what_is_no_name_does_not_exist(text):
    """This test ensures that a long or odd question is never an error of the file system."""
    assert not path_exists(text)


def test_a_dangling_link_exists(tmp_path):
    """This test ensures that a link to nowhere is a source that is missing, not a question."""
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    assert path_exists(str(link))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("report.pdf", True),
        ("a/b", True),
        ("why?", False),
        ("Is a.pdf final?", False),
        ("", False),
        ("e.g.", False),
    ],
)
def test_a_path_looks_like_one(text, told):
    """This test ensures that a question with a file name inside is no path."""
    assert looks_like_path(text) is told


@pytest.mark.parametrize(
    ("content", "null", "names"),
    [
        (b"a.pdf\nb c.pdf\n\n", False, ["a.pdf", "b c.pdf"]),
        (b"a.pdf\r\nb.pdf", False, ["a.pdf", "b.pdf"]),
        (b"a\nb.pdf\0c.pdf\0", True, ["a\nb.pdf", "c.pdf"]),
        (b"", False, []),
    ],
)
def test_a_list_is_split_at_lines_or_nul(content, null, names):
    """This test ensures that names with spaces and line ends come through whole."""
    assert split_list(content, null=null) == names


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name and name.strip())))
def test_any_file_name_survives_a_nul_list(names):
    """This test ensures that no byte of a file name is lost, whatever the locale."""
    import os

    found = split_list(b"".join(name + b"\0" for name in names), null=True)
    assert [os.fsencode(name) for name in found] == [name for name in names if os.fsdecode(name).strip()]
