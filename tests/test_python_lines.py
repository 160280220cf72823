"""Python read off its lines: the same definitions as a parse finds, or none at all."""

import sysconfig
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tree_sitter import Parser

from lctx.formats.grammars import grammar_of
from lctx.formats.outline import outline
from lctx.formats.python_lines import python_definitions
from lctx.formats.syntax import definitions_in

LAYOUTS = {
    "comments after a block": (
        "class A:\n    def f(self):\n        if x:\n            y\n            # in the if\n        # in f\n"
        "    # in A\n    z = 1\n  # odd\n# outside\n\n    # outside too\ndef g():\n    pass  # g\n    # g\n# no g\n"
    ),
    "comments inside a block": "def f():\n    x\n# odd\n  # odd\n    y\n\n\n# not f\nz\n",
    "comments above": (
        "#!/usr/bin/env python\n# f\n# of two lines\ndef f(): pass\n# not g\n\ndef g(): pass\nx = 1  # not h\n"
        "def h(): pass\n# k\n@deco  # why\n# inner\n@other(\n    1,  # one\n)\n\ndef k():\n    return 1\n"
    ),
    "comments below a header": (
        "class A:  # why\n    # about f\n    def f(self):  # how\n        # first:\n\n        # second\n"
        "        '''doc'''\n        # third\n        return 1\n"
    ),
    "one line": "class A(B): '''doc'''\nclass B: x = 1; y = 2\ndef f(): return {\n1: 2,\n}  # end\n# f\ndef g(): f(); g()\n",
    "semicolons": "import a; import b\nx = 1; y = 2\nclass A:\n    z = 1; t = {\n    }\n    def f(): pass;\n",
    "headers of several lines": (
        "async def f[T: (int, str)](\n    a='):',  # a:\n    b={1: [2]},\n    *, c: 'int' = lambda x: x,\n) -> 'dict[str, int]':\n    return 1\n"
        "class A(\n    B, metaclass=C\n):\n    x = 1\nclass D (E) :\n    pass\n"
    ),
    "a header that is cut": f"def f(  # why\n    {', '.join(f'a{number}' for number in range(300))}\n):\n    return 1\n",
    "strings": (
        "'''\ndef no():\n    pass\n'''\ndef f():\n    x = '''\ndef no():\n'''\n    return r'\\'def', \"#\", '''a'b''\\''''\n"
        "def g():\n    u'doc' ; x\n" "y = 'it' 's'\nclass A:\n    f'{x}'\n    b'#'\n    rb'''\n  ( '''\n"
    ),
    "brackets to the left": (
        "class A:\n    def f(self):\n        return g(\n            1,\n        )\n    y = (\n        2\n    )\n"
        "z = f(\nname=1,\nnames=[\n    'a',\n])\ndef h():\n    pass\n"
    ),
    "broken lines": "x = \\\n    1\ndef f():\n    return x + \\\n1\nif a and \\\n   b:\n    def g(): pass\n",
    "products": "class A:\n    x = (a @\n         b)\n    @deco\n    def f(self): pass\n    y = a @ \\\n         b\n",
    "blocks around": (
        "if x:\n    def f():\n        return 1\nelse:\n    def f():\n        return 2\ntry:\n    class A:\n        pass\n"
        "finally:\n    pass\nfor x in y:\n    z\nwhile x:\n    async def g():\n        async with x:\n            pass\n"
        "        async for y in x:\n            def h(): pass\n            z\n    k\n"
    ),
    "tables": (
        "# a\nA = {\n    1: 2,\n}\nB: list[int] = [  # b\n    1,\n]\nC = f(\n    x for x in y\n)\nD = [\n    x for x in y\n]\n"
        "E = (\n    1\n)\nF = 1, [\n]\nG = H = {\n}\nI = {}\nJ = a.b['c'](\n)  # j\nK = not(\n  1)\nif x:\n    L = {\n    }\n"
        "M += {\n}\nN = a == {\n}\nelse_ = {\n}\ndef f():\n    O = {\n    }\nP = '''\n'''\n"
        "Q = not(\n    1)\nR = a.b(\n)(c)\nS = [\n] + [\n]\nT = {\n    'for': 1,\n}  # t\nU = a (\n)\nV = (\n    1,\n)\n"
        "W = {\n    a: b for a in b\n}\nX = {\n    1,\n}\n"
    ),
    "white space": "\f\nclass A:\n\f\n    def f(self):   \n \t \n        x  \n\n\n   \n    y = 1\t\n\x0c\n\ndef g():\n    pass\n    ",
    "no last line end": "class A:\n    def f(self):\n        return 1",
    "a comment as last line": "class A:\n    def f(self):\n        return 1\n    # f",
    "only comments": "# a\n    # b\n",
}  # fmt: skip


def parsed(text: bytes):
    """The definitions that parsing finds, and whether it finds errors."""
    tree = Parser(grammar_of("python")[0]).parse(text)
    return definitions_in(text, "python"), tree.root_node.has_error


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("white", [" ", "\t"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_odd_layouts_are_read_as_they_are_parsed(layout, white, line_end):
    """This test ensures that what is unusual in Python's layout neither changes a place nor needs the parser."""
    text = LAYOUTS[layout] if white == " " else LAYOUTS[layout].replace("    ", white).replace("  #", "#")
    content = text.replace("\n", line_end).encode()
    expected, has_error = parsed(content)
    assert not has_error
    found = python_definitions(content)
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    x = [\n1, 2\n    ]\n    def f(self): pass\n",
        "class A:\n    x = a(b\n@c\n    )\n    def f(self): pass\n",
        "def f():\n        a\n    b\ndef g(): pass\n",
        "def f(:\n    pass\n",
        "x = ((\ndef f(): pass\n",
        "'''\ndef f(): pass\n",
        "def f(): pass\nx = 'a\n",
        'def f():\n    return f"{x["#"]}"\n',
        "def é(): pass\n",
        "class A:\ndef f(): pass\n",
        "if x:\n\tdef f():\n        pass\n",
        "@a\nx = 1\n",
        "x = 1; y = {\n}\n",
        "x = [[[[[[[[[[[[1]]]]]]]]]]]]\ndef f(): pass\n",
        "def f():\n    'a' % x\n",
        f"def f(a='''  # why\n''', {', '.join(f'a{number}' for number in range(300))}\n): pass\n",
        f"{' ' * 200}def f():\n{' ' * 201}pass\n",
        "def f():\r    pass\r",
        "def f():\n    `x`\n",
        "def f():\n    pass\0\n",
    ],
)
def test_what_leaves_a_doubt_is_parsed(text):
    """This test ensures that nothing is guessed where the lines alone do not say what is in what."""
    content = text.encode()
    assert python_definitions(content) is None
    stretches = outline(content, "python")
    assert [one.symbol[-1] for one in stretches if one.signature] == [
        one.names[-1] for one in definitions_in(content, "python")
    ]


def test_the_standard_library_is_read_as_it_is_parsed():
    """This test ensures that real files give the same definitions both ways, and that few need the parser."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))[::12]
    read, differing = 0, []
    for file in files:
        content = file.read_bytes().decode("utf-8", "replace").encode()
        if "site-packages" in file.parts or len(content) > 200_000:
            continue
        expected, has_error = parsed(content)
        found = python_definitions(content)
        read += found is not None
        if found not in (None, expected) and not has_error:
            differing.append(file)
    assert not differing
    assert read > 0.95 * len(files) - len([file for file in files if "site-packages" in file.parts])


HEADERS = [
    "def f():", "async def f(a, *, b=[{1: 2}]) -> 'x:':", "def f(  # c\n a,  # d\n):", "class A:", "class A(B, c=d(1)):",
    "def  f ( x : int ):", "def f[T](x: T = ')'):", "class A(\n):  # c", "def f(a='''\n''', b=lambda: 1):",
]  # fmt: skip
STATEMENTS = [
    "x = 1", "return {\n1: 2}", "'doc'", "'''d\n  oc'''  # c", "f(x,\n  y=[\n],\n)", "x = {\n    1: 2,\n}", "x: a = [  # c\n]",
    "x = a(b for b in\n c)", "x = [b for b in\n c]", "x = '''\n def f():\n'''", "x = a + \\\n  b", "x; y", "x = (\n(1))",
    "def f(): pass", "def f(): 'doc'; x", "class A: x = (\n)  # c", "y = f'{x[\"a\"]}' 'b'", "x = y = {\n}", "z = r'\\'' '#'",
]  # fmt: skip
DECORATORS = ["@a", "@a.b(  # c\n  1,\n)", "@a  # c"]
NOISE = ["", "   ", "\t", "\f", "# c", "  # c:", "        # c", "            # c"]


@st.composite
def blocks(draw, indent: str = "", depth: int = 0) -> list[str]:
    """Lines of Python, in any layout that the language allows and people do not."""
    lines = []
    noise = st.lists(st.sampled_from(NOISE), max_size=2)
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(noise)
        if depth > 2 or draw(st.booleans()):
            lines.append(indent + draw(st.sampled_from(STATEMENTS)).replace("\n", "\n" + indent))
            continue
        decorators = draw(st.lists(st.sampled_from(DECORATORS), max_size=1))
        lines += [indent + decorator.replace("\n", "\n" + indent) for decorator in decorators]
        others = [] if decorators else ["if x:", f"with (\n{indent}  a\n{indent}):", "for x in y:  # c"]
        lines += [*draw(noise), indent + draw(st.sampled_from([*HEADERS, *others]))]
        lines += draw(noise) + draw(blocks(indent + draw(st.sampled_from(["    ", " "])), depth + 1))
    return lines


@given(
    lines=blocks(),
    line_end=st.sampled_from(["\n", "\r\n"]),
    last=st.sampled_from(["", "\n", "\n  ", "  # c"]),
)
@settings(max_examples=300, deadline=None)
def test_any_layout_is_read_as_it_is_parsed(lines, line_end, last):
    """This test ensures that comments, empty lines and line ends at odd places change nothing."""
    content = ("\n".join(lines) + last).replace("\n", line_end).encode()
    expected, has_error = parsed(content)
    assume(not has_error)  # the parser finds some where there are none
    assert python_definitions(content) == expected


@pytest.mark.parametrize(
    "piece",
    [
        "'", '"', "'''", "(", "[\n", "{", ")", "#", "\\\n", "\\", ";", "@", "@a\n", "\n", " ", "\t\n", "# c\n", "f'{", "def f(\n",
        "def f(#\n", "def f('''\n", "def f():\n", "class A:\n 'a\n", "def f():\n # c\n\n", "x = [\n", "x = (a,\n", "if x:\n\n", "a",
        "(('", "def f(((((\n", "class A:\n x\n", " x = '''\n", "def f():\n  x = (\n y\n",
    ],
)  # fmt: skip
def test_hostile_texts_take_linear_time(piece):
    """This test ensures that no text keeps the pattern busy, wherever it goes wrong."""
    begin = time.process_time()
    for around in (
        "{}",
        "def f():\n    x\n{}",
        "class A:\n    def f(): (\n{}",
        "x = [[[[\n{}",
        "def f(a=[{}",
    ):
        python_definitions(around.format(piece * (300_000 // len(piece))).encode())
    assert time.process_time() - begin < 10
