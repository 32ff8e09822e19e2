"""What the page's events give, without a browser."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ditflow.app.command_lines import Choices, Form, fit_args, preview_args
from ditflow.app.job import Job
from ditflow.app.jobs_in_turn import Jobs
from ditflow.app.remembered import remember, remembered
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


def handlers(root: Path, *examples: Example, configs: Sequence[str] = ()) -> Handlers:
    return Handlers(Jobs(root), configs, read_settings("sprites-rope"), examples, 100)


def test_a_backbone_of_ones_own_is_named_by_what_loads_it(tmp_path):
    settings = replace(read_settings("sprites-rope"), backbone={}, loader="mine.load")
    page = build(Handlers(Jobs(tmp_path), [], settings, [], 100))
    assert "a reference does, by mine.load." in str(page.get_config_file())


def job(root: Path, args: list[str], started: float, chosen: Choices) -> Job:
    log = root / "logs" / f"{args[0]}-1.log"
    form = Form((), chosen)
    return Job(args[0], root / "out", args, log, None, started, Path.cwd(), form=form)


def test_a_page_that_is_loaded_has_what_was_begun_last(kept, tmp_path):
    on = handlers(tmp_path)
    assert on.restore() == [None, None, "", None, *vars(PRESET).values()]
    mask = tmp_path / "masks" / "object.png"
    mask.parent.mkdir()
    mask.touch()
    chosen = replace(PRESET, target="positions", optimization_steps=7, start_frame=2, mask=mask)
    args = fit_args([], kept, "a\nb", chosen, PRESET, tmp_path)
    on.jobs.runs["fit-1"] = job(tmp_path, args, 1.0, chosen)
    player, video, prompts, file, *choices = on.restore()
    assert (player, video, prompts, file) == (str(kept.resolve()), kept, "a\nb", str(mask))
    assert Choices(*choices) == chosen
    # A later preview was begun with all that the page had.
    later = replace(chosen, start_frame=4, block=5, mask=None)
    on.jobs.preview = job(tmp_path, preview_args([], kept, later, PRESET, tmp_path), 2.0, later)
    _, _, prompts, file, *choices = on.restore()
    assert Choices(*choices) == replace(chosen, start_frame=4, block=5, mask=None)
    assert (prompts, file) == ("a\nb", None)
    # What is not there, or is not the app's, is not shown.
    kept.unlink()
    assert on.restore() == [None, None, "a\nb", None, *vars(PRESET).values()]


def test_a_page_of_a_later_start_has_it_too(kept, tmp_path):
    mask = tmp_path / "masks" / "object.png"
    mask.parent.mkdir()
    mask.touch()
    chosen = Choices("positions", 3, False, 7, 2, 2, 9, 5, True, mask)
    begun = job(tmp_path, fit_args([], kept, "a", chosen, PRESET, tmp_path), 1.0, chosen)
    begun.log.parent.mkdir()
    begun.log.touch()
    remember(begun)
    assert Choices(*handlers(tmp_path).restore()[4:]) == chosen
    # Choices lie over presets.
    assert Choices(*handlers(tmp_path, configs=["another"]).restore()[4:]) == PRESET
    path = begun.log.with_suffix(".json")
    written = json.loads(path.read_text())
    path.write_text(json.dumps(written | {"form": None}))  # as of an earlier version
    assert Choices(*handlers(tmp_path).restore()[4:]) == PRESET
    for wrong in ({"seed": "evil"}, {"mask": 3}):
        choices = written["form"]["choices"] | wrong
        path.write_text(json.dumps(written | {"form": written["form"] | {"choices": choices}}))
        assert remembered(tmp_path) == []


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
