"""`lctx models` and `lctx plan --compare` as processes: every form, stable JSON, the planner's own numbers."""

import csv
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_answers import LCTX, environment, run_lctx
from terminal import Terminal, clean_environment, output_of, require_tmux

from lctx.cli.compare import NOTABLE
from lctx.cli.report import Table, fits
from lctx.core.models.cards import find_card, model_cards
from lctx.core.models.derive import card_profile
from lctx.core.models.effective import effective_window, record_effective_window
from lctx.core.planning.comparison import MILLION, Candidate, compare
from lctx.core.planning.devices import parse_device
from lctx.core.planning.hardware import Hardware
from lctx.core.planning.kv_cache import KvDtype, growth_bytes, kv_cache_bytes

PAGE = Path(__file__).resolve().parent.parent / "docs/concepts/kv-cache.md"
ROW = re.compile(r"^\| (\S+) \| ([\d,]+) \| [\d.]+ \| [\d.]+ \| (.+) \|$", re.MULTILINE)


def record_of(home, *arguments, code=0, **more):
    done = run_lctx(home, *arguments, "--format", "json", **more)
    record = json.loads(done.stdout)
    assert (done.returncode, record["exit_code"]) == (code, code), done.stderr
    assert record["schema_version"] == 1
    return record


def test_ls_holds_every_card_with_the_numbers_of_the_manual(tmp_path):
    """This test ensures that the list agrees with the cards, and with the table of docs/concepts/kv-cache.md."""
    record = record_of(tmp_path, "models", "ls", cwd=tmp_path)
    cards = {row["name"]: row for row in record["models"] if row["place"] == "card"}
    assert list(cards) == sorted((card.name for card in model_cards()), key=str.casefold)
    for card in model_cards():
        row = cards[card.name]
        assert row["kv_bytes_per_token"] == growth_bytes(card.shape)
        assert (row["native_window"], row["licence"]) == (card.native_window, card.licence)
        assert row["parameters"]["published_total"] == card.parameters_published
    documented = ROW.findall(PAGE.read_text("utf-8"))
    assert len(documented) >= 15
    for name, kept, layers in documented:
        assert cards[name]["kv_bytes_per_token"] == int(kept.replace(",", ""))
        told = [f"{layer['num_layers']} {layer['kind']}" for layer in cards[name]["layers"]]
        assert ", ".join(told) == layers


def test_ls_is_a_table_that_can_be_filtered(tmp_path):
    """This test ensures that text and Markdown hold one row a model, and a part of a name chooses."""
    text = run_lctx(tmp_path, "models", "ls", "NEXT", cwd=tmp_path).stdout.decode()
    head, row, empty, legend = text.splitlines()
    assert head.split() == [
        "model",
        "where",
        "layers",
        "weights",
        "native",
        "effective",
        "by",
        "KV",
        "licence",
    ]
    assert re.split(r"  +", row)[:5] == [
        "Qwen3-Next-80B-A3B", "card", "12 full, 36 state", "80B (3B)", "262,144"
    ]  # fmt: skip
    assert (empty, "bytes that one more token takes" in legend) == ("", True)
    table = run_lctx(tmp_path, "models", "ls", "next", "--format", "md", cwd=tmp_path).stdout.decode()
    assert len(list(csv.reader(table.splitlines()[:3], delimiter="|"))[2]) == 11
    none = run_lctx(tmp_path, "models", "ls", "qwen3-9b", cwd=tmp_path)
    assert (none.returncode, none.stdout) == (0, b"")
    assert b"no model is called like qwen3-9b; did you mean Qwen3-8B" in none.stderr


def test_ls_finds_files_and_tells_of_damaged_ones(tmp_path, smollm2_gguf):
    """This test ensures that GGUF files in the cache and here are listed, and one that is none stops nothing."""
    (tmp_path / "cache/models").mkdir(parents=True)
    (tmp_path / "cache/models/small.gguf").symlink_to(smollm2_gguf)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/broken.gguf").write_bytes(b"GGUF")
    (tmp_path / "here/empty.gguf").touch()
    record = record_of(tmp_path, "models", "ls", cwd=tmp_path / "here")
    (row,) = [row for row in record["models"] if row["place"] == "file"]
    assert (row["name"], row["kv_bytes_per_token"], row["running"]) == ("small", 23_040, False)
    assert row["parameters"]["total"] == pytest.approx(
        find_card("SmolLM2-135M").parameters_published, rel=0.01
    )
    assert sorted(Path(one["message"].split(":")[0]).name for one in record["problems"]) == [
        "broken.gguf",
        "empty.gguf",
    ]


def test_the_effective_window_has_its_source(tmp_path):
    """This test ensures that published scores are named, and the user's own measurement counts before them."""
    known = record_of(tmp_path, "models", "show", "qwen3:8b", "--gpu", "h100")["model"]["effective_window"]
    published = effective_window("Qwen3-8B", 40_960)
    assert known == {"tokens": published.tokens, "kind": "published", "source": published.source}
    assert record_effective_window("Qwen3-8B", 20_000, 91.0, "needle, 60 questions", tmp_path / "state")
    own = record_of(tmp_path, "models", "show", "Qwen3-8B", "--gpu", "h100")["model"]["effective_window"]
    assert (own["tokens"], own["kind"]) == (20_000, "measured")
    other = record_of(tmp_path, "models", "show", "Kimi-K2", "--gpu", "h100")["model"]["effective_window"]
    assert (other["tokens"], other["kind"]) == (8192, "default")


def test_show_tells_everything_of_a_card(tmp_path):
    """This test ensures that shape, rope, bytes and devices of one model are what the pure functions say."""
    record = record_of(tmp_path, "models", "show", "Kimi-Linear-48B-A3B", "--gpu", "h100,2xh100")
    card = find_card("Kimi-Linear-48B-A3B")
    assert (record["model"]["source"], record["model"]["origin"]) == (card.source, card.origin)
    assert [(row["kind"], row["num_layers"], row["state_bytes"]) for row in record["model"]["layers"]] == [
        ("latent", 7, None),
        ("state", 20, 2_170_880),
    ]
    assert record["rope"]["obstacle"] == card.rope.obstacle
    assert {(row["tokens"], row["dtype"]): row["bytes"] for row in record["kv"]} == {
        (tokens, dtype.value): kv_cache_bytes(card.shape, tokens, dtype)
        for tokens in (131_072, MILLION)
        for dtype in (KvDtype.BF16, KvDtype.FP8)
    }
    assert [(row["device"], row["fits"]) for row in record["devices"]] == [
        ("H100 SXM", False),
        ("2 x H100 SXM", True),
    ]
    text = run_lctx(tmp_path, "models", "show", "Kimi-Linear-48B-A3B", "--gpu", "2xh100").stdout.decode()
    for told in (card.source, card.licence, card.rope.obstacle, "2.1 MiB", "1,048,576", "lookup", "91.5 GiB"):
        assert told in text
    assert (
        "| latent | 7 |"
        in run_lctx(
            tmp_path, "models", "show", "kimi-linear-48b-a3b", "--gpu", "h100", "--format", "md"
        ).stdout.decode()
    )


def test_show_takes_a_file_and_a_directory(tmp_path, smollm2_gguf):
    """This test ensures that a GGUF file and a folder with config.json are shown as the card is."""
    folder = tmp_path / "own-model"
    folder.mkdir()
    config = dict(find_card("SmolLM2-135M").config)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    for name in (smollm2_gguf, folder):
        model = record_of(tmp_path, "models", "show", name, "--gpu", "none")["model"]
        assert (model["place"], model["path"]) == ("file", str(name))
        assert (model["kv_bytes_per_token"], model["native_window"]) == (23_040, 8192)


def test_fit_compares_models_and_devices(tmp_path):
    """This test ensures that each model has a row on each device, with the figures of the pure functions."""
    record = record_of(
        tmp_path,
        "models",
        "fit",
        "Qwen3-8B",
        "gpt-oss-20b",
        "--gpu",
        "h100,3xh100,rtx4090",
        "--window",
        "32768",
    )
    assert [(row["model"], row["device"]) for row in record["rows"]] == [
        (model, device)
        for model in ("Qwen3-8B", "gpt-oss-20b")
        for device in ("H100 SXM", "3 x H100 SXM", "RTX 4090")
    ]
    row = compare(
        Candidate(card_profile(find_card("Qwen3-8B")), Hardware(parse_device("h100"), "vllm"), 32_768)
    )
    told = record["rows"][0]
    assert (told["kv_bytes"], told["weight_bytes"]) == (row.kv_bytes, row.weight_bytes)
    assert (told["largest_window"], told["limit"]) == (row.largest_window, "model")
    assert told["first_token_s"] == pytest.approx(row.first_token_s, abs=1e-3)
    assert [one["limit"] for one in record["rows"]].count("refused") == 2
    narrow = record_of(
        tmp_path, "models", "fit", "Qwen3-8B", "--gpu", "h100", "--window", "32768", "--kv-dtype", "fp8"
    )
    assert 2 * narrow["rows"][0]["kv_bytes"] == row.kv_bytes


def test_fit_without_a_window_takes_the_largest(tmp_path):
    """This test ensures that what fits is told without a window, and 3 is returned where nothing does."""
    record = record_of(tmp_path, "models", "fit", "Qwen3-8B", "--gpu", "rtx4090")
    (row,) = record["rows"]
    assert row["fits"]
    assert 0 < row["window"] == row["largest_window"] < 40_960
    none = run_lctx(tmp_path, "models", "fit", "DeepSeek-V3", "--gpu", "rtx4090")
    assert none.returncode == 3
    assert b"weights" in none.stdout
    assert b"hint: choose a smaller model" in none.stderr


def test_compare_needs_neither_sources_nor_models(tmp_path):
    """This test ensures that ten models of different kinds are compared for a million tokens, and a fit found."""
    record = record_of(tmp_path, "plan", "--compare", "--gpu", "h100:80gb,8xh200")
    assert [row["model"] for row in record["rows"][::2]] == list(NOTABLE)
    assert {row["wanted_window"] for row in record["rows"]} == {MILLION}
    for row in record["rows"]:
        assert not row["fits"] or row["window"] == MILLION
    done = run_lctx(tmp_path, "plan", "--compare", "--gpu", "h100:80gb")
    assert done.returncode == 3
    assert re.search(rb"hint: Kimi-Linear-48B-A3B holds it with --gpu '2 x H100 SXM'", done.stderr)
    text = done.stdout.decode()
    assert "a window of 1,048,576 tokens" in text
    assert all(name in text for name in NOTABLE)
    assert "yarn x" in text
    assert "there is nothing to scale" in text


def test_compare_plans_for_what_the_sources_take(tmp_path, smollm2_gguf):
    """This test ensures that the window is as long as the sources: exact for a file, an estimate for a card."""
    (tmp_path / "notes.md").write_text("The pump stands in room 7. It is blue.\n" * 2000, "utf-8")
    record = record_of(
        tmp_path, "plan", "--compare", "notes.md", "Where does it stand?",
        "--model", f"Qwen3-8B,{smollm2_gguf}", "--gpu", "h100",
        code=0, cwd=tmp_path,
    )  # fmt: skip
    card, file = record["rows"]
    assert (card["counts"], file["counts"]) == ("estimated", "exact")
    assert 20_000 < card["wanted_window"] < 40_000
    assert file["wanted_window"] % 1024 == 0
    assert not file["fits"] or file["rope"]
    text = run_lctx(
        tmp_path, "plan", "--compare", "notes.md", "--model", "Qwen3-8B", "--gpu", "h100", cwd=tmp_path
    ).stdout.decode()
    assert re.match(r"a window of ~[\d,]+ tokens, as the sources take\n", text)
    short = run_lctx(
        tmp_path, "plan", "--compare", "notes.md", "--model", "Qwen3-8B", "--gpu", "h100", "--window", "4096",
        cwd=tmp_path,
    )  # fmt: skip
    assert short.stdout.startswith(b"a window of 4,096 tokens, as asked for\n")
    assert b"warning: the window of 4,096 does not hold all sources" in short.stderr


def test_a_source_that_cannot_be_read_is_told(tmp_path):
    """This test ensures that the rest is planned for, and the exit code says that a named source is missing."""
    (tmp_path / "notes.md").write_text("It is blue.\n", "utf-8")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 broken")
    arguments = ["plan", "--compare", "notes.md", "bad.pdf", "--model", "Qwen3-8B", "--gpu", "h100"]
    record = record_of(tmp_path, *arguments, code=5, cwd=tmp_path)
    assert record["rows"][0]["fits"]
    assert record["warnings"][0].startswith("bad.pdf: it is damaged")


def test_compare_says_what_it_ignores(tmp_path):
    """This test ensures that an option which decides nothing in a comparison is not ignored in silence."""
    record = record_of(
        tmp_path, "plan", "--compare", "--model", "Qwen3-8B", "--gpu", "h100", "--window", "4096",
        "--budget", "9", "--pin", "*.md",
    )  # fmt: skip
    assert [text.partition(":")[0] for text in record["warnings"]] == ["--pin", "--budget"]


def test_the_guide_names_the_models_that_are_compared(tmp_path):
    """This test ensures that docs/guides/models.md lists what `--compare` takes, and that its samples hold."""
    page = (PAGE.parent.parent / "guides/models.md").read_text("utf-8")
    named = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert named == list(NOTABLE)
    for name, kinds in re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", page, re.MULTILINE):
        groups = find_card(name).shape.layers
        assert {kind.strip() for kind in kinds.split(",")} == {group.kind.value for group in groups}
    (sample,) = re.findall(r"^model +device.*?\n\n", f"{page}\n\n", re.MULTILINE | re.DOTALL)
    shown = run_lctx(
        tmp_path, "models", "fit", "qwen3-8b", "kimi-linear-48b-a3b", "--gpu", "rtx4090,2xh100"
    ).stdout.decode()
    for line in sample.removesuffix("\n\n").removesuffix("```").splitlines():
        parts = [part.split() for part in line.split("…")]
        assert any(_holds(other.split(), parts) for other in shown.splitlines()), line


def _holds(words, parts):
    """Whether `words` begin with the first of `parts`; what follows an ellipsis is not looked at."""
    return words[: len(parts[0])] == parts[0] and (len(parts) > 1 or len(words) == len(parts[0]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["models", "show", "Qwen3-9B"], "error: Qwen3-9B: no such model\nhint: did you mean Qwen3-8B"),
        (
            ["models", "fit", "Qwen3-8B", "--gpu", "h10"],
            "lctx knows none of that name\nhint: did you mean h100",
        ),
        (["models", "fit", "--gpu", ","], "--gpu ,: no name in it"),
        (["models", "fit", "--window", "x"], "--window x: not a whole number"),
        (["models", "ls", "--format", "ndjson"], "--format ndjson: not one of text, json, md"),
        (["models", "shoe"], "shoe: no such command"),
        (["models"], "no command was given"),
        (["models", "show", "x" * 5000], "no such model\nhint: lctx downloads nothing"),
        (["plan", "--compare", "gone.pdf"], "gone.pdf: no such file"),
        (["plan", "--compare", "--model", "Qwen3-8B,Llama-3.2-8B"], "Llama-3.2-8B: no such model"),
        (["plan", "--compare", "--kv-dtype", "fp7"], "--kv-dtype fp7: not one of"),
    ],
)
def test_misspelt_names_are_told(tmp_path, arguments, told):
    """This test ensures that a wrong name, file, device or option is a usage error that names what is near."""
    done = run_lctx(tmp_path, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr.decode()


def test_a_missing_embedded_model_is_told(tmp_path):
    """This test ensures that without the cpu extra the list has no embedded model, and show says what to install."""
    code = (
        "import sys; from lctx.core.models import embedded; embedded._part_paths = lambda: [None];"
        "from lctx.cli.app import run; sys.exit(int(run(sys.argv[1:], 0.0)))"
    )
    for arguments, exit_code, told in (
        (["models", "show"], 4, "hint: pip install 'lctx[cpu]'"),
        (["models", "ls", "gemma-3-270m", "--format", "json"], 0, ""),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True, text=True, env=environment(tmp_path), cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == exit_code, done.stderr
        assert told in done.stderr
    assert [row["place"] for row in json.loads(done.stdout)["models"]] == ["card"]


def test_a_table_fits_where_no_number_is_broken():
    """This test ensures that numbers and words keep their columns whole, and only sentences wrap."""
    table = Table(("name", "n", "why"), [("Qwen3-8B", "1,048,576", "so it is")], frozenset({1}))
    least = len("Qwen3-8B") + 2 + len("1,048,576") + 2 + len("so it is")
    assert fits(table, least)
    assert not fits(table, len("Qwen3-8B") + 2 + len("1,048,576") + 1)


@pytest.mark.terminal
@pytest.mark.parametrize("columns", [80, 40])
def test_numbers_stay_whole_on_a_terminal(tmp_path, columns):
    """This test ensures that no number and no name of a model is broken where the terminal is narrow."""
    require_tmux()
    home = tmp_path / "home"
    terminal = Terminal(columns, 40, clean_environment(environment(home)), tmp_path)
    try:
        terminal.run(LCTX, "models", "fit", "Qwen3-8B", "Kimi-Linear-48B-A3B", "--gpu", "h100,2xh100")
        shown = output_of(terminal.wait_for("code=0"))
        words = shown.split()
        for told in ("Qwen3-8B", "Kimi-Linear-48B-A3B", "1,048,576", "40,960", "15.3", "GiB"):
            assert told in words
        assert "█" not in shown
        assert all(len(line) <= columns for line in shown.splitlines())
        terminal.run(LCTX, "models", "ls", "qwen")
        words = output_of(terminal.wait_for(lambda screen: screen.count("code=0") == 2)).split()
        for card in model_cards():
            if "qwen" in card.name.casefold():
                assert card.name in words
                assert f"{growth_bytes(card.shape):,}" in words
    finally:
        terminal.close()


def test_ls_starts_fast(tmp_path):
    """This test ensures that the list of models costs at most 25 bare interpreter starts."""
    quiet = environment(tmp_path)
    quiet.pop("COVERAGE_PROCESS_START", None)

    def seconds(*command: object) -> float:
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, env=quiet, cwd=tmp_path, check=True)
        return time.perf_counter() - started

    seconds(LCTX, "models", "ls")
    pairs = [(seconds(sys.executable, "-I", "-c", "pass"), seconds(LCTX, "models", "ls")) for _ in range(5)]
    ratio = statistics.median(listed / bare for bare, listed in pairs)
    print(f"lctx models ls: {ratio:.1f} bare interpreter starts")
    assert ratio <= 25
