"""What a person sees: the answer while it arrives, its sources, one progress line; in a real terminal."""

import re

import pytest
from cli_answers import LCTX, SAMPLE, environment
from scripted_server import Reply, ScriptedServer, answer, text_event
from terminal import Terminal, clean_environment, output_of, require_tmux

pytestmark = pytest.mark.terminal

CHAT = "/v1/chat/completions"
QUESTION = "Where does the pump stand?"
NOTES = "The pump stands in room 7, as [main.py:12] says. It is blue.\n"
WORDS = re.findall(r"\S+ ?", "The pump stands in room 7, as [main.py:12] says. Dragons built it.")


@pytest.fixture(params=[80, 40])
def columns(request):
    """The width of the terminal."""
    return request.param


@pytest.fixture
def open_terminal(tmp_path):
    """A function that opens a terminal in a folder with one source."""
    require_tmux()
    (tmp_path / "notes.md").write_text(NOTES, "utf-8")
    (tmp_path / "a.pdf").write_bytes(SAMPLE.read_bytes())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/lctx").symlink_to(LCTX)
    opened = []

    def open_one(columns=80, lines=40, **more):
        variables = clean_environment(environment(tmp_path / "home", **more))
        variables["PATH"] = f"{tmp_path}/bin:{variables['PATH']}"
        opened.append(Terminal(columns, lines, variables, tmp_path))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


def via(server, *arguments):
    return ["lctx", "ask", *arguments, "--engine", "endpoint", "--endpoint", server.address, "--model", "m"]


def test_the_answer_streams_and_ends_with_its_sources(open_terminal, columns):
    """This test ensures that text is seen before the end, brackets stay, and the panel fits the terminal."""
    slow = answer(*WORDS, pause_s=0.15)
    with ScriptedServer({CHAT: slow}) as server:
        terminal = open_terminal(columns)
        terminal.run(*via(server, "notes.md", QUESTION))
        partial = terminal.wait_for("The pump stands")
        assert "Dragons" not in output_of(partial)
        assert "Sources" not in output_of(partial)
        shown = output_of(terminal.wait_for("code=0"))
    assert re.search(
        r"as\s+\[main\.py:12\]\s+says\.\s+\[1\]\s+Dragons\s+built\s+it\.\s+\[no\s+source\]", shown
    )
    assert shown.count("Dragons") == 1, "a copy of the stream was left behind"
    assert "Sources" in shown
    assert "[1] notes.md line 1" in shown
    assert "verified; supported" in shown
    assert max(map(len, shown.splitlines())) <= columns
    assert "plan: " in shown


def test_ctrl_c_keeps_the_partial_answer(open_terminal, columns):
    """This test ensures that Ctrl-C ends with 130, the text once, and the request dropped."""
    with ScriptedServer({CHAT: Reply((*map(text_event, WORDS[:6]), 30.0))}) as server:
        terminal = open_terminal(columns)
        terminal.run(*via(server, "notes.md", QUESTION))
        terminal.wait_for("in room")
        terminal.press("C-c")
        shown = output_of(terminal.wait_for("code=130"))
        assert server.hung_up.wait(5)
    assert shown.count("in room") == 1
    assert "interrupted" in shown
    assert "Traceback" not in shown


def test_a_long_answer_is_whole_at_the_end(open_terminal):
    """This test ensures that more lines than the terminal has are neither lost nor repeated."""
    lines = [f"- line {number}\n" for number in range(60)]
    with ScriptedServer({CHAT: answer(*lines, pause_s=0.01)}) as server:
        terminal = open_terminal(60, 15)
        terminal.run(*via(server, "notes.md", QUESTION))
        shown = output_of(terminal.wait_for("code=0"))
    numbers = [int(number) for number in re.findall(r"• line (\d+)\b", shown)]
    assert sorted(set(numbers)) == list(range(60))
    assert numbers == sorted(numbers), shown
    assert len(numbers) == 60


def test_progress_is_one_line_that_goes(open_terminal):
    """This test ensures that reading and waiting are told on one line, and nothing of it stays."""
    with ScriptedServer({CHAT: Reply((1.5, text_event("Yes."), *answer().parts))}) as server:
        terminal = open_terminal(80)
        terminal.run(*via(server, "a.pdf", QUESTION))
        terminal.wait_for("waiting for the engine")
        shown = output_of(terminal.wait_for("code=0"))
    assert "waiting for the engine" not in shown
    assert "reading" not in shown


def test_no_colour_means_none(open_terminal):
    """This test ensures that NO_COLOR and a dumb terminal leave plain characters."""
    with ScriptedServer({CHAT: answer(*WORDS)}) as server:
        terminal = open_terminal(80)
        command = via(server, "notes.md", QUESTION)
        terminal.run(
            "env", "NO_COLOR=1", "script", "-qec", " ".join(f"'{word}'" for word in command), "typescript"
        )
        terminal.wait_for("code=0")
        folder = terminal.folder
        raw = (folder / "typescript").read_bytes()
        assert not re.search(rb"\x1b\[(?:3|4|9)\d", raw)
        terminal.run("env", "TERM=dumb", *command)
        shown = terminal.wait_for(lambda screen: screen.count("code=0") >= 2)
    assert "Sources:" in output_of(shown)


def test_a_missing_question_is_asked_for(open_terminal):
    """This test ensures that a person who names a source only is asked, and an empty line is a usage error."""
    with ScriptedServer({CHAT: answer(*WORDS)}) as server:
        terminal = open_terminal(80)
        terminal.run(*via(server, "notes.md"))
        terminal.wait_for("question:")
        terminal.type(QUESTION)
        terminal.press("Enter")
        assert "Sources" in terminal.wait_for("code=0")
        terminal.run(*via(server, "notes.md"))
        terminal.wait_for(lambda screen: screen.count("question:") == 2)
        terminal.press("Enter")
        assert "the question is empty" in terminal.wait_for("code=2")


def test_a_redirected_answer_keeps_its_progress(open_terminal):
    """This test ensures that `> file` gets plain text while the terminal still shows what is going on."""
    with ScriptedServer({CHAT: answer(*WORDS, pause_s=0.1)}) as server:
        terminal = open_terminal(80)
        command = " ".join(f"'{word}'" for word in via(server, "notes.md", QUESTION))
        terminal.run("sh", "-c", f"{command} > out.txt")
        terminal.wait_for("answering: ")
        terminal.wait_for("code=0")
        text = (terminal.folder / "out.txt").read_text("utf-8")
    assert text.startswith(
        "The pump stands in room 7, as [main.py:12] says. [1] Dragons built it. [no source]\n"
    )
    assert "\x1b" not in text
