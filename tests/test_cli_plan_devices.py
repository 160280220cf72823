"""`lctx plan` for a model and a machine that are not here: devices, rope, prices, and a way out where nothing fits."""

import json
import shlex

import jsonschema
import pytest
from cli_answers import CONTRACT, ROOT, SAMPLE, run_lctx
from rope_configs import GEMMA3_4B, SMOLLM2

from lctx.cli.plan_record import plan_schema

NOTES = "The pump stands in room 7. It is blue.\n\n" * 40
LONG = "".join(f"The harbour was widened in {1800 + number} by master {number}.\n\n" for number in range(900))


@pytest.fixture
def folder(tmp_path):
    """Sources, short and long."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "notes.md").write_text(NOTES, "utf-8")
    (here / "it's long.txt").write_text(LONG, "utf-8")
    (here / "a.pdf").write_bytes(SAMPLE.read_bytes())
    (here / "b.docx").write_bytes(CONTRACT.read_bytes())
    return here


@pytest.fixture
def plan(tmp_path, folder):
    """Run `lctx plan`; give the process."""
    return lambda *arguments, **more: run_lctx(tmp_path, "plan", *arguments, cwd=folder, **more)


@pytest.fixture
def planned(plan):
    """Run `lctx plan --format json`; give its record."""

    def run(*arguments, code=0):
        done = plan(*arguments, "--format", "json")
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout)

    return run


def config(folder, name, **more):
    """A directory with nothing but a config.json; its path."""
    path = folder / name
    path.mkdir()
    shape = {
        "num_hidden_layers": 30, "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49_152,
        "torch_dtype": "bfloat16",
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps({**shape, **more}), "utf-8")
    return path


def commands_of(done):
    """The commands that the error output suggests."""
    lines = done.stderr.decode().splitlines()
    return [line.removeprefix("fits: ") for line in lines if line.startswith("fits: ")]


QWEN = ("--model", "qwen3-8b", "--gpu", "h100:80gb")
LARGE = ("--model", "llama-3.1-70b", "--gpu")


@pytest.mark.parametrize(
    "arguments",
    [
        ("a.pdf", "notes.md", "Where is the pump?", *QWEN, "--strategy", "full", "--window", "4000"),
        ("a.pdf", "it's long.txt", "Who widened it?", *QWEN, "--strategy", "full", "--budget", "900"),
        ("a.pdf", "Which value?", *QWEN, "--pin", "a.pdf", "--window", "4096"),
        ("a.pdf", "notes.md", "Which value?", *QWEN, "--pin", "*", "--budget", "500"),
        ("a.pdf", "Which value?", *QWEN, "--window", "5000000"),
        ("a.pdf", "Which value?", "--model", "qwen3-8b", "--gpu", "rtx4090", "--window", "120000"),
        ("a.pdf", "Which value?", *LARGE, "rtx4090"),
        ("a.pdf", "Which value?", *QWEN, "--budget", "1"),
        ("a.pdf", "Which value?", *QWEN, "--max-tokens", "40000"),
        ("a.pdf", *QWEN, "--strategy", "full", "--window", "2000"),
        ("a.pdf", "-q", "-v: which value?", *QWEN, "--strategy", "full", "--window", "2000"),
    ],
    ids=lambda arguments: " ".join(arguments[1:])[-60:],
)
def test_what_does_not_fit_names_commands_that_do(plan, arguments):
    """This test ensures that exit 3 comes with commands that can be pasted, and that each of them then fits."""
    done = plan(*arguments)
    assert done.returncode == 3, done.stderr.decode()
    commands = commands_of(done)
    assert 0 < len(commands) <= 3
    for command in commands:
        program, verb, *rest = shlex.split(command)
        assert (program, verb) == ("lctx", "plan")
        again = plan(*rest)
        assert again.returncode == 0, (command, again.stderr.decode())


def test_the_commands_are_in_the_record_too(planned):
    """This test ensures that a machine reads the error, the plan that does not fit, and the ways out."""
    record = planned("a.pdf", "Which value?", *LARGE, "rtx4090", code=3)
    assert record["error"]["code"] == "does_not_fit"
    assert "weights" in record["error"]["message"]
    assert (record["fit"]["fits"], record["fit"]["largest_window"]) == (False, 0)
    assert record["commands"] == [
        "lctx plan a.pdf 'Which value?' --model llama-3.1-70b --format json --gpu 8xrtx4090"
    ]
    assert planned("a.pdf", "Which value?", *QWEN)["commands"] == []


def test_a_name_that_cannot_be_pasted_is_in_no_command(plan, folder):
    """This test ensures that a file's name can neither forge a line nor colour one."""
    for name in ("new\nline.txt", "\x1b[31mred.txt"):
        (folder / name).write_text(LONG, "utf-8")
        done = plan(name, *QWEN, "--strategy", "full", "--window", "3000")
        assert (done.returncode, commands_of(done)) == (3, [])
        assert b"\x1b" not in done.stderr + done.stdout


def test_a_gpu_is_served_by_vllm(planned):
    """This test ensures that the plan for an H100 names engine, device and memory, and adds up to the card's."""
    fit = planned("a.pdf", "Which value?", *QWEN)["fit"]
    assert (fit["device"], fit["engine"], fit["kv_dtype"], fit["fits"]) == (
        "H100 SXM", "vllm", "bfloat16", True,
    )  # fmt: skip
    taken = sum(row["bytes"] for row in fit["taken"])
    assert taken + fit["kv_available_bytes"] == fit["memory_bytes"]
    assert all(row["why"] for row in fit["taken"])


def test_fp8_halves_the_cache(planned):
    """This test ensures that `--kv-dtype fp8` halves the bytes of prompt and window, and widens what fits."""
    asked = ("a.pdf", "Which value?", "--model", "qwen3-8b", "--gpu", "rtx4090")
    wide, narrow = planned(*asked), planned(*asked, "--kv-dtype", "fp8")
    assert wide["plan"]["kv_cache_bytes"] == 2 * narrow["plan"]["kv_cache_bytes"]
    assert wide["fit"]["kv_needed_bytes"] == 2 * narrow["fit"]["kv_needed_bytes"]
    assert narrow["fit"]["largest_window"] > wide["fit"]["largest_window"]


def test_two_cards_are_one_device(planned):
    """This test ensures that `--gpu 2xh200` holds a model that one of the cards does not hold at that length."""
    fit = planned("a.pdf", "Which value?", *LARGE, "2xh200", "--window", "131072")["fit"]
    assert (fit["device"], fit["fits"]) == ("2 x H200", True)
    planned("a.pdf", "Which value?", *LARGE, "h200", "--window", "131072", code=3)


def test_a_price_an_hour_prices_every_strategy(planned):
    """This test ensures that price is seconds times the hourly price, and absent without it."""
    for one in planned("a.pdf", "Which value?", *QWEN, "--price-per-hour", "3.6")["plan"]["estimates"]:
        assert one["price"] == pytest.approx((one["prefill_s"] + one["decode_s"]) / 1000, rel=0.01)
        assert one["watt_hours"] > 0
    for one in planned("a.pdf", "Which value?", *QWEN)["plan"]["estimates"]:
        assert one["price"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpu", "h1000", "--model", "qwen3-8b"), "did you mean h100"),
        (("--gpu", "3xh100", "--model", "llama-3.1-70b"), "does not divide 8 KV heads"),
        (("--gpu", "h100", "--model", "qwen3-8b", "--kv-dtype", "fp8_ds_mla"), "no latents"),
        (("--gpu", "h100", "--model", "qwen3-8b", "--kv-dtype", "fp7"), "fp8"),
    ],
)
def test_what_cannot_be_is_a_usage_error(plan, arguments, said):
    """This test ensures that a device, a split or a width that does not exist is exit 2 and leaves stdout empty."""
    done = plan("a.pdf", "Which value?", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()


def test_smollm2_is_stretched_as_published(planned, smollm2_gguf):
    """This test ensures that 16,384 tokens take yarn by 2 and the override with which vLLM was seen to start."""
    record = planned(
        "notes.md", "Where is the pump?", "--model", smollm2_gguf, "--gpu", "none", "--window", "16384"
    )
    rope = record["plan"]["rope"]
    assert (record["plan"]["window"], rope["label"]) == (16_384, "yarn x2 (8,192 -> 16,384)")
    assert rope["vllm_hf_overrides"] == {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 100_000.0,
            "factor": 2.0,
            "original_max_position_embeddings": 8192,
        },
        "max_position_embeddings": 16_384,
    }
    assert record["warnings"]


def test_a_directory_with_a_config_alone_is_planned(planned, plan, folder):
    """This test ensures that config.json is enough: stretched where asked, none where it fits, refused with a reason."""
    small = config(folder, "small", **SMOLLM2)
    asked = ("notes.md", "Where is the pump?", "--gpu", "h100")
    stretched = planned(*asked, "--model", small, "--window", "16384")["plan"]["rope"]
    assert (stretched["method"], stretched["factor"], stretched["llama_flags"]) == ("yarn", 2.0, None)
    assert planned(*asked, "--model", small, "--window", "8192")["plan"]["rope"] is None
    gemma = config(folder, "gemma", **GEMMA3_4B, hidden_size=640, num_attention_heads=4, head_dim=256)
    assert planned(*asked, "--model", gemma, "--window", "131072")["plan"]["rope"] is None
    refused = plan(*asked, "--model", gemma, "--window", "200000")
    assert refused.returncode == 3
    assert "a rope each" in refused.stderr.decode()


def test_more_to_read_is_never_cheaper(planned):
    """This test ensures that a second source makes no strategy shorter or faster but for its fence."""
    one, both = planned("a.pdf", *QWEN), planned("a.pdf", "b.docx", *QWEN)
    for few, many in zip(one["plan"]["estimates"], both["plan"]["estimates"], strict=True):
        # The fence around the sources is another for other sources, and may be a few tokens longer.
        assert few["prompt_tokens"] <= many["prompt_tokens"] + 8
        assert few["prefill_s"] <= 1.01 * many["prefill_s"]


def test_a_pipe_gets_no_colour(plan):
    """This test ensures that text and Markdown in a pipe hold no escape, and that Markdown is made of tables."""
    for form in ("text", "md"):
        done = plan("a.pdf", "notes.md", "Where is the pump?", *QWEN, "--format", form)
        assert b"\x1b" not in done.stdout + done.stderr
        assert "█" not in done.stdout.decode()


def test_the_smallest_and_the_many(plan, planned, folder):
    """This test ensures that one character is planned, and that a thousand tiny files have a row each."""
    (folder / "one.txt").write_text("x", "utf-8")
    assert planned("one.txt", *QWEN)["total_tokens"] == 1
    tiny = folder / "tiny"
    tiny.mkdir()
    for number in range(1000):
        (tiny / f"n{number:04}.txt").write_text(f"Note {number}: the lamp is lit.\n", "utf-8")
    record = planned("tiny", "Where is lamp 77?", *QWEN)
    assert [row["path"] for row in record["sources"]] == [f"tiny/n{number:04}.txt" for number in range(1000)]
    assert sum(row["tokens"] for row in record["sources"]) == record["total_tokens"]
    assert plan("tiny", *QWEN, "--raw").stdout.decode() == f"{record['total_tokens']}\n"


def test_every_plan_is_valid(planned):
    """This test ensures that plans, made, refused and impossible, are what the committed JSON Schema says."""
    page = ROOT / "docs/reference/plan.schema.json"
    schema = json.loads(page.read_text("utf-8"))
    assert schema == plan_schema(), "python docs/generate.py plan-schema mends it"
    for arguments, code in (
        (("a.pdf", "b.docx", "Which value?", *QWEN, "--price-per-hour", "2"), 0),
        (("a.pdf", "Which value?", *QWEN, "--window", "131072"), 0),
        (("a.pdf", "Which value?", *LARGE, "rtx4090"), 3),
        (("a.pdf", "gone.pdf", "Which value?", *QWEN), 5),
        (("gone.pdf", *QWEN), 2),
    ):
        jsonschema.validate(planned(*arguments, code=code), schema)
