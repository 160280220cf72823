"""Which programming language a file is in, by its name, or by its first line where the name says nothing."""

import re

from lctx.formats.sniffing import suffix_of

_SUFFIXES = {
    "python": ".py .pyi .pyw .pyx",
    "javascript": ".js .mjs .cjs .jsx",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c .h .glsl",
    "cpp": ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .inl .cu .cuh .ino .metal .hlsl",
    "csharp": ".cs",
    "ruby": ".rb .rake .gemspec",
    "php": ".php .phtml",
    "kotlin": ".kt .kts",
    "swift": ".swift",
    "sql": ".sql",
    "bash": ".sh .bash .zsh .ksh .bats",
    # Read line by line: no grammar for them comes as a wheel.
    "other": (
        ".vue .svelte .groovy .gradle .dart .scala .cr .ex .exs .fish .lua .pl .pm .r .jl .m .mm "
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
    **dict.fromkeys((".bashrc", ".zshrc", ".profile", ".bash_profile"), "bash"),
}
_INTERPRETER = re.compile(
    rb"#![^\r\n]{0,200}?\b(python|node|deno|bun|ruby|perl|lua|php|bash|zsh|ksh|fish|Rscript|sh)[\d.]*\b"
)
# What a header holds only where C++ reads it.
_IN_CPP_ONLY = re.compile(
    rb"^[ \t]*(?:(?:class|namespace|template|using|constexpr|virtual|explicit)\b"
    rb"|(?:public|private|protected)\s*:|#[ \t]*include[ \t]*<\w+>)|\bstd::|\benum[ \t]+class\b",
    re.MULTILINE,
)
_HEADER_BYTES = 64 * 1024
_LANGUAGE_RUN_BY = {
    "node": "javascript",
    "deno": "javascript",
    "bun": "javascript",
    **dict.fromkeys(("lua", "perl", "Rscript", "fish"), "other"),
} | dict.fromkeys(("bash", "zsh", "ksh", "sh"), "bash")


def language_of(path: str, content: bytes) -> str | None:
    """The language; "other" where no grammar is at hand, None for prose."""
    suffix = suffix_of(path)
    known = _NAMES.get(path.rpartition("/")[2]) or _LANGUAGE_OF.get(suffix)
    if suffix == ".h" and _IN_CPP_ONLY.search(content, 0, _HEADER_BYTES):
        return "cpp"
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
