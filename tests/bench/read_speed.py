"""How fast sources are read, beside bare pypdfium2, PyMuPDF, files-to-prompt, repomix and gitingest.

    python tests/bench/read_speed.py --pdfs FOLDER --long FILE.pdf --tree FOLDER
        [--pymupdf PYTHON] [--files-to-prompt PATH] [--repomix PATH] [--gitingest PATH] [--runs 5] [--rows out.md]

All data and all peers are given by path; what is not given is left out and said to be. Every run is a process of its
own; the kinds of a table take turns, so that a busy moment meets them all; medians. MB are 10^6 bytes of all files of
the tree, whatever a program reads of them. Cold starts with an empty cache beside the model, which is put together and
has its vocabulary built before.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from commands import middle, run

LCTX = Path(sys.executable).with_name("lctx")
TOKENS = 1_000_000
BYTES_A_TOKEN = 3.3
# Each reads every PDF of a folder and prints pages, seconds by the clock and of the processor, imports left out.
CLOCK = """
import json, resource, sys, time
from pathlib import Path
files = sorted(Path(sys.argv[1]).glob("*.pdf")) if Path(sys.argv[1]).is_dir() else [Path(sys.argv[1])]
def cpu():
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in both)
def measure(read):
    begun, before, pages = time.perf_counter(), cpu(), 0
    for file in files:
        pages += read(file)
    print(json.dumps([pages, time.perf_counter() - begun, cpu() - before]))
"""
BARE = (
    CLOCK
    + """
import pypdfium2
def read(file):
    pdf = pypdfium2.PdfDocument(file.read_bytes())
    for page in pdf:
        text = page.get_textpage()
        text.get_text_range()
        text.close()
        page.close()
    return len(pdf)
measure(read)
"""
)
OURS = (
    CLOCK
    + """
from lctx.formats.pdf import read_pdf
from lctx.formats.reader import ReadOptions
from lctx.formats.zygote import end_zygote
options = ReadOptions(processes=int(sys.argv[2]))
used = cpu
def cpu():
    end_zygote()  # what it took, and its children, is only counted once it has ended
    return used()
measure(lambda file: len(read_pdf(str(file), file.read_bytes(), options).spans))
"""
)
PYMUPDF = (
    CLOCK
    + """
import pymupdf
def read(file):
    pdf = pymupdf.open(file)
    for page in pdf:
        page.get_text(sys.argv[2])
    return len(pdf)
measure(read)
"""
)


def main():
    given = arguments()
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="lctx-") as folder:
        home = Home(Path(folder))
        home.forget()
        if given.pdfs:
            rows += pdf_rows(given, "PDFs of the folder", given.pdfs)
        if given.long:
            rows += pdf_rows(given, "the long PDF", given.long)
            rows += memory_rows(given, home, "the long PDF", given.long)
        if given.tree:
            rows += tree_rows(given, home)
            rows += plan_rows(given, home)
    for what in ("pdfs", "long", "tree", "pymupdf", "files_to_prompt", "repomix", "gitingest"):
        if getattr(given, what) is None:
            print(f"not measured: --{what.replace('_', '-')} is not given")
    table = [
        "| what | by the clock | ratio | by processor time | ratio | wall | peak of one process | of all |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    table += rows
    print("\n".join(table))
    if given.rows:
        given.rows.write_text("\n".join(table) + "\n", "utf-8")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pdfs", type=Path, help="a folder of PDFs")
    parser.add_argument("--long", type=Path, help="one PDF of about 1,000 pages")
    parser.add_argument("--tree", type=Path, help="a folder of source code")
    parser.add_argument("--pymupdf", type=Path, help="a Python interpreter that can import pymupdf")
    parser.add_argument("--files-to-prompt", type=Path)
    parser.add_argument("--repomix", type=Path)
    parser.add_argument("--gitingest", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=Path, help="write the table here, too")
    return parser.parse_args()


class Home:
    """A home for lctx whose model is at hand and whose cache of sources can be emptied."""

    def __init__(self, folder):
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LCTX_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment = kept | {
            "LCTX_HOME": str(folder / "home"),
            "LC_ALL": "C.UTF-8",
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }

    def forget(self):
        """Empty the cache, and build the model's vocabulary anew; at first put the model together as well."""
        self.lctx("cache", "clear")
        note = self.folder / "note.txt"
        # So long, and no two lines alike, that what is worked out once for a model's long texts is kept as well.
        lines = (f"{number}. The board approved the budget.\n" for number in range(60_000))
        note.write_text("".join(lines), "utf-8")
        self.lctx("plan", note, "--raw")

    def lctx(self, *words, keep=False):
        return run([LCTX, *words], self.environment, keep=keep)


def pdf_rows(given, what, place):
    """Pages a second of each reader, one process, and of lctx on all cores."""
    cores = os.cpu_count() or 1
    kinds = {
        "bare pypdfium2": (sys.executable, BARE),
        "lctx, one process": (sys.executable, OURS, "1"),
        f"lctx, {cores} processes": (sys.executable, OURS, str(cores)),
    }
    if given.pymupdf:
        kinds |= {
            "PyMuPDF, text without places": (given.pymupdf, PYMUPDF, "text"),
            "PyMuPDF, with places of lines (dict)": (given.pymupdf, PYMUPDF, "dict"),
            "PyMuPDF, with places of characters (rawdict)": (given.pymupdf, PYMUPDF, "rawdict"),
        }
    measured = {kind: [] for kind in kinds}
    for _ in range(given.runs):
        for kind, (python, code, *more) in kinds.items():
            cost = run([python, "-c", code, place, *more], keep=True)
            pages, wall, cpu = json.loads(cost.output)
            measured[kind].append((pages, wall, cpu, cost.peak_mb, cost.sum_mb))
    middles = {
        kind: [statistics.median(column) for column in zip(*taken, strict=True)]
        for kind, taken in measured.items()
    }
    bare = middles["bare pypdfium2"]
    return [
        f"| {what}, {pages:,.0f} pages: {kind} | {pages / wall:,.0f} pages/s | {bare[1] / wall:.2f} of bare "
        f"| {pages / cpu:,.0f} pages/s | {bare[2] / cpu:.2f} of bare | {wall:.2f} s "
        f"| {peak:,.0f} MB | {both:,.0f} MB |"
        for kind, (pages, wall, cpu, peak, both) in middles.items()
    ]


def memory_rows(given, home, what, place):
    """The command over one file, cold and warm."""
    cold, warm = [], []
    for _ in range(given.runs):
        home.forget()
        cold.append(home.lctx("read", place))
        warm.append(home.lctx("read", place))
    return [
        row(f"{what}: `lctx read`, cold", middle(cold)),
        row(f"{what}: `lctx read`, warm", middle(warm), [("cold", middle(cold))]),
    ]


def tree_rows(given, home):
    """lctx and its peers over the tree."""
    megabytes = sum(file.lstat().st_size for file in given.tree.rglob("*") if file.is_file()) / 1e6
    place = home.folder / "packed"
    peers = {
        "files-to-prompt": given.files_to_prompt and [given.files_to_prompt, given.tree],
        "repomix": given.repomix and [given.repomix, given.tree, "-o", place],
        "gitingest": given.gitingest and [given.gitingest, given.tree, "-o", place],
    }
    measured = {}
    for _ in range(given.runs):
        for kind, command in peers.items():
            if command:
                measured.setdefault(kind, []).append(run(command))
        home.forget()
        for kind, words in (
            ("`lctx read`, cold", ("read", given.tree)),
            ("`lctx read`, warm", ("read", given.tree)),
        ):
            measured.setdefault(kind, []).append(home.lctx(*words))
        home.forget()
        for kind in ("`lctx plan --raw` (exact counts), cold", "`lctx plan --raw` (exact counts), warm"):
            measured.setdefault(kind, []).append(home.lctx("plan", given.tree, "--raw"))
    costs = {kind: middle(taken) for kind, taken in measured.items()}
    rows = []
    for kind, cost in costs.items():
        against = []
        if kind.endswith("warm"):
            against.append(("cold", costs[kind.replace("warm", "cold")]))
        peer = "repomix" if kind.startswith("`lctx plan") else "files-to-prompt"
        if kind.startswith("`lctx") and peer in costs:
            against.append((peer, costs[peer]))
        rows.append(row(f"tree of {megabytes:,.1f} MB: {kind}", cost, against, megabytes))
    return rows


def plan_rows(given, home):
    """`lctx plan` over about a million tokens that were counted before."""
    files, size = [], 0
    for file in sorted(given.tree.rglob("*.py")):
        if size > TOKENS * BYTES_A_TOKEN:
            break
        files.append(file)
        size += file.stat().st_size
    listed = home.folder / "files"
    listed.write_text("\n".join(map(str, files)) + "\n", "utf-8")
    words = ("plan", "--files-from", listed)
    num_tokens = int(home.lctx(*words, "--raw", keep=True).output)
    home.lctx(*words)
    cost = middle([home.lctx(*words) for _ in range(given.runs)])
    return [row(f"`lctx plan`, {num_tokens:,} cached tokens in {len(files):,} files", cost)]


def row(what, cost, against=(), megabytes=0.0):
    """One line of the table: a rate where there are megabytes, and how many times as fast as each of `against`."""
    by_clock = ", ".join(f"{other.wall_s / cost.wall_s:.2f} of {name}" for name, other in against)
    by_work = ", ".join(f"{other.cpu_s / cost.cpu_s:.2f} of {name}" for name, other in against)
    rates = [f"{megabytes / taken:,.1f} MB/s" if megabytes else "" for taken in (cost.wall_s, cost.cpu_s)]
    return (
        f"| {what} | {rates[0]} | {by_clock} | {rates[1] or f'{cost.cpu_s:.2f} s'} | {by_work} "
        f"| {cost.wall_s:.2f} s | {cost.peak_mb:,.0f} MB | {cost.sum_mb:,.0f} MB |"
    )


if __name__ == "__main__":
    main()
