"""The app's commands: one at a time, remembered, gone on with, and what they warn of."""

import logging
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from ditflow import DitflowError
from ditflow.app.command_lines import fit_args
from ditflow.app.job import Job
from ditflow.app.jobs_in_turn import Jobs
from ditflow.app.view import outcome, result_html, run_choices, status_html
from ditflow.runs.progress import STOPPED, RunProgress, read_progress
from tests.app.test_parts import PRESET

GUIDED = "guided step"


def ended(job):
    job.process.wait(120)
    return job.state


def test_one_command_at_a_time(tmp_path):
    jobs = Jobs(tmp_path)
    # Reads its terminal for ever, were it given one; what it is does not matter here.
    slow = jobs.start("fit", lambda folder: ["inspect", str(folder / "nothing.safetensors")])
    with pytest.raises(DitflowError, match=f"a fit runs already .{slow.folder}.; wait"):
        jobs.start("preview", lambda folder: [])
    assert 'data-state="running"' in status_html(slow)
    assert ended(slow) == "failed"
    assert outcome(slow).startswith(f"embedding={slow.folder}")
    assert "Traceback" not in "\n".join(slow.lines())
    assert 'role="alert"' in status_html(slow)
    assert result_html(slow).count("<video") == 0
    # A failed one without a folder keeps its number: its log is there.
    following = jobs.start("fit", lambda folder: ["inspect", str(folder)])
    assert following.name == "fit-2"
    jobs.cancel()
    assert ended(following) == "stopped"
    assert Jobs(tmp_path).start("fit", lambda folder: ["--version"]).name == "fit-3"


def test_warnings_are_shown_while_a_command_runs_and_after(tmp_path):
    log = tmp_path / "fit-1.log"
    log.touch()
    job = Job("fit", tmp_path / "fit-1", [], log, None, 0.0, tmp_path, 1.0)
    said = ["The reference seems to change; choose frames by --num-frames."]
    with suppress(KeyboardInterrupt), RunProgress(job.folder):
        for text in (*said, *said):
            logging.getLogger("ditflow.any").warning(text)
        logging.getLogger("ditflow.any").warning("Stopped; go on.", extra=STOPPED)
        assert job.said("warning") == said
        logging.getLogger("another").warning("Nothing moves.")
        assert job.said("warning") == [*said, "Nothing moves."]
        raise KeyboardInterrupt
    shown = status_html(job)
    assert job.state == "stopped"
    assert shown.count("choose frames by “Frames”.</p>") == 1
    assert shown.count('message warning">Nothing moves.</p>') == 1
    assert outcome(job) == "Stopped; go on."


def test_how_far_a_command_is_is_in_its_file(tmp_path):
    log = tmp_path / "fit-1.log"
    log.write_text("One.\nTwo.\n\nThree.\n")
    job = Job("fit", tmp_path / "fit-1", [], log, None, 0.0, tmp_path, 1.0)
    assert job.lines() == ["One.", "Two.", "Three."]
    assert job.progress() is None
    with RunProgress(job.folder) as progress:
        progress.update(phase="guided step", step=3, steps=10, fraction=0.24)
        assert job.progress() == read_progress(job.folder)
        shown = render_running(job)
        assert "Guided step 3 of 10" in shown
        assert 'aria-valuenow="24"' in shown
        assert 'aria-current="step">Guided steps' in shown
        progress.update(phase="decoding", step=0, steps=1, fraction=0.0, video=2, videos=4)
        assert "Video 2 of 4: decoding</p>" in render_running(job)
    assert job.state == "finished"
    # What an earlier run of the folder has left says nothing of one that goes on with it.
    assert replace(job, started=job.progress().started + 1).progress() is None


class Running:
    """A process that has not ended."""

    def poll(self) -> None:
        return None


def render_running(job: Job) -> str:
    return status_html(replace(job, process=Running()))


def test_a_started_command_is_stopped_with_the_app(tmp_path):
    jobs = Jobs(tmp_path)
    job = jobs.start("preview", lambda folder: ["preview", "--video", "no", "--output", "no"])
    assert jobs.preview is job
    jobs.close()
    assert job.process.returncode is not None
    jobs.close()
    with pytest.raises(DitflowError, match="no stopped fit"):
        jobs.resume()


def test_runs_of_an_earlier_start_are_shown(tmp_path, monkeypatch):
    assert Jobs(tmp_path).last is None
    jobs = Jobs(tmp_path)
    failed = jobs.start("fit", lambda folder: ["inspect", "no", "--prompts", "a ring", "a", "--x"])
    assert ended(failed) == "failed"
    done = jobs.start("predict", lambda folder: ["--version", '--prompts=["--a"]'])
    assert ended(done) == "finished"
    done.folder.mkdir()
    (done.folder / "video.mp4").touch()  # as of a version without progress.json
    logs = failed.log.parent
    (logs / "fit-7.json").write_text("{")
    (logs / "fit-8.json").write_text('{"kind": "fit"}')
    (logs / "notes.json").write_text("[]")

    again = Jobs(tmp_path)
    assert again.last is again.run
    assert run_choices([*again.runs.values()]) == [
        ("predict-1: --a", "predict-1"),
        ("fit-1 (failed): a ring and 1 more", "fit-1"),
    ]
    again.show("fit-1")
    assert again.last.name == "fit-1"
    assert not again.last.can_go_on
    failed.folder.mkdir()
    assert again.last.can_go_on
    assert outcome(again.last) == outcome(failed)
    with pytest.raises(DitflowError, match="run=fit-9 is not one"):
        again.show("fit-9")
    preview = again.start("preview", lambda folder: ["--version"])
    assert ended(preview) == "finished"
    assert not preview.can_go_on
    assert ended(again.resume()) == "failed"  # of the fit that is shown still
    assert list(again.runs) == ["predict-1", "fit-1"]
    monkeypatch.chdir(tmp_path)
    moved = Jobs(tmp_path)
    with pytest.raises(DitflowError, match="fit-1 was begun in .*; start the app there"):
        moved.resume()


@pytest.mark.slow
def test_a_cancelled_fit_goes_on(reference_video, tmp_path):
    configs = ["--model.guided_share", "0.4", "--steps", "10"]
    jobs = Jobs(tmp_path)
    args = fit_args([], reference_video, "a red ring", PRESET, PRESET, tmp_path / "fit-1")
    job = jobs.start("fit", lambda folder: [*args, *configs])
    while (progress := job.progress()) is None or (progress.phase, progress.step) != (GUIDED, 3):
        assert job.state == "running"
        time.sleep(0.05)
    jobs.cancel()
    assert ended(job) == "stopped"
    assert f"--resume {job.folder}" in outcome(job)
    assert Jobs(tmp_path).last.state == "stopped"
    resumed = Jobs(tmp_path).resume()  # as when the app has been started again
    assert ended(resumed) == "finished"
    assert (job.folder / "video.mp4").is_file()
    assert "Resumed (dashed)" in result_html(resumed)
