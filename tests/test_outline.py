"""Outlines: every line of code under the names of the definitions around it, in fifteen languages."""

import ast
import sysconfig
import time
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lctx.formats import outliner
from lctx.formats.definitions import QUERIES
from lctx.formats.outline import MAX_DEPTH, Stretch, outline
from lctx.formats.outliner import MAX_BYTES, outline_of

# For each language a text, and of each definition: its symbol, its signature, and what documents it.
SAMPLES = {
    "python": (
        '''\
import os

# not about it

@deco(
    1,
)
def first(x: int,
          y=2) -> str:
    # nor this
    """Doc é."""

    def inner(): pass
    return 1


# about A
class A(B):
    x = 1

    async def go(self): return 1

TABLE = {
    "é": 1,
}
short = {}
''',
        [
            (("first",), "def first(x: int,\n          y=2) -> str", '"""Doc é."""'),
            (("first", "inner"), "def inner()", None),
            (("A",), "class A(B)", "# about A"),
            (("A", "go"), "async def go(self)", None),
            (("TABLE",), "TABLE", None),
        ],
    ),
    "javascript": (
        """\
/** App */
export default class App extends Base {
  #size() {}
  static load = async (x) => {
    return x;
  }
}
// makes one
const make = (a) => {
  go();
};
exports.run = function (b) {
};
export const TABLE = {
  handler: function () {
  },
};
function* each() {
}
go();
""",
        [
            (("App",), "export default class App extends Base", "/** App */"),
            (("App", "#size"), "#size()", None),
            (("App", "load"), "static load = async (x)", None),
            (("make",), "const make = (a)", "// makes one"),
            (("exports.run",), "exports.run = function (b)", None),
            (("TABLE",), "export const TABLE", None),
            (("TABLE", "handler"), "handler: function ()", None),
            (("each",), "function* each()", None),
        ],
    ),
    "typescript": (
        """\
/** A */
@Component({})
export class A<T> extends B implements C {
  /** m */
  @once() async m(y: number): Promise<void> { return }
}
export interface I {
  a: string
}
export type U = 'a' | 'b';
export enum E { a }
namespace N {
  export function z(): void {
  }
}
""",
        [
            (("A",), "export class A<T> extends B implements C", "/** A */"),
            (("A", "m"), "async m(y: number): Promise<void>", "/** m */"),
            (("I",), "export interface I", None),
            (("U",), "export type U = 'a' | 'b'", None),
            (("E",), "export enum E", None),
            (("N",), "namespace N", None),
            (("N", "z"), "export function z(): void", None),
        ],
    ),
    "tsx": (
        "export const View = ({ a }: Props) => {\n  return <b>{a}</b>;\n};\n",
        [(("View",), "export const View = ({ a }: Props)", None)],
    ),
    "go": (
        """\
package x

// Serve serves.
func (s *Server[T]) Serve(x int) error {
	return nil
}

func main() {
}

// Config holds.
type Config struct {
	x int
}
""",
        [
            (("Server", "Serve"), "func (s *Server[T]) Serve(x int) error", "// Serve serves."),
            (("main",), "func main()", None),
            (("Config",), "type Config struct", "// Config holds."),
        ],
    ),
    "rust": (
        """\
/// One
/// two
#[derive(Debug)]
pub struct Point<T> {
    x: T,
}
impl<T> Show for Point<T> {
    /// new
    pub fn new() -> Self {
        Self {}
    }
}
mod m {
    fn f() {}
}
""",
        [
            (("Point",), "pub struct Point<T>", "/// One\n/// two"),
            (("Show for Point<T>",), "impl<T> Show for Point<T>", None),
            (("Show for Point<T>", "new"), "pub fn new() -> Self", "/// new"),
            (("m",), "mod m", None),
            (("m", "f"), "fn f()", None),
        ],
    ),
    "java": (
        """\
package x;
/** A */
@Entity
public class A<T> extends B {
    /** names */
    @Override
    public List<String> names(int a) throws E {
        return null;
    }
    A() {}
}
interface I { void z(); }
""",
        [
            (("A",), "public class A<T> extends B", "/** A */"),
            (("A", "names"), "public List<String> names(int a) throws E", "/** names */"),
            (("A", "A"), "A()", None),
            (("I",), "interface I", None),
        ],
    ),
    "c": (
        """\
/* adds */
static int *add(int a,
                int b)
{
#ifdef X
  return a;
#endif
}
struct point {
  int x;
};
typedef struct { int x; } P;
static const char *const names[] = {
  "a",
};
#define F(x) \\
  x
int declared(void);
""",
        [
            (("add",), "static int *add(int a,\n                int b)", "/* adds */"),
            (("point",), "struct point", None),
            (("P",), "typedef struct", None),
            (("names",), "static const char *const names[]", None),
            (("F",), "#define F(x)", None),
        ],
    ),
    "cpp": (
        """\
namespace a {
// X
template <class T>
class X : public Y<T> {
 public:
  X(int a) : b(a) {}
  ~X() {}
};
int &X<int>::get(int q) const
{
  return q;
}
}
""",
        [
            (("a",), "namespace a", None),
            (("a", "X"), "class X : public Y<T>", "// X"),
            (("a", "X", "X"), "X(int a) : b(a)", None),
            (("a", "X", "~X"), "~X()", None),
            (("a", "X<int>::get"), "int &X<int>::get(int q) const", None),
        ],
    ),
    "csharp": (
        """\
namespace A.B;

/// <summary>C</summary>
[Serializable]
public class C : D
{
    public C() { }
    public int M<T>(int x) => 1;
    public int P
    {
        get; set;
    }
}
""",
        [
            (("A.B",), "namespace A.B", None),
            (("A.B", "C"), "public class C : D", "/// <summary>C</summary>"),
            (("A.B", "C", "C"), "public C()", None),
            (("A.B", "C", "M"), "public int M<T>(int x)", None),
            (("A.B", "C", "P"), "public int P", None),
        ],
    ),
    "ruby": (
        """\
# Foo
class Foo::Bar < Baz
  def self.size(a)
    1
  end

  def y=(v)
    # inside
    v
  end
  MAP = {
    a: 1
  }.freeze
end
""",
        [
            (("Foo::Bar",), "class Foo::Bar < Baz", "# Foo"),
            (("Foo::Bar", "self.size"), "def self.size(a)", None),
            (("Foo::Bar", "y="), "def y=(v)", None),
            (("Foo::Bar", "MAP"), "MAP", None),
        ],
    ),
    "php": (
        """\
<p>html</p>
<?php
namespace App\\Models;

/** A */
#[Attr]
final class A extends B
{
    public function go(int $x): int
    {
        return 1;
    }
}
function f() {
}
""",
        [
            (("App\\Models",), "namespace App\\Models", None),
            (("App\\Models", "A"), "final class A extends B", "/** A */"),
            (("App\\Models", "A", "go"), "public function go(int $x): int", None),
            (("App\\Models", "f"), "function f()", None),
        ],
    ),
    "kotlin": (
        """\
package x

/** A */
@Serializable
data class A<T>(val x: Int) : B() {
    override fun go(x: Int): Int {
        return 1
    }
}
object O {
    fun f() = 1
}
fun String.ext(): Int = 1
""",
        [
            (("A",), "data class A<T>(val x: Int) : B()", "/** A */"),
            (("A", "go"), "override fun go(x: Int): Int", None),
            (("O",), "object O", None),
            (("O", "f"), "fun f()", None),
            (("ext",), "fun String.ext(): Int", None),
        ],
    ),
    "swift": (
        """\
/// A
@objc public class A: B {
  init(x: Int) {
  }
  static func == (a: A, b: A) -> Bool { true }
  func go(_ x: Int) -> Int {
    return 1
  }
}
protocol P {
  func x()
}
""",
        [
            (("A",), "public class A: B", "/// A"),
            (("A", "init"), "init(x: Int)", None),
            (("A", "=="), "static func == (a: A, b: A) -> Bool", None),
            (("A", "go"), "func go(_ x: Int) -> Int", None),
            (("P",), "protocol P", None),
        ],
    ),
    "sql": (
        """\
-- people
CREATE TABLE if not exists shop.people (
  id int
);
create or replace function f(a int) returns int as $$ select 1 $$ language sql;
create view v as select 1;
select 1;
""",
        [
            (("shop.people",), "CREATE TABLE if not exists shop.people", "-- people"),
            (("f",), "create or replace function f(a int) returns int", None),
            (("v",), "create view v", None),
        ],
    ),
    "bash": (
        "#!/bin/bash\n# foo\nfoo() {\n  one\n}\nfunction bar {\n  two\n}\nfoo\n",
        [(("foo",), "foo()", "# foo"), (("bar",), "function bar", None)],
    ),
}


def told(text: str, stretches: list[Stretch]) -> list[tuple[tuple[str, ...], str, str | None]]:
    return [
        (one.symbol, text[slice(*one.signature)], text[slice(*one.doc)] if one.doc else None)
        for one in stretches
        if one.signature
    ]


def symbol_of(text: str, stretches: list[Stretch], quote: str) -> tuple[str, ...]:
    at = text.index(quote)
    return next((one.symbol for one in stretches if one.start <= at < one.end), ())


def test_every_language_has_a_sample():
    """This test ensures that no grammar is without an expectation below."""
    assert SAMPLES.keys() == QUERIES.keys()


@pytest.mark.parametrize("language", SAMPLES)
def test_definitions_have_their_names_signatures_and_documentation(language):
    """This test ensures that the common forms of each language are found, named as people write them."""
    text, expected = SAMPLES[language]
    assert told(text, outline(text.encode(), language)) == expected


@pytest.mark.parametrize("language", SAMPLES)
def test_line_ends_and_other_scripts_change_nothing(language):
    """This test ensures that Windows line ends and characters of several bytes leave every offset right."""
    text, expected = SAMPLES[language]
    wide = text.replace("go", "gehö").replace("first", "erste_ñ").replace("\n", "\r\n")
    wanted = [
        tuple(
            part.replace("go", "gehö").replace("first", "erste_ñ").replace("\n", "\r\n")
            if isinstance(part, str)
            else part
            for part in one
        )
        for one in expected
    ]
    got = told(wide, outline(wide.encode(), language))
    assert [one[1:] for one in got] == [one[1:] for one in wanted]


@pytest.mark.parametrize("language", SAMPLES)
def test_old_line_ends_are_line_ends(language):
    r"""This test ensures that files whose lines end in a lone \r have the outline that they have with \n."""
    text, _ = SAMPLES[language]
    assert outline(text.replace("\n", "\r").encode(), language) == outline(text.encode(), language)


@pytest.mark.parametrize("language", SAMPLES)
def test_what_is_left_of_a_broken_file_is_named(language):
    """This test ensures that a merge conflict at the end does not cost the names of what stands before it."""
    text, expected = SAMPLES[language]
    broken = text + "\n<<<<<<< HEAD\n((((\n"
    found = {one[0] for one in told(broken, outline(broken.encode(), language))}
    assert expected[0][0] in found or expected[1][0] in found


def test_a_definition_ends_where_the_rest_begins():
    """This test ensures that lines belong to the innermost definition, and blank lines to what is above."""
    text, _ = SAMPLES["python"]
    stretches = outline(text.encode(), "python")
    expected = {
        "import os": (), "# not about": (), "@deco": ("first",), "# nor": ("first",), "pass": ("first", "inner"),
        "return 1\n\n": ("first",), "# about A": ("A",), "x = 1": ("A",), "async": ("A", "go"), '"é": 1': ("TABLE",),
        "short": (),
    }  # fmt: skip
    assert {quote: symbol_of(text, stretches, quote) for quote in expected} == expected
    assert [one.start for one in stretches[1:]] == [one.end for one in stretches[:-1]]
    assert (stretches[0].start, stretches[-1].end) == (0, len(text))


@pytest.mark.parametrize("comment", ["# as follows:", "# see PEP 8 ;  ", "# = {"])
def test_a_comment_below_a_header_is_no_part_of_it(comment):
    """This test ensures that a signature ends before a comment, whatever the comment ends with."""
    text = f"def first(x):\n    {comment}\n    # and more\n    return x\n"
    assert told(text, outline(text.encode(), "python")) == [(("first",), "def first(x)", None)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_comment_behind_a_decorator_parts_nothing(line_end):
    """This test ensures that decorators and the comment above them belong to the definition below."""
    text = "x = 1\n\n# about f\n@first  # why\n@second\ndef f(): pass\n".replace("\n", line_end)
    stretches = outline(text.encode(), "python")
    assert [text[one.start :].split(line_end)[0] for one in stretches] == ["x = 1", "# about f"]
    assert stretches[1].symbol == ("f",)


def test_one_line_has_one_name():
    """This test ensures that stretches are whole lines also where lines hold several definitions."""
    text = "class A { b() {} c() {} }\nfunction d() {} function e() {\n  x;\n} function f() {}\n"
    assert [(text[a:b], names) for a, b, names, *_ in outline(text.encode(), "javascript")] == [
        ("class A { b() {} c() {} }\n", ("A",)),
        ("function d() {} function e() {\n", ("d",)),
        ("  x;\n} function f() {}\n", ("e",)),
    ]


def lines_by_ast(source: str) -> list[tuple[str, ...]]:
    names: list[tuple[str, ...]] = [()] * (source.count("\n") + 2)

    def visit(node: ast.AST, around: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inside = around
            first, last = getattr(child, "lineno", 0), (getattr(child, "end_lineno", None) or 0) + 1
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = (*around, child.name)
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                names[first:last] = [inside] * (last - first)
            elif isinstance(node, ast.Module) and last - first > 1 and (name := table_name(child)):
                names[first:last] = [(name,)] * (last - first)
            visit(child, inside)

    visit(ast.parse(source), ())
    return names


def table_name(node: ast.AST) -> str | None:
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    is_table = isinstance(getattr(node, "value", None), ast.Dict | ast.List | ast.Set | ast.Tuple | ast.Call)
    return targets[-1].id if is_table and targets and isinstance(targets[-1], ast.Name) else None


def test_python_agrees_with_its_own_parser():
    """This test ensures that on the standard library nearly every line has the names that `ast` gives it."""
    total, wrong = 0, []
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[::4]:
        source = file.read_text("utf-8", "replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = lines_by_ast(source)
        offset, stretches = 0, iter(outline(source.encode(), "python"))
        stretch = next(stretches, Stretch(0, len(source), ()))
        for number, line in enumerate(source.split("\n"), start=1):
            while offset >= stretch.end and offset < len(source):
                stretch = next(stretches)
            bare = line.strip(" )]}")
            if bare and not bare.startswith("#"):
                total += 1
                wrong += [(file.name, number)] if stretch.symbol != wanted[number] else []
            offset += len(line) + 1
    assert total > 10_000
    assert len(wrong) <= total // 500, wrong[:20]


def test_nesting_is_bounded():
    """This test ensures that definitions inside each other without end stay under the last that counts."""
    text = "".join(f"{' ' * depth}def f{depth}():\n" for depth in range(300))
    assert max(len(one.symbol) for one in outline(text.encode(), "python")) == MAX_DEPTH


@given(
    text=st.text(alphabet="def class(){}[]:;=\n\r\t \"'#/*<>@ñ€x\ufeff", max_size=200),
    language=st.sampled_from(sorted(QUERIES)),
)
@settings(max_examples=300, deadline=None)
def test_any_text_gives_stretches_side_by_side(text, language):
    """This test ensures that stretches are sorted and apart, and that what they point at is inside the text."""
    stretches = outline(text.encode(), language)
    assert all(before.end <= after.start for before, after in pairwise(stretches))
    for one in stretches:
        assert 0 <= one.start < one.end <= len(text)
        assert one.signature is None or one.start <= one.signature[0] < one.signature[1] <= one.end
        assert one.doc is None or 0 <= one.doc[0] < one.doc[1] <= len(text)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", b"(" * 100_000),
        ("csharp", b"a<" * 50_000),
        ("javascript", b"function f() {" * 20_000),
        ("javascript", b"function f(){}" * 50_000),
    ],
    ids=["brackets", "generics", "functions", "one line"],
)
def test_hostile_code_is_read_by_line(language, text):
    """This test ensures that what exhausts or crashes a parser ends its process only, and in little time."""
    started = time.process_time()
    stretches, why = outline_of(text, language)
    assert why is None or not stretches
    assert time.process_time() - started < 2
    assert outline_of(b"def f(): pass\n", "python")[0][0].symbol == ("f",)


def test_a_crash_takes_down_the_child_alone():
    """This test ensures that a child that dies in the middle is said, and the next file has a new one."""
    assert outline_of(b"def f(): pass\n", "python")[1] is None
    child = outliner._idle[-1]
    child._process.kill()
    child._process.wait()
    stretches, why = outline_of(b"def f(): pass\n", "python")
    assert not stretches
    assert "read by line" in why
    assert outline_of(b"def f(): pass\n", "python")[1] is None


def test_too_large_a_file_is_read_by_line():
    """This test ensures that no parser is given what would fill the memory, and that it is said."""
    stretches, why = outline_of(b"x = 1\n" * (MAX_BYTES // 6 + 1), "python")
    assert not stretches
    assert "larger than 2 MiB" in why
