"""Which programming language a file is in, by its name, or by its first line where the name says nothing."""

import re

from lctx.formats.sniffing import suffix_of

_SUFFIXES = {
    "python": ".py .pyi .pyw .pyx",
    "javascript": ".js .mjs .cjs .jsx .ts .mts .cts .tsx .vue .svelte",
    "java": ".java .cs .groovy .gradle .dart",
    "kotlin": ".kt .kts .scala .swift",
    "c": ".c .h .cc .cpp .cxx .hh .hpp .hxx .cu .cuh .m .mm .ino .glsl .hlsl .metal",
    "go": ".go",
    "rust": ".rs",
    "ruby": ".rb .rake .gemspec .cr",
    "elixir": ".ex .exs",
    "php": ".php",
    "shell": ".sh .bash .zsh .ksh .fish .bats",
    "lua": ".lua",
    "perl": ".pl .pm",
    "r": ".r .jl",
    "sql": ".sql",
    # Read line by line, without an outline.
    "other": (
        ".json .jsonc .json5 .jsonl .ndjson .yaml .yml .toml .ini .cfg .conf .properties .env .xml "
        ".xsd .xsl .html .htm .css .scss .sass .less .proto .thrift .graphql .gql .tf .tfvars .hcl "
        ".nix .cmake .mk .make .bzl .bazel .ps1 .psm1 .bat .cmd .awk .sed .vim .el .lisp .clj .cljs "
        ".scm .rkt .hs .ml .mli .fs .fsx .erl .hrl .zig .nim .v .sv .vhd .vhdl .asm .s .f .f90 .f95 "
        ".for .pas .ada .adb .ads .d .vb .bas .cob .cbl .tcl .sol .ipynb .j2 .jinja .tmpl .ejs .erb "
        ".hbs .po .pot .ics .dockerfile .service .desktop"
    ),
}
_LANGUAGE_OF = {suffix: language for language, listed in _SUFFIXES.items() for suffix in listed.split()}
_NAMES = {
    **dict.fromkeys(("Rakefile", "Gemfile", "Vagrantfile", "Podfile", "Brewfile"), "ruby"),
    **dict.fromkeys(("Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "Justfile"), "other"),
    **dict.fromkeys(
        ("Dockerfile", "Containerfile", "Jenkinsfile", "Procfile", "BUILD", "WORKSPACE"), "other"
    ),
    **dict.fromkeys((".gitignore", ".gitattributes", ".editorconfig", ".dockerignore", ".npmrc"), "other"),
    **dict.fromkeys((".bashrc", ".zshrc", ".profile", ".bash_profile"), "shell"),
}
_INTERPRETER = re.compile(
    rb"#![^\r\n]{0,200}?\b(python|node|deno|bun|ruby|perl|lua|php|bash|zsh|ksh|fish|Rscript|sh)[\d.]*\b"
)
_LANGUAGE_RUN_BY = {
    "node": "javascript",
    "deno": "javascript",
    "bun": "javascript",
    "Rscript": "r",
} | dict.fromkeys(("bash", "zsh", "ksh", "fish", "sh"), "shell")


def language_of(path: str, content: bytes) -> str | None:
    """The language, or the family that shares its outline; "other" without an outline, None for prose."""
    suffix = suffix_of(path)
    known = _NAMES.get(path.rpartition("/")[2]) or _LANGUAGE_OF.get(suffix)
    if known or suffix or not content.startswith(b"#!"):
        return known
    found = _INTERPRETER.match(content)
    if not found:
        return "other"
    name = found[1].decode()
    return _LANGUAGE_RUN_BY.get(name, name)


def is_code(path: str, content: bytes) -> bool:
    """Whether the source is read line by line, as code, rather than as prose."""
    return language_of(path, content) is not None
