"""The command line as a user types it: what it writes, and what it says when it cannot."""

import json
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import pytest

from ditflow import MotionEmbedding
from ditflow.cli import main
from ditflow.errors import DitflowError
from ditflow.runs.claim import claim
from ditflow.runs.predictions import slug
from ditflow.video.reading import read_video
from tests.journeys.conftest import PROMPT, QUICK
from tests.pages.parsing import Page
from tests.typed import fails, printed_config


def test_fit_writes_one_folder(fitted):
    names = {path.name for path in fitted.iterdir()}
    assert names == {
        "motion.safetensors",
        "video.mp4",
        "reference.mp4",
        "comparison.mp4",
        "config.yaml",
        "tensorboard",
        "checkpoints",
        "commands.txt",
        "index.html",
        "progress.json",
    }
    assert read_video(fitted / "comparison.mp4").shape == (25, 64, 64 * 2 + 4, 3)
    assert [path.name for path in (fitted / "checkpoints").iterdir()] == ["last.ckpt"]
    header = MotionEmbedding.load(fitted / "motion.safetensors").header
    assert (header.target, header.parameterization) == ("positions", "coordinates")
    assert header.reference == "reference.mp4"


def test_fit_leaves_a_page_with_the_commands(fitted):
    page = Page(fitted / "index.html")
    assert [video["aria-label"] for video in page.all("video")] == ["reference", PROMPT]
    (typed,) = (fitted / "commands.txt").read_text().splitlines()
    assert shlex.split(typed)[:2] == ["ditflow", "fit"]
    assert shlex.split(typed)[5:7] == [PROMPT, "--output"]
    assert typed in page.text
    assert f"ditflow predict --embedding {fitted / 'motion.safetensors'}" in page.text
    assert len(page.all("circle")) == 2  # losses of two guided steps


def test_tensorboard_has_losses_rates_flows_and_videos(fitted):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(fitted / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert "loss" in tags["scalars"]
    assert len(events.Scalars("loss")) == 2  # one a step of two guided steps
    assert any(tag.startswith("lr") for tag in tags["scalars"])
    assert {"flow/reference", "flow/generation", "video/reference", f"video/{PROMPT}"} <= set(
        tags["images"]
    )
    assert len(events.Images("flow/generation")) == 2


def test_predict_names_a_file_a_prompt_and_seed(fitted, tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a pink cross on a teal background\n\n")
    status = main(
        [
            *("predict", "--embedding", str(fitted / "motion.safetensors")),
            *("--prompts", "a yellow circle on a navy background", "--prompts-file", str(prompts)),
            *("--seeds", "0", "1", "--output", str(tmp_path / "out")),
        ]
    )
    assert status == 0
    names = sorted(path.name for path in (tmp_path / "out").glob("*.mp4"))
    assert names == [
        "a-pink-cross-on-a-teal-background-seed0.mp4",
        "a-pink-cross-on-a-teal-background-seed1.mp4",
        "a-yellow-circle-on-a-navy-background-seed0.mp4",
        "a-yellow-circle-on-a-navy-background-seed1.mp4",
        "comparison.mp4",
        "reference.mp4",
    ]
    out = capsys.readouterr().out
    assert all(name in out for name in names)
    assert len(Page(tmp_path / "out" / "index.html").all("video")) == 5  # the reference as well


def test_predict_makes_only_what_is_missing(fitted, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["predict", "--embedding", str(fitted / "motion.safetensors"), "--output", str(out)]
    given += ["--prompts", "a pink cross", "a pink cross!", "a pink cross"]
    assert main(given) == 0
    first, second = out / "a-pink-cross-seed0.mp4", out / "a-pink-cross-2-seed0.mp4"
    videos = {path: path.read_bytes() for path in (first, second)}
    made = first.stat().st_mtime_ns
    second.with_suffix(".json").unlink()  # as if it had been killed before it was filed
    second.write_bytes(b"half")
    (out / "comparison.mp4").unlink()
    capsys.readouterr()
    assert main(given) == 0
    assert "1 videos are there already, 1 are missing" in capsys.readouterr().out
    assert videos == {path: path.read_bytes() for path in (first, second)}
    assert first.stat().st_mtime_ns == made
    assert read_video(out / "comparison.mp4").shape == (25, 64, 64 * 3 + 4 * 2, 3)
    (out / "comparison.mp4").unlink()
    assert main(given) == 0  # nothing is missing but that
    assert (out / "comparison.mp4").exists()
    other = [*given, "--injection", "false"]
    assert "made with another kv_injection" in fails(capsys, *other)
    assert first.stat().st_mtime_ns == made
    assert main([*other, "--overwrite", "true"]) == 0
    assert json.loads(first.with_suffix(".json").read_text())["kv_injection"] == {"enabled": False}
    assert "trainer.devices" in fails(
        capsys, *given, "--overwrite", "true", "--trainer.devices", "3"
    )
    # A video that could not be replaced has no record of what it was not made with.
    first.unlink()
    (first / "in the way").mkdir(parents=True)
    assert "could not be written" in fails(capsys, *other, "--overwrite", "true", "--fps", "9")
    assert not first.with_suffix(".json").exists()


def test_a_second_fit_in_the_same_folder_is_refused(fitted, reference_video, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "motion.safetensors").write_bytes((fitted / "motion.safetensors").read_bytes())
    (out / "mine.txt").write_text("kept")
    (out / "video-original.mp4").write_text("kept")
    (out / "video-1-a-red-circle.mp4").write_text("of the earlier run")
    given = ["fit", "--video", str(reference_video), "--prompt", PROMPT, *QUICK]
    given += ["--output", str(out)]
    line = fails(capsys, *given)
    assert "holds the results of an earlier run (motion.safetensors)" in line
    assert "--overwrite" in line
    assert len(list(out.iterdir())) == 4
    with claim(out):
        assert "another run" in fails(capsys, *given, "--overwrite", "true")
    assert main([*given, "--overwrite", "true"]) == 0
    assert (out / "mine.txt").read_text() == "kept"
    assert (out / "video-original.mp4").read_text() == "kept"
    assert not (out / "video-1-a-red-circle.mp4").exists()
    assert MotionEmbedding.load(out / "motion.safetensors").header.target == "latents"


def test_the_folder_of_an_embedding_is_read_like_its_file(fitted, tmp_path):
    header = MotionEmbedding.load(fitted).header
    assert header == MotionEmbedding.load(fitted / "motion.safetensors").header
    with pytest.raises(DitflowError, match="motion.safetensors does not exist"):
        MotionEmbedding.load(tmp_path)


def test_a_quiet_predict_shows_no_progress(fitted, tmp_path, capfd):
    given = ["--embedding", str(fitted), "--output", str(tmp_path), "--prompts", PROMPT]
    assert main(["predict", *given, "--trainer.enable_progress_bar", "false"]) == 0
    out, err = capfd.readouterr()
    assert "Wrote to" in out
    assert "%" not in out + err


def test_inspect_shows_what_is_in_it(fitted, capsys):
    assert main(["inspect", str(fitted / "motion.safetensors")]) == 0
    out = capsys.readouterr().out
    for expected in ("sprites-rope", "positions (coordinates)", "2 x 2 x 448 x 3", PROMPT, "seed"):
        assert expected in out


def test_a_wheel_carries_presets_configs_and_weights(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("presets/models", "presets/methods", "configs", "configs/benchmark"):
        shared = {f"ditflow/{folder}/{path.name}" for path in Path(folder).glob("*.yaml")}
        assert shared
        assert shared <= names
    templates = Path("ditflow/pages/templates").iterdir()
    assert {str(path) for path in templates} <= names
    weights = Path("ditflow/sprites/weights").rglob("*.*")
    assert {str(path) for path in weights if path.is_file()} <= names
    assert not any(name.startswith(("tests", "work", "demo")) for name in names)


def test_predict_injects_as_the_fit_did_and_takes_a_seed_and_a_rate(fitted, tmp_path, capsys):
    embedding = MotionEmbedding.load(fitted / "motion.safetensors")
    assert embedding.header.injection == {"enabled": True, "block": 5, "share": 0.08}
    path = tmp_path / "motion.safetensors"
    MotionEmbedding(
        replace(embedding.header, injection={"enabled": False}), embedding.tensors
    ).save(path)
    common = ["predict", "--prompts", "a fox 🦊", "--seed", "3", "--fps", "12", "--output"]
    off = [*common, str(tmp_path / "a"), "--embedding", str(path)]
    assert main(off) == 0
    assert "no KV injection" not in capsys.readouterr().err
    told = [*common, str(tmp_path / "b"), "--embedding", str(fitted / "motion.safetensors")]
    assert main([*told, "--injection", "false"]) == 0
    capsys.readouterr()
    config = printed_config(capsys, *off)
    assert config["kv_injection"] == {"enabled": False, "block": 0, "share": 1.0}
    assert config["data"]["prompts"] == ["a fox 🦊"]
    assert config["trainer"]["inference_mode"] is False  # its tensors could not be fitted again
    name = "a-fox-seed3.mp4"
    a, b = (read_video(tmp_path / folder / name) for folder in ("a", "b"))
    assert (a == b).all()
    assert iio.immeta(tmp_path / "a" / name)["fps"] == 12


def test_a_fit_does_not_remove_its_own_reference(reference_video, tmp_path, capsys):
    shutil.copy(reference_video, tmp_path / "reference.mp4")
    given = ["fit", "--video", str(tmp_path / "reference.mp4"), "--prompt", PROMPT, *QUICK]
    line = fails(capsys, *given, "--overwrite", "true", "--output", str(tmp_path))
    assert "would be lost" in line
    assert (tmp_path / "reference.mp4").read_bytes() == reference_video.read_bytes()


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("A red circle!", "a-red-circle"), ("  ", "prompt"), ("x" * 99, "x" * 60), ("日本", "日本")],
)
def test_slug(prompt, name):
    assert slug(prompt) == name


def test_the_demo_draws_a_reference_and_its_mask(tmp_path, capsys):
    assert main(["demo", "--output", str(tmp_path), "--fit", "false"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"reference.mp4", "mask.mp4"}
    reference, mask = (read_video(tmp_path / f"{name}.mp4") for name in ("reference", "mask"))
    assert reference.shape == mask.shape == (25, 64, 64, 3)
    inside = mask[..., 0] > 128
    assert 0.03 < inside.mean() < 0.3
    red, green = reference[..., 0].astype(int), reference[..., 1].astype(int)
    assert (red - green)[inside].mean() > 100 > 30 > abs((red - green)[~inside].mean())
    assert main(["demo", "--output", str(tmp_path), "--backbone", "x"]) == 2
    assert "backbone=x is not embedded; use sprites-rope" in capsys.readouterr().err


def test_latents_in_another_prompt_are_warned_of(fitted):
    header = MotionEmbedding.load(fitted / "motion.safetensors").header
    assert header.look_warning(["a red ring"]) is None
    latents = replace(header, target="latents")
    assert latents.look_warning([PROMPT]) is None
    assert "'a red ring' will come out much like" in latents.look_warning([PROMPT, "a red ring"])
