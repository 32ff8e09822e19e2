"""What the page's events give, without a browser."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ditflow.app.command_lines import Choices, fit_args, preview_args
from ditflow.app.job import Job
from ditflow.app.jobs_in_turn import Jobs
from ditflow.app.shipped_examples import Example
from ditflow.settings.stacked import read_settings
from tests.app.test_parts import PRESET

pytest.importorskip("gradio")
from ditflow.app.handlers import Handlers
from ditflow.app.interface import build


@pytest.fixture
def kept(reference_video, tmp_path) -> Path:
    path = tmp_path / "references" / "mine.mp4"
    path.parent.mkdir()
    return Path(shutil.copyfile(reference_video, path))


def handlers(root: Path, *examples: Example) -> Handlers:
    return Handlers(Jobs(root), [], read_settings("sprites-rope"), examples, 100)


def test_a_backbone_of_ones_own_is_named_by_what_loads_it(tmp_path):
    settings = replace(read_settings("sprites-rope"), backbone={}, loader="mine.load")
    page = build(Handlers(Jobs(tmp_path), [], settings, [], 100))
    assert "a reference does, by mine.load." in str(page.get_config_file())


def job(root: Path, args: list[str], started: float) -> Job:
    return Job(args[0], root / "out", args, root / "log", None, started, Path.cwd())


def test_a_page_that_is_loaded_has_what_was_begun_last(kept, tmp_path):
    on = handlers(tmp_path)
    assert on.restore() == [None, None, "", None, *vars(PRESET).values()]
    mask = tmp_path / "masks" / "object.png"
    mask.parent.mkdir()
    mask.touch()
    chosen = replace(PRESET, target="positions", optimization_steps=7, start_frame=2, mask=mask)
    args = fit_args([], kept, "a\nb", chosen, PRESET, tmp_path)
    on.jobs.runs["fit-1"] = job(tmp_path, args, 1.0)
    player, video, prompts, file, *choices = on.restore()
    assert (player, video, prompts, file) == (str(kept.resolve()), kept, "a\nb", str(mask))
    assert Choices(*choices) == chosen
    # A later preview says which frames, and not what it does not have.
    later = replace(PRESET, start_frame=4, block=5)
    on.jobs.preview = job(tmp_path, preview_args([], kept, later, PRESET, tmp_path), 2.0)
    _, _, prompts, file, *choices = on.restore()
    assert Choices(*choices) == replace(chosen, start_frame=4, block=5, mask=None)
    assert (prompts, file) == ("a\nb", None)
    # What is not there, or is not the app's, is not shown.
    kept.unlink()
    assert on.restore() == [None, None, "a\nb", None, *vars(PRESET).values()]


def test_references_of_the_list_are_taken(kept, tmp_path):
    drawn = kept.with_name("drawn.mp4")
    shutil.copyfile(kept, drawn)
    on = handlers(tmp_path, Example(drawn, "a red ring"))
    for video, prompt in ((drawn, "a red ring"), (kept, None)):
        player, taken, message, prompts = on.take_listed([str(video.resolve())])
        assert (player, taken, message) == (str(video.resolve()), video, "")
        assert prompts == prompt or (prompt is None and "value" not in prompts)  # left as they are
    for other in (tmp_path / "gone.mp4", Path("/etc/passwd")):
        assert on.take_listed([str(other)])[:2] == (None, None)
    *_, seen = on.look({}, None, None)
    assert seen["references"] == [[str(drawn.resolve())], [str(kept.resolve())]]
