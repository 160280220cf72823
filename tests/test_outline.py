"""Outlines: every line of code under the names of the definitions around it."""

import ast
import sysconfig
import time
import warnings
from bisect import bisect_right
from pathlib import Path

import pytest

from lctx.formats.outline import MAX_DEPTH, outline
from lctx.formats.source_code import read_code

PYTHON = '''\
import x

@decorated
@twice(
    1,
)
def first(a):
    return 1

# about second
class Second:
    """Doc
def not_one():
    """

    async def inner(self):
        def innermost():
            pass
        return innermost

    after = 1

last = """
def nor_this(): pass
"""
'''
SAMPLES = {
    "javascript": (
        "export default class Foo extends Bar {\n  constructor(x) {\n    super(x);\n  }\n  async go(y) {\n    if (y) {\n    }\n  }\n}\nconst arrow = (a) => {\n  here();\n};\nfoo();\n",
        {"super": ("Foo", "constructor"), "if (y)": ("Foo", "go"), "here": ("arrow",), "foo()": ()},
    ),
    "java": (
        "public class A {\n    private int x;\n\n    public List<String> names(int a) throws E {\n        return null;\n    }\n}\n",
        {"private": ("A",), "return": ("A", "names")},
    ),
    "kotlin": (
        "class A {\n    override fun go(x: Int): Int {\n        return 1\n    }\n}\nfun main() { x }\n",
        {"return": ("A", "go"), "{ x": ("main",)},
    ),
    "c": (
        "static int helper(int a);\nstruct point {\n  int x;\n};\nstatic int *add(int a,\n    int b)\n{\n#ifdef X\n  return a;\n#endif\n}\n",
        {"helper": (), "int x": ("point",), "return a": ("add",), "#endif": ("add",)},
    ),
    "go": (
        "func (s *Server) Serve(x int) error {\n\treturn nil\n}\ntype A struct {\n\tx int\n}\n",
        {"return": ("Serve",), "x int\n}": ("A",)},
    ),
    "rust": (
        "impl<T> Show for Bar<T> {\n    pub fn new() -> Self {\n        Self {}\n    }\n}\nfn main() { x }\n",
        {"Self {}": ("Show for Bar<T>", "new"), "{ x": ("main",)},
    ),
    "ruby": ("class Foo\n  def bar\n    one\n  end\nend\nputs 1\n", {"one": ("Foo", "bar"), "puts": ()}),
    "php": (
        "<?php\nclass A {\n    public function go($x) {\n        echo 1;\n    }\n}\n",
        {"echo": ("A", "go")},
    ),
    "shell": ("foo() {\n  echo one\n}\nfunction bar {\n  two\n}\nfoo\n", {"echo": ("foo",), "two": ("bar",)}),
    "sql": ("CREATE TABLE if not exists a (\n  x int\n);\nselect 1;\n", {"x int": ("a",), "select": ()}),
    "lua": ("local function f(x)\n  return x\nend\nprint(1)\n", {"return": ("f",), "print": ()}),
    "perl": ("sub f {\n  return 1;\n}\nf();\n", {"return": ("f",), "f();": ()}),
    "elixir": ("defmodule M do\n  def f(x) do\n    x + 1\n  end\nend\n", {"x + 1": ("M", "f")}),
    "r": ("f <- function(x) {\n  x\n}\ny <- 2\n", {"  x\n": ("f",), "y <- 2": ()}),
}


def symbol_at(text: str, language: str, quote: str) -> tuple[str, ...]:
    stretches = outline(text, language)
    index = bisect_right([start for start, _, _ in stretches], text.index(quote)) - 1
    return stretches[index][2]


def test_python_definitions_nest_and_end():
    """This test ensures that decorators, nesting, docstrings and strings are seen as Python sees them."""
    document = read_code("a.py", PYTHON.encode())
    assert (document.kind, document.reader) == ("code", "code/1")
    expected = {
        "import x": None, "@decorated": ("first",), "return 1": ("first",), "# about": None, "class Second": ("Second",),
        "not_one": ("Second",), "async def": ("Second", "inner"), "pass\n        return": ("Second", "inner", "innermost"),
        "return innermost": ("Second", "inner"), "after": ("Second",), "last =": None, "nor_this": None,
    }  # fmt: skip
    for quote, symbol in expected.items():
        start = document.text.index(quote)
        assert document.locate(start, start + 1).symbol == symbol, quote


@pytest.mark.parametrize(
    "line",
    [
        "x = 'it''s' # '''", 'x = "\'\'\'"', "# it's \"\"\" not one", 'x = """a\\"""\ndef no(): pass\n"""',
        "x = '''a \"\"\" b'''", 'f("a", """b"""); y = """\ndef no(): pass\n"""', 'x = "\\"\'\'\'"',
    ],
)  # fmt: skip
def test_quotes_in_strings_and_comments_are_no_strings(line):
    """This test ensures that only what opens a long string for Python hides the lines behind it."""
    text = f"{line}\ndef yes():\n    pass\n"
    ast.parse(text)
    assert [symbol for _, _, symbol in outline(text, "python")] == [(), ("yes",)]


def test_a_definition_begins_at_its_line():
    """This test ensures that a block begins exactly where the line of its definition does."""
    document = read_code("a.py", PYTHON.encode())
    block = next(block for block in document.blocks if block.symbol == ("Second", "inner"))
    assert document.text.startswith("    async def inner", block.start)


@pytest.mark.parametrize("language", SAMPLES)
def test_other_languages_have_an_outline(language):
    """This test ensures that the common forms of each language give their lines the right names."""
    text, expected = SAMPLES[language]
    assert {quote: symbol_at(text, language, quote) for quote in expected} == expected


def lines_by_ast(source: str) -> list[tuple[str, ...]]:
    names: list[tuple[str, ...]] = [()] * (source.count("\n") + 2)

    def visit(node: ast.AST, around: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inside = around
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = (*around, child.name)
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                names[first : (child.end_lineno or first) + 1] = [inside] * (
                    (child.end_lineno or first) + 1 - first
                )
            visit(child, inside)

    visit(ast.parse(source), ())
    return names


def test_python_agrees_with_its_own_parser():
    """This test ensures that on the standard library nearly every line has the names that `ast` gives it."""
    total, wrong = 0, []
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[::2]:
        source = file.read_text("utf-8", "replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = lines_by_ast(source)
        stretches = outline(source, "python")
        starts = [start for start, _, _ in stretches]
        offset = 0
        for number, line in enumerate(source.split("\n"), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                total += 1
                got = stretches[bisect_right(starts, offset) - 1][2]
                wrong += [(file.name, number)] if got != wanted[number] else []
            offset += len(line) + 1
    print(f"{len(wrong)} of {total} lines differ: {wrong[:5]}")
    assert total > 20_000
    assert len(wrong) <= total // 1000


def test_broken_python_still_has_an_outline():
    """This test ensures that a file which Python refuses keeps its names: merge conflicts, Python 2, half a file."""
    text = "def f():\n    print 'x'\n<<<<<<< HEAD\ndef g(:\n    return (\n"
    assert symbol_at(text, "python", "print") == ("f",)
    assert symbol_at(text, "python", "return") == ("g",)


def test_without_definitions_there_is_one_stretch():
    """This test ensures that data files and unknown languages are one block of code."""
    document = read_code("a.json", b'{"a": 1}\n')
    assert [(block.start, block.end, block.symbol) for block in document.blocks] == [(0, 9, ())]


def test_nesting_is_bounded():
    """This test ensures that definitions inside each other without end neither recurse nor cost much."""
    text = "".join(f"{' ' * depth}def f{depth}():\n" for depth in range(1500))
    started = time.process_time()
    assert max(len(symbol) for _, _, symbol in outline(text, "python")) == MAX_DEPTH
    assert time.process_time() - started < 5


@pytest.mark.parametrize("language", ["python", *SAMPLES])
@pytest.mark.parametrize(
    "text",
    [
        "\n" + "*" * 100_000, "\n" + "a " * 50_000, "\n" + "(" * 100_000, '"' * 100_001, "\n" + "<a" * 50_000,
        ("\n" + "a" * 300 + "(" + ")" * 300) * 100, "\n\t" * 50_000, "\n# c" * 50_000, "\ndef f(): pass" * 5_000,
        "\n" + "pub " * 30_000, "\n" + "static " * 30_000, "\n'" * 50_000, "\n" + " " * 200_000 + "x",
    ],
    ids=range(13),
)  # fmt: skip
def test_hostile_code_costs_no_time(text, language):
    """This test ensures that no pattern backtracks over a long line."""
    started = time.process_time()
    outline(text, language)
    assert time.process_time() - started < 2
