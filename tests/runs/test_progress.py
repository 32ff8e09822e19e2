"""A run's own file of how far it is."""

import json
import logging

import pytest

from ditflow.errors import DitflowError
from ditflow.runs.progress import MOST_MESSAGES, PROGRESS, Message, RunProgress, read_progress

GUIDED = "guided step"

log = logging.getLogger("ditflow.anything")


def test_it_says_how_far_a_run_is_and_how_it_ended(tmp_path):
    assert read_progress(tmp_path) is None
    handlers = list(logging.getLogger().handlers)
    with RunProgress() as progress:
        log.warning("Before the %s.", "folder is known")
        assert list(tmp_path.iterdir()) == []
        progress.begin(tmp_path / "run")
        assert read_progress(tmp_path / "run").messages == (
            Message("warning", "Before the folder is known."),
        )
        progress.update(phase="guided step", step=3, steps=10, fraction=0.25, loss=1.5)
        found = read_progress(tmp_path / "run")
        assert (found.state, found.phase, found.step, found.loss) == ("running", GUIDED, 3, 1.5)
        progress.update(step=4)  # too soon after
        assert read_progress(tmp_path / "run").step == 3
    found = read_progress(tmp_path / "run")
    assert (found.state, found.step) == ("finished", 4)
    assert found.started <= found.updated
    assert logging.getLogger().handlers == handlers
    assert [path.name for path in (tmp_path / "run").iterdir()] == [PROGRESS]


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (DitflowError("block=9 \x1b[31m is out of range"), "failed", "block=9 ?[31m is out"),
        (ZeroDivisionError("division by zero"), "failed", "division by zero"),
        (MemoryError(), "failed", "MemoryError"),
        (KeyboardInterrupt(), "stopped", None),
    ],
)
def test_what_ended_it_is_told(error, state, said, tmp_path):
    with pytest.raises(type(error)), RunProgress(tmp_path):
        raise error
    found = read_progress(tmp_path)
    assert found.state == state
    errors = [text for level, text in found.messages if level == "error"]
    assert len(errors) == (said is not None)
    assert said is None or errors[0].startswith(said)


def test_lightnings_exit_for_ctrl_c_is_a_stop(tmp_path):
    ended = SystemExit(1)
    ended.__context__ = KeyboardInterrupt()
    with pytest.raises(SystemExit), RunProgress(tmp_path):
        raise ended
    assert read_progress(tmp_path).state == "stopped"


def test_it_never_fails_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    (tmp_path / "file").touch()
    with RunProgress(tmp_path / "file" / "below") as progress:
        progress.update(phase="denoising")
    with RunProgress(tmp_path) as progress:
        log.warning("%d", "no number")
        for number in range(2 * MOST_MESSAGES):
            progress.say("warning", f"\ud800 {number % 150}")
    found = read_progress(tmp_path)
    assert len(found.messages) == MOST_MESSAGES


def test_a_warning_is_printed_as_without_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with RunProgress(tmp_path):
        log.warning("Heed this.")
    assert capsys.readouterr().err == "Heed this.\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "dancing"},
        {"fraction": "a"},
        {"fraction": 1e999},
        {"step": None},
        {"messages": [["a"]]},
        {"messages": 1},
        {"phase": ["decoding"]},
    ],
)
def test_what_no_run_wrote_is_none(changes, tmp_path):
    with RunProgress(tmp_path):
        pass
    content = json.loads((tmp_path / PROGRESS).read_text())
    (tmp_path / PROGRESS).write_text(json.dumps(content | changes))
    assert read_progress(tmp_path) is None
    for text in ("[]", "{}", "{", ""):
        (tmp_path / PROGRESS).write_text(text)
        assert read_progress(tmp_path) is None
