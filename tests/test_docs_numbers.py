"""The manual on windows, strategies and plans: its numbers are worked out again, its commands run."""

import ast
import json
import re
import shlex
from decimal import Decimal
from itertools import takewhile
from pathlib import Path

import pytest
from cli_answers import run_lctx
from test_kv_cache import value_of

from lctx.cli.compare_record import CompareRow
from lctx.cli.plan_record import FitPart, MemoryRow, PlanRecord, SourceRow
from lctx.cli.settings import KEYS
from lctx.core.answering.ask import plan_question
from lctx.core.answering.inputs import AskSettings, Inputs
from lctx.core.answering.plan_answer import plan_answer
from lctx.core.answering.wire_plan import EstimatePart, PlanPart, RopePart, WindowPart
from lctx.core.errors import DoesNotFitError
from lctx.core.models.cards import find_card
from lctx.core.models.derive import card_profile, embedded_profile
from lctx.core.models.effective import UNMEASURED_WINDOW, effective_window, find_scores
from lctx.core.planning.kv_cache import KvDtype
from lctx.core.planning.rope import MAX_FACTOR, rope_label, vllm_overrides
from lctx.core.planning.strategy import HOLDS
from lctx.core.planning.window import choose_window
from lctx.core.retrieval.recall import SENTENCE_RECALL, expected_recall
from lctx.core.storage import ByteCache
from lctx.core.tokens.load import load_tokenizer
from lctx.formats.markdown import read_markdown
from lctx.formats.word import read_word

ROOT = Path(__file__).resolve().parent.parent
WINDOW = (ROOT / "docs/concepts/window.md").read_text("utf-8")
STRATEGIES = (ROOT / "docs/concepts/strategies.md").read_text("utf-8")
GUIDE = (ROOT / "docs/guides/plan.md").read_text("utf-8")
RETRIEVAL = (ROOT / "docs/benchmarks/retrieval.md").read_text("utf-8")
AGREEMENT, README = "examples/services-agreement.docx", "examples/README.md"
QUESTION = "Which law governs this Agreement?"
NO_CACHE = ByteCache(None)
PRINTED = re.compile(r"^ {4,}(\d[^=\n]*) = ([\d,.]+)(?: \w+)*$", re.MULTILINE)


def rows_of(page, head):
    """The cells of the rows below the table's head that begins so."""
    lines = page.split(f"| {head}", 1)[1].splitlines()[2:]
    table = takewhile(lambda line: line.lstrip().startswith("|"), lines)
    return [[cell.strip(" `*") for cell in line.strip(" |").split("|")] for line in table]


def number(text):
    return float(text.replace(",", ""))


@pytest.fixture(scope="module")
def ask(gemma_gguf, model_cache, module_home):
    """Asks the embedded model's planner about the samples of the manual."""
    profile = embedded_profile(gemma_gguf)
    tokenizer = load_tokenizer(profile, model_cache)
    samples = {
        AGREEMENT: read_word(AGREEMENT, (ROOT / AGREEMENT).read_bytes()),
        README: read_markdown(README, (ROOT / README).read_bytes()),
    }

    def inputs(question, *paths, **settings):
        documents = [samples[path] for path in paths]
        return Inputs(question, documents, profile, tokenizer, NO_CACHE, AskSettings(**settings))

    return inputs


def planned(asked, **options):
    return plan_question(
        asked.question,
        asked.documents,
        profile=asked.profile,
        tokenizer=asked.tokenizer,
        cache=NO_CACHE,
        settings=asked.settings,
        **options,
    )


@pytest.mark.parametrize(("page", "least"), [(WINDOW, 5), (STRATEGIES, 6)], ids=["window", "strategies"])
def test_every_worked_line_holds(page, least):
    """This test ensures that each calculation gives the number behind its sign of equality, to its last digit."""
    found = PRINTED.findall(page)
    assert len(found) == len(re.findall(r"^ {4,}\d.*=", page, re.MULTILINE)) >= least
    for worked, result in found:
        expression = re.sub(r"(?<=\d),(?=\d{3})", "", worked).replace("×", "*")
        whole = re.sub(
            r"\d+\.\d+", lambda at: "({} / {})".format(*Decimal(at[0]).as_integer_ratio()), expression
        )
        digits = len(result.partition(".")[2])
        assert f"{value_of(ast.parse(whole.lstrip(), mode='eval')):,.{digits}f}" == result, worked


def test_the_window_of_the_example_is_the_planner_s(ask):
    """This test ensures that each part of the example's window, its prompt and its bytes come from a real plan."""
    plan = planned(ask(QUESTION, AGREEMENT), kv_dtype=KvDtype.FP16)
    budget, read = plan.budget, plan.read_tokens
    sizes = (budget.instructions, budget.sources, budget.question, budget.answer, budget.margin)
    parts = [f"{size:,}" for size in sizes]
    assert f"    {' + '.join(parts)} = {budget.window:,} tokens\n" in WINDOW
    assert f"{parts[0]} tokens, the question {parts[2]}, the answer may take {parts[3]}" in WINDOW
    assert f"room for {parts[1]} tokens of sources. The agreement has {plan.total_tokens}" in WINDOW
    assert f"    {parts[0]} + {read} + {parts[2]} = {plan.prompt_tokens} tokens" in WINDOW
    assert (read, plan.strategy) == (plan.total_tokens, "full")
    used = plan.prompt_tokens + budget.answer
    assert f"    {plan.prompt_tokens} + {budget.answer} = {used} tokens" in WINDOW
    assert f" = {plan.kv_cache_bytes:,} bytes" in WINDOW
    assert [change.window for change in plan.other_windows] == [used]
    assert f"the least is the {used}\ntokens" in WINDOW


def test_the_margin_of_the_example_is_the_planner_s(ask):
    """This test ensures that what `--budget` leaves unused is the margin that the page says it is."""
    budget = planned(ask(QUESTION, AGREEMENT, budget=30)).budget
    parts = (budget.instructions, budget.sources, budget.question, budget.answer, budget.margin)
    assert f"With `--budget {budget.sources}`" in WINDOW
    assert f"    {' + '.join(f'{part:,}' for part in parts)} = {budget.window:,} tokens" in WINDOW


def test_the_effective_windows_are_those_of_the_scores():
    """This test ensures that the page's windows follow from published scores, and none exceeds the native one."""
    rows = rows_of(WINDOW, "model | native")
    assert len(rows) >= 7
    for name, native, effective, scored in rows:
        card = find_card(name)
        found = effective_window(name, card.native_window, aliases=card.aliases)
        scores = next(one for alias in (name, *card.aliases) if (one := find_scores(alias)))
        assert (f"{card.native_window:,}", f"{found.tokens:,}") == (native, effective), name
        assert scored == f"{scores.scores[scores.tokens]:.1f} at {scores.tokens:,}", name
    assert f"nobody measured it, {UNMEASURED_WINDOW:,} tokens" in WINDOW


def test_the_embedded_model_s_windows_are_its_profile_s(gemma_gguf):
    """This test ensures that native and effective window of the embedded model are told as they are."""
    profile = embedded_profile(gemma_gguf)
    told = re.search(r"native window of ([\d,]+) tokens and an effective one of ([\d,]+)", WINDOW)
    assert told.groups() == (f"{profile.native_window:,}", f"{profile.effective_window:,}")


def test_the_windows_that_are_taken_are_the_planner_s():
    """This test ensures that every row of the page's choices is what the planner chooses, or refuses."""
    rows = rows_of(WINDOW, "model | asked")
    assert len(rows) >= 8
    for name, asked, needed, window, rope in rows:
        tokens = {
            key: int(number(text)) for key, text in (("asked", asked), ("needed", needed)) if text != "–"
        }
        profile = card_profile(find_card(name))
        if rope == "refused":
            with pytest.raises(DoesNotFitError):
                choose_window(profile, **tokens)
            continue
        chosen = choose_window(profile, **tokens)
        own = chosen.rope.method is None
        assert f"{chosen.tokens:,}" == window, name
        assert rope == ("its own" if own else f"{chosen.rope.method.value}, {chosen.rope.factor:.8g}"), name
    assert f"more than {MAX_FACTOR:g} times" in WINDOW


def test_what_passages_are_expected_to_hold_is_what_was_measured():
    """This test ensures that the plan's expectations are the measured shares, on both pages and in the code."""
    measured = [rows_of(page, "chunks |") for page in (RETRIEVAL, STRATEGIES)]
    assert measured[0][0][1:] == measured[1][0][1:]
    depths = [int(cell) for cell in re.search(r"\| chunks \|(.+)\|", RETRIEVAL)[1].split("|")]
    assert [f"{expected_recall(depth):.3f}" for depth in depths] == measured[0][0][1:]
    worked = re.search(r"are (\d+) chunks:.+?= ([\d.]+)\n\n", STRATEGIES, re.DOTALL)
    assert f"{expected_recall(int(worked[1])):.3f}" == worked[2]


def test_what_sentences_are_expected_to_hold_is_what_was_measured():
    """This test ensures that the share counted on for four sentences is that of the measured questions, rounded."""
    row = next(row for row in rows_of(RETRIEVAL, "| ntsb") if "first four" in row[0])
    right, asked = (
        sum(column) for column in zip(*(map(int, cell.split("/")) for cell in row[1:]), strict=True)
    )
    assert round(right / asked, 2) == SENTENCE_RECALL
    told = " / ".join(
        f"({' + '.join(one)})" for one in zip(*(cell.split("/") for cell in row[1:]), strict=True)
    )
    assert f"{told} = {right / asked:.3f}" in STRATEGIES
    assert f"lctx counts on {SENTENCE_RECALL}" in STRATEGIES


def test_the_choice_of_the_example_is_the_planner_s(ask):
    """This test ensures that the page's costs are the plan's, and that the rule gives what the page says."""
    rows = rows_of(STRATEGIES, "sources | strategy")
    plans = (planned(ask(QUESTION, AGREEMENT)), planned(ask(QUESTION, AGREEMENT, README)))
    found = [
        [
            one.strategy,
            f"{one.prompt_tokens:,}",
            f"{one.prompt_tokens + one.answer_tokens:,}",
            f"{one.coverage:.0%}".replace("%", " %"),
        ]
        for plan in plans
        for one in plan.estimates
    ]
    assert [row[1:] for row in rows] == found
    assert [plan.strategy for plan in plans] == ["full", "retrieve"]
    assert f"at least {HOLDS:.0%}".replace("%", " %") in STRATEGIES
    for plan in plans:
        full, retrieve = (one.prompt_tokens + one.answer_tokens for one in plan.estimates)
        assert f"    {full:,} / {retrieve:,} = {full / retrieve:.2f}\n" in STRATEGIES
    assert f"`{AGREEMENT}`, {plans[0].total_tokens} tokens" in STRATEGIES
    bare = plan_answer(ask(QUESTION, AGREEMENT)).situation.bare.num_tokens
    assert f"has {bare} tokens without passages" in STRATEGIES


def test_the_pin_of_the_example_changes_the_choice(ask):
    """This test ensures that a pin makes retrieval as dear as the page says, so that all is read."""
    plan = planned(ask(QUESTION, AGREEMENT, README, pins=(README,)))
    full, retrieve = (one.prompt_tokens + one.answer_tokens for one in plan.estimates)
    assert plan.strategy == "full"
    assert f"    {full:,} / {retrieve:,} = {full / retrieve:.2f}\n" in STRATEGIES
    pinned = sum(piece.num_tokens for piece in plan.included if piece.chunk.document.path == README)
    assert f"`--pin {README}` has\nits {pinned} tokens read" in STRATEGIES


def test_every_reason_of_a_plan_is_explained(ask):
    """This test ensures that whatever a plan says of what it leaves out stands on the page, and nothing else."""
    both = (AGREEMENT, README)
    plans = [
        planned(ask(QUESTION, *both)),
        planned(ask("At what age is a person eligible?", *both)),
        planned(ask(QUESTION, *both, weights=((README, 0.0),))),
        planned(ask(None, *both, strategy="retrieve")),
        planned(ask(QUESTION, *both, pins=(README,), budget=640)),
    ]
    omitted = [omission for plan in plans for omission in plan.omitted]
    seen = {re.sub(r"\d[\d,]* tokens", "so many tokens", omission.reason) for omission in omitted}
    assert seen == {reason for reason, _ in rows_of(STRATEGIES, "left out because")}
    assert all(omission.remedy for omission in omitted)


def test_the_next_question_shares_what_the_page_says(ask):
    """This test ensures that two questions about one document begin with the same ids, as many as are told."""
    other = re.search(r'asked "([^"]+)" next', STRATEGIES)[1]
    prompts = [plan_answer(ask(question, AGREEMENT)).laid_out.prompt for question in (QUESTION, other)]
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*prompts, strict=False)))
    assert f"    {len(prompts[1])} - {shared} = {len(prompts[1]) - shared} tokens\n" in STRATEGIES


def commands_of(page):
    """Each command of the console blocks as its arguments and exit code, with the output shown behind its block."""
    found = []
    for block, shown in re.findall(
        r"^```console\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", page, re.MULTILINE | re.DOTALL
    ):
        lines = block.splitlines()
        for position, line in enumerate(lines):
            arguments = shlex.split(line.removeprefix("$ lctx "), comments=True)
            code = re.search(r" # exit (\d+)$", line)
            output = shown if position == len(lines) - 1 else ""
            found.append((arguments, int(code[1]) if code else 0, output))
    return found


def masked(line):
    """`line` with its spaces and its numbers all alike: these depend on the machine, and on what is free there."""
    return re.sub(r"[KMGT]iB", "B", re.sub(r"\d[\d,.]*", "0", " ".join(line.split())))


COMMANDS = commands_of(GUIDE)


def test_the_guide_has_commands():
    """This test ensures that the check below has something to check."""
    assert len(COMMANDS) >= 15
    assert sum(bool(shown) for _, _, shown in COMMANDS) >= 4
    assert {code for _, code, _ in COMMANDS} == {0, 3}


@pytest.mark.parametrize("command", COMMANDS, ids=[shlex.join(arguments) for arguments, *_ in COMMANDS])
def test_the_guide_s_commands_do_what_it_says(tmp_path, gemma_gguf, module_home, command):
    """This test ensures that each command ends as the guide says, and prints the lines that it shows."""
    arguments, code, shown = command
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    # The guide shows a machine without a GPU.
    done = run_lctx(module_home, *arguments, cwd=tmp_path, CUDA_VISIBLE_DEVICES="-1")
    told = (done.stdout + done.stderr).decode()
    assert done.returncode == code, told
    assert "-o" not in arguments or (tmp_path / arguments[-1]).exists()
    printed = [masked(line) for line in told.splitlines()]
    for line in filter(None, map(masked, shown.splitlines())):
        parts = [re.escape(part) for part in line.split("…")]
        assert any(re.fullmatch(".*".join(parts), other) for other in printed), line


def test_every_setting_is_explained():
    """This test ensures that the configuration page names every key, and says of it what it is without."""
    page = (ROOT / "docs/guides/configuration.md").read_text("utf-8")
    named = [key for row in rows_of(page, "key | value") for key in re.findall(r"\w+", row[0])]
    assert sorted(named) == sorted(KEYS)


@pytest.mark.parametrize(
    "record",
    [PlanRecord, PlanPart, EstimatePart, RopePart, WindowPart, FitPart, MemoryRow, SourceRow, CompareRow],
    ids=lambda record: record.__name__,
)
def test_every_field_of_a_plan_is_explained(record):
    """This test ensures that the output page names each field of the objects that plans print."""
    page = (ROOT / "docs/reference/output.md").read_text("utf-8")
    named = {name for code in re.findall(r"`([^`\n]+)`|\"(\w+)\":", page) for name in code if name}
    assert set(record.__struct_fields__) <= named


def test_the_rope_of_the_output_page_is_the_planner_s():
    """This test ensures that the stretched window that is shown in full is what a plan would say of it."""
    page = (ROOT / "docs/reference/output.md").read_text("utf-8")
    shown = json.loads(re.search(r"```json\n(\{\n  \"label\".*?)```", page, re.DOTALL)[1])
    window = choose_window(card_profile(find_card("Qwen3-8B")), asked=shown["covered"])
    choice = window.rope
    assert shown == {
        "label": rope_label(choice),
        "method": choice.method.value,
        "factor": choice.factor,
        "trained": choice.rope.trained,
        "covered": choice.covered,
        "vllm_hf_overrides": vllm_overrides(choice),
        "llama_flags": None,
        "warnings": list(window.warnings),
    }
