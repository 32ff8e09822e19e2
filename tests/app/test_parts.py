"""The app's parts without a browser: command lines, progress, uploads, and one job at a time."""

import json
import pickle
import sys
import time
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
from safetensors.torch import save_file

from ditflow import DitflowError
from ditflow.app.command import is_loopback, read_users
from ditflow.app.commands import Choices, fit_args, predict_args, preview_args
from ditflow.app.examples import examples
from ditflow.app.jobs import Jobs
from ditflow.app.progress import Progress, progress_of, said
from ditflow.app.uploads import keep_embedding, keep_video
from ditflow.app.view import message_html, outcome, result_html, run_choices, status_html
from ditflow.cli import main
from ditflow.options import expand, over_default
from ditflow.settings import read_settings

PRESET = Choices("latents", 0, True, 5, 0, 1)
OUT, VIDEO = Path("out"), Path("references/clip.mp4")


def test_only_what_differs_from_the_presets_is_given():
    assert Choices.of(read_settings("sprites-rope")) == PRESET
    args = fit_args(["sprites-rope"], VIDEO, " a red ring \n\n a cross", PRESET, PRESET, OUT)
    assert args == [
        *("fit", "--config", "sprites-rope", "--video", "references/clip.mp4"),
        *("--prompts", "a red ring", "a cross", "--output", "out"),
    ]
    chosen = Choices("positions", 3, False, 7, 2, 2)
    given = fit_args([], VIDEO, "a", chosen, PRESET, OUT)
    assert given[5:-2] == [
        *("--target=positions", "--seed=3", "--injection=false", "--model.optimization_steps=7"),
        *("--start-frame=2", "--stride=2"),
    ]
    shown = preview_args([], VIDEO, 6, chosen, PRESET, OUT)
    assert shown[3:-2] == ["--blocks", "6", "--start-frame=2", "--stride=2"]


@pytest.mark.parametrize(
    "prompts", ["--model.backbone.name=evil", "-c", '["a"]', "a\n--config {model: {}}"]
)
def test_a_prompt_never_becomes_an_option(prompts):
    args = fit_args([], VIDEO, prompts, PRESET, PRESET, OUT)
    expanded = expand(args)
    wanted = json.dumps(prompts.splitlines())
    assert [token for token in expanded if "evil" in token or token == "-c"] in (
        [],
        [f"--data.prompts={wanted}"],
    )
    assert f"--data.prompts={wanted}" in expanded


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"seed": None}, "seed is empty"), ({"target": ["x"]}, "target is empty"), ({}, "prompts")],
)
def test_what_a_browser_sends_wrong_is_one_line(change, expected):
    with pytest.raises(DitflowError, match=expected):
        fit_args([], VIDEO, "a" if change else " \n", replace(PRESET, **change), PRESET, OUT)


def test_seeds_of_a_predict():
    embedding = Path("fit/motion.safetensors")
    assert predict_args(embedding, "a", "", OUT)[3:] == ["--prompts", "a", "--output", "out"]
    assert predict_args(embedding, "a", "0, 1 2", OUT)[5:9] == ["--seeds", "0", "1", "2"]
    with pytest.raises(DitflowError, match="seeds=--config x"):
        predict_args(embedding, "a", "--config x", OUT)


def test_configurations_without_a_backbone_lie_over_the_default(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("model: {block: 5}")
    assert over_default([str(own)]) == ["sprites-rope", str(own)]
    assert over_default(["cogvideox-5b", str(own)]) == ["cogvideox-5b", str(own)]
    assert over_default([]) == ["sprites-rope"]


def test_progress_is_the_last_bar():
    assert progress_of("Reference: 24 frames cut to 21 (4k+1).\n") is None
    bars = "Encoding the reference: 100%|██| 1/1 [00:00<00:00]\n"
    bars += "\rGuided step 3/10:  40%|████      | 2/5 [00:00<00:00, loss=1.9]"
    assert progress_of(bars) == Progress("Guided step", 3, 10, pytest.approx(0.24))
    bars += (
        "\n\rDenoising:   0%|  | 0/20 [00:00<?, ?it/s]\rDenoising:  50%|█  | 10/20 [00:00<00:01]"
    )
    assert progress_of(bars) == Progress("Denoising", 10, 20, 0.5)
    bars += "\rDenoising:  55%|█  | 11/20 [00:00<00:01, 9it/s]"
    assert said(f"One.\n{bars}Two; broken off.\n\nThree.\n") == "One.\nTwo; broken off.\nThree."


def test_a_reference_is_kept_once(reference_video, tmp_path):
    kept = keep_video(reference_video, tmp_path, 25)
    assert kept.parent == tmp_path / "references"
    assert kept.read_bytes() == reference_video.read_bytes()
    assert keep_video(reference_video, tmp_path, 25) == kept
    hostile = tmp_path / "--config=x; $(touch y) <b>.mp4"
    hostile.write_bytes(reference_video.read_bytes())
    assert keep_video(hostile, tmp_path, 25).name.startswith("config-x-touch-y-b-")


def test_what_is_no_reference_is_refused(reference_video, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"x" * 1000)
    (tmp_path / "notes.txt").write_text("no video")
    for name, frames, expected in (
        ("broken.mp4", 25, "^video=broken.mp4 has no readable video stream"),
        ("notes.txt", 25, "^video=notes.txt must be one of"),
        (str(reference_video), 24, "^video=reference.mp4 has 25 frames, .* at most 24; "),
    ):
        with pytest.raises(DitflowError, match=expected):
            keep_video(tmp_path / name, tmp_path, frames)
    assert not (tmp_path / "references").exists()


def test_a_hostile_embedding_is_refused(tmp_path):
    pickled, foreign = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    pickled.write_bytes(pickle.dumps({"latents": [1.0]}))
    save_file({"x": torch.zeros(1)}, foreign)
    for path, expected in ((pickled, "not a whole safetensors"), (foreign, "not a motion emb")):
        with pytest.raises(DitflowError, match=f"embedding={path.name} .*{expected}"):
            keep_embedding(path, tmp_path)
    assert not (tmp_path / "embeddings").exists()


def test_examples_of_a_folder_and_of_a_manifest(reference_video, tmp_path):
    (found,) = examples(str(reference_video.parent), True, tmp_path)
    assert found.video == reference_video
    drawn = examples(None, True, tmp_path)
    assert len(drawn) == 6
    assert all(example.video.is_file() and example.prompt for example in drawn)
    assert examples(None, False, tmp_path) == []
    (tmp_path / "none").mkdir()
    for given, expected in ((str(tmp_path / "none"), "no videos"), ("nothing", "manifest")):
        with pytest.raises(DitflowError, match=expected):
            examples(given, True, tmp_path)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("references: {class_path: os.system}")
    with pytest.raises(DitflowError, match="not usable"):
        examples(str(wrong), True, tmp_path)


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
    assert outcome(slow, slow.output()).startswith(f"embedding={slow.folder}")
    assert "Traceback" not in slow.output()
    assert 'role="alert"' in status_html(slow)
    assert result_html(slow).count("<video") == 0
    # A failed one without a folder keeps its number: its log is there.
    following = jobs.start("fit", lambda folder: ["inspect", str(folder)])
    assert following.name == "fit-2"
    jobs.cancel()
    assert ended(following) == "stopped"
    assert Jobs(tmp_path).start("fit", lambda folder: ["--version"]).name == "fit-3"


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
    done.log.write_text(f"Wrote to {done.folder}:\n")
    assert ended(jobs.start("preview", lambda folder: ["--version"])) == "finished"
    logs = failed.log.parent
    (logs / "fit-7.json").write_text("{")
    (logs / "fit-8.json").write_text('{"kind": "fit"}')
    (logs / "notes.json").write_text("[]")

    again = Jobs(tmp_path)
    assert again.last is again.run
    assert run_choices(again.runs) == [
        ("predict-1: --a", "predict-1"),
        ("fit-1 (failed): a ring and 1 more", "fit-1"),
    ]
    again.show("fit-1")
    assert again.last.name == "fit-1"
    assert outcome(again.last, again.last.output()) == outcome(failed, failed.output())
    with pytest.raises(DitflowError, match="run=fit-9 is not one"):
        again.show("fit-9")
    assert ended(again.resume()) == "failed"
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
    while "Guided step 3/4" not in job.output():
        assert job.state == "running"
        time.sleep(0.05)
    jobs.cancel()
    assert ended(job) == "stopped"
    assert f"--resume {job.folder}" in outcome(job, job.output())
    assert Jobs(tmp_path).last.state == "stopped"
    resumed = Jobs(tmp_path).resume()  # as when the app has been started again
    assert ended(resumed) == "finished"
    assert (job.folder / "video.mp4").is_file()
    assert "Resumed (dashed)" in result_html(resumed)


def test_texts_are_never_markup():
    assert "<script>" not in message_html("<script>alert(1)</script>")


def test_who_may_use_it(tmp_path):
    path = tmp_path / "users"
    path.write_text("ann: a:b \n\nbob:c\n")
    assert read_users(path) == [("ann", " a:b"), ("bob", "c")]
    for text in ("", "ann", ":x"):
        path.write_text(text)
        with pytest.raises(DitflowError, match="user:password"):
            read_users(path)
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.com")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--max-frames", "0"], "max_frames=0"),
        (["--config", "sprites-bent"], "config=sprites-bent"),
        (["--auth", "/nowhere"], "auth=/nowhere"),
        (["--references", "nothing"], "config=nothing"),
        (["--output", "/dev/null/app"], "output=/dev/null/app"),
    ],
)
def test_what_is_wrong_is_said_before_it_starts(args, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["app", *args]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ditflow: error: ")
    assert expected in line


def test_without_gradio_it_says_how_to_have_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ditflow.app.command.find_spec", lambda name: None)
    assert main(["app", "--output", str(tmp_path)]) == 2
    assert 'pip install "ditflow[app]"' in capsys.readouterr().err


def test_the_parser_needs_no_gradio(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("ditflow.app")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gradio", None)  # importing it fails
    assert resolve_name("ditflow.app.command:app_parser")().prog == "ditflow app"
