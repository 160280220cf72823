"""The grammars that tree-sitter parses with: which wheel carries which, loaded when a file needs it."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from lctx.formats.definitions import QUERIES

if TYPE_CHECKING:
    from tree_sitter import Language, Query

# The function of each wheel that hands out its grammar, where it is not called `language`.
_MODULES = {
    "typescript": "tree_sitter_typescript",
    "tsx": "tree_sitter_typescript",
    "csharp": "tree_sitter_c_sharp",
}
_FUNCTIONS = {"typescript": "language_typescript", "tsx": "language_tsx", "php": "language_php"}


def has_grammar(language: str) -> bool:
    """Whether `language`, as `lctx.formats.languages` calls it, has one; all else is read by line."""
    return language in QUERIES


@cache
def grammar_of(language: str) -> "tuple[Language, Query]":
    """The grammar of `language` and the query that finds its definitions; both can be shared."""
    from tree_sitter import Language, Query

    module = import_module(_MODULES.get(language, f"tree_sitter_{language}"))
    grammar = Language(getattr(module, _FUNCTIONS.get(language, "language"))())
    return grammar, Query(grammar, QUERIES[language])
