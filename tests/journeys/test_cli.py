"""The command line as a user types it: what it writes, and what it says when it cannot."""

import json
import pickle
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
import yaml
from safetensors.torch import save_file

from ditflow import MotionEmbedding
from ditflow.cli import main
from ditflow.runs.claim import claim
from ditflow.runs.predictions import slug
from ditflow.settings.options import SHORT, expand, preset_path
from ditflow.utils.shipped import shipped_files
from ditflow.video.reading import read_video
from tests.pages.parsing import Page
from tests.video.test_video import write_audio

PRESETS = sorted(shipped_files("presets"))
QUICK = ["--steps", "6", "--model.guided_share", "0.4", "--model.optimization_steps", "1"]
PROMPT = "a blue square on a white background"


def printed_config(capsys, *args):
    with pytest.raises(SystemExit) as exited:
        main([*args, "--print_config"])
    assert exited.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, reference_video) -> Path:
    folder = tmp_path_factory.mktemp("fit") / "run"
    status = main(
        [
            *("fit", "--video", str(reference_video), "--prompt", PROMPT, "--output", str(folder)),
            *("--target", "positions", *QUICK),
        ]
    )
    assert status == 0
    return folder


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


def test_inspect_shows_what_is_in_it(fitted, capsys):
    assert main(["inspect", str(fitted / "motion.safetensors")]) == 0
    out = capsys.readouterr().out
    for expected in ("sprites-rope", "positions (coordinates)", "2 x 2 x 448 x 3", PROMPT, "seed"):
        assert expected in out


def leaves(tree, path=()):
    """Every value of nested mappings with the keys that lead to it."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, tree


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("run", [None, "fit.yaml"])
def test_every_preset_parses_with_every_config(preset, run, capsys):
    stacked = [] if run is None else ["--config", f"configs/{run}"]
    config = printed_config(capsys, "fit", *stacked, "--config", preset)
    stored = yaml.safe_load(preset_path(preset).read_text())
    stated = list(leaves(stored))
    assert stated
    for path, value in stated:
        assert at(config, ".".join(path)) == value
    if "target" not in stored["model"]:
        assert config["model"]["target"] == "latents"
    # A method's preset is laid over a backbone's, by default the embedded one.
    backbone = stored["model"].get("backbone", {"init_args": {"name": "sprites-rope"}})
    assert config["model"]["backbone"]["init_args"]["name"] == backbone["init_args"]["name"]


def test_predict_config_parses(capsys):
    assert printed_config(capsys, "predict", "--config", "configs/predict.yaml")["trainer"]


def test_without_a_preset_the_default_is_taken(capsys):
    config = printed_config(capsys, "fit")
    assert config["model"]["backbone"]["init_args"]["name"] == "sprites-rope"


VALUES = {
    "--mask": "mask.png", "--confidence": True,
    "--video": "ref.mp4", "--start-frame": 3, "--num-frames": 9, "--stride": 2, "--height": 48,
    "--width": 80, "--fps": 12.0, "--embedding": "m.safetensors", "--prompt": ["a b"],
    "--prompts": ["a b", "c"], "--prompts-file": "p.txt", "--seeds": [1, 2], "--seed": 5,
    "--backbone": "sprites-sincos", "--dtype": "bfloat16", "--device": "cpu",
    "--offload": "group", "--target": "positions", "--parameterization": "values", "--block": 2,
    "--learning-rate": 0.5, "--steps": 7, "--guidance-scale": 4.5, "--negative-prompt": "n",
    "--injection": False, "--resume": "last.ckpt", "--output": "out",
}  # fmt: skip


def at(config, name):
    value = config
    for part in name.removeprefix("--").split("."):
        value = value["init_args"] if part not in value and "init_args" in value else value
        value = value[part]
    return value


@pytest.mark.parametrize("short", SHORT)
def test_short_long_and_config_file_forms_agree(short, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    full, value = SHORT[short], VALUES[short]
    words = [str(v) for v in value] if isinstance(value, list) else [str(value)]
    with_short = printed_config(capsys, "fit", short, *words)
    long_value = json.dumps(value) if isinstance(value, list) else str(value)
    with_long = printed_config(capsys, "fit", full, long_value)
    nested = value
    for part in reversed(full.removeprefix("--").split(".")):
        nested = {part: nested}
    if short in ("--backbone", "--dtype", "--device", "--offload"):
        inner = {full.rsplit(".", 1)[1]: value}
        loader = {"class_path": "ditflow.load_backbone", "init_args": inner}
        nested = {"model": {"backbone": loader}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(nested))
    with_file = printed_config(capsys, "fit", "--config", "sprites-rope", "--config", "mine.yaml")
    for config in (with_short, with_long, with_file):
        assert at(config, full) == value


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


def fails(capsys, *args) -> str:
    """Run a command that must fail; returns the one line it says."""
    assert main(list(args)) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    errors = [line for line in lines if line.startswith("ditflow: error: ")]
    assert len(errors) == 1
    assert "Traceback" not in captured.err
    return errors[0]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--config", "sprites-bent"], "config=sprites-bent"),
        (["--block", "8"], "block=8"),
        (["--height", "60"], "height=60"),
        (["--learning-rate", "-1"], "learning_rate=-1"),
        (["--model.learning_rates.latents", "[-1, 1]"], "latents=-1"),
        (["--start-frame", "99"], "start_frame=99"),
        (["--stride", "0"], "stride=0"),
        (["--backbone", "nobody/nothing"], "nobody/nothing"),
        (["--target", "weights"], "target"),
        (["--model.tagret", "latents"], "tagret"),
        (["--prompts"], "prompts is empty"),
        (["--offload", "model"], "offload=model"),
        (["--dtype", "float16"], "dtype=float16"),
        (["--output", "/dev/null/out"], "output=/dev/null/out"),
        (["--device", "gpu"], "device=gpu"),
        (["--kv_injection.block", "8"], "kv_injection.block=8"),
        (["--kv_injection.share", "0"], "kv_injection.share=0"),
        (["--num-frames", "4"], "num_frames=4"),
        (["--resume", "nowhere"], "resume=nowhere"),
        (["--seeds", "1"], "--seeds is for predict"),
        (["--embedding", "motion.safetensors"], "--embedding is for predict"),
        (["--mask", "nowhere.png"], "mask=nowhere.png does not exist"),
        (["--mask", "README.md"], "mask=README.md has no readable video stream"),
        (["--fps", "1200"], "fps=1200.0 must be at least 0.01 and at most 1000"),
        (["--prompts", "x" * 10_001], "prompts=('xxx"),
        (["--trainer.max_time", "00:00:10:00"], "trainer.max_time=00:00:10:00 would set"),
        (["--trainer.max_steps", "1"], "trainer.max_steps=1 would set"),
        (["--trainer.limit_train_batches", "0"], "trainer.limit_train_batches=0"),
        (["--steps", "1001"], "num_inference_steps=1001 is more than the 1000"),
        (["--seed", str(10**20)], f"seed={10**20} must be"),
        (["--device", "meta"], "device=meta"),
        (["--device", "cuda:99"], "device=cuda:99 is not available"),
        (["--trainer.accelerator", "tpu"], "trainer.accelerator=tpu, trainer.devices=1: no such"),
        (["--trainer.devices", "-2"], "trainer.devices=-2: no such trainer can be had"),
        (["--config", "smm", "--mask", "docs/demo.png"], "SpatialMarginalMean"),
        (["--config", "moft", "--confidence", "true"], "confidence"),
    ],
)
def test_bad_options_of_fit(args, expected, reference_video, tmp_path, capsys):
    given = ["--video", str(reference_video), "--output", str(tmp_path / "out")]
    if "--prompts" not in args:
        given += ["--prompt", PROMPT]
    assert expected in fails(capsys, "fit", *given, *QUICK, *args)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["missing", "empty", "audio", "text", "not given"])
def test_bad_video(kind, tmp_path, capsys):
    path = tmp_path / "ref.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "audio":
        write_audio(path)
    elif kind == "text":
        path.write_text("no video")
    video = [] if kind == "not given" else ["--video", str(path)]
    out = tmp_path / "out"
    assert "video" in fails(capsys, "fit", *video, "--prompt", PROMPT, "--output", str(out))
    assert not out.exists()


@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign", "pickle", "later format"])
@pytest.mark.parametrize("command", ["predict", "inspect"])
def test_bad_embedding(kind, command, fitted, tmp_path, capsys):
    path = tmp_path / "motion.safetensors"
    whole = (fitted / "motion.safetensors").read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "foreign":
        save_file({"weight": torch.zeros(2)}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"positions": [1, 2]}))
    elif kind == "later format":
        save_file({"x": torch.zeros(1)}, path, metadata={"ditflow": '{"format_version": 99}'})
    out = tmp_path / "out"
    args = [str(path)]
    if command == "predict":
        args = ["--embedding", str(path), "--prompts", PROMPT, "--output", str(out)]
    assert "embedding=" in fails(capsys, command, *args)
    assert not out.exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": {"class_path": "os.system", "init_args": {"command": "touch hacked"}}},
        {"objective": "os.system"},
        {"backbone": {"class_path": "os.system", "init_args": {"command": "touch hacked"}}},
        {"backbone": {"class_path": "ditflow.load_backbone", "init_args": {"name": {"a": 1}}}},
        ["a list"],
    ],
)
def test_an_embedding_cannot_name_code(settings, fitted, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    embedding = MotionEmbedding.load(fitted / "motion.safetensors")
    changed = settings
    if isinstance(settings, dict):
        changed = embedding.header.model | settings
    path = tmp_path / "motion.safetensors"
    MotionEmbedding(replace(embedding.header, model=changed), embedding.tensors).save(path)
    for command in ("predict", "inspect"):
        args = [str(path)]
        if command == "predict":
            args = ["--embedding", str(path), "--prompts", PROMPT, "--output", "out"]
        assert "could run code" in fails(capsys, command, *args)
    assert {entry.name for entry in tmp_path.iterdir()} == {"motion.safetensors"}


def test_embedding_for_another_backbone_names_both(fitted, tmp_path, capsys):
    line = fails(
        capsys,
        *("predict", "--config", "sprites-sincos", "--prompts", PROMPT),
        *("--embedding", str(fitted / "motion.safetensors"), "--output", str(tmp_path / "out")),
    )
    assert "sprites-rope" in line
    assert "sprites-sincos" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--height", "48"], "--height is part of what was fitted"),
        (["--mask", "mask.png"], "--mask is part of what was fitted"),
        (["--target", "latents"], "--target is part of what was fitted"),
        (["--model.learning_rates.latents", "[1, 1]"], "part of what was fitted"),
        (["--model.gradient_reuse", "3"], "part of what was fitted"),
        (["--resume", "run"], "--resume is for fit"),
        (["--steps", "7"], "num_inference_steps=6"),
        (["--steps", "1001"], "num_inference_steps=1001 is more than the 1000"),
        (["--seeds", "1", str(10**20)], f"seeds={10**20} must be"),
        (["--trainer.limit_predict_batches", "1"], "trainer.limit_predict_batches=1"),
        (["--kv_injection.block", "9"], "kv_injection.block=9"),
    ],
)
def test_bad_options_of_predict(args, expected, fitted, tmp_path, capsys):
    given = ["--embedding", str(fitted / "motion.safetensors"), "--prompts", PROMPT]
    given += ["--output", str(tmp_path / "out")]
    assert expected in fails(capsys, "predict", *given, *args)
    assert not (tmp_path / "out").exists()


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
    name = "a-fox-seed3.mp4"
    a, b = (read_video(tmp_path / folder / name) for folder in ("a", "b"))
    assert (a == b).all()
    assert iio.immeta(tmp_path / "a" / name)["fps"] == 12


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], None),
        (["--prompt", "a pink cross on a teal background"], "prompts"),
        (["--model.optimization_steps", "2"], "optimization_steps=1"),
        (["--target", "latents"], "target=positions"),
        (["--steps", "8"], "guided_steps=2"),
        (
            ["--model.objective.init_args.temperature", "3"],
            "objective.temperature=4.0, this run has 3",
        ),
        (["--injection", "false"], "kv_injection.enabled=True"),
        (["--confidence", "true"], "objective.confidence=False, this run has True"),
        (["--mask", "REFERENCE"], "mask=None, this run has"),
    ],
)
def test_resume_takes_the_same_run_only(args, expected, fitted, reference_video, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["fit", "--video", str(reference_video), "--prompt", PROMPT, *QUICK]
    args = [str(reference_video) if arg == "REFERENCE" else arg for arg in args]  # any mask
    given += ["--target", "positions", "--resume", str(fitted), "--output", str(out), *args]
    if expected is None:
        assert main(given) == 0
        assert (read_video(out / "video.mp4") == read_video(fitted / "video.mp4")).all()
    else:
        assert expected in fails(capsys, *given)
        assert not out.exists()


@pytest.mark.parametrize("kind", ["truncated", "pickle", "foreign", "tensor", "no settings"])
def test_bad_checkpoint(kind, fitted, reference_video, tmp_path, capsys):
    path = tmp_path / "last.ckpt"
    whole = (fitted / "checkpoints" / "last.ckpt").read_bytes()
    if kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"run": Path("x")}))
    else:
        content = {"foreign": {"state_dict": {}}, "tensor": torch.zeros(3)}
        torch.save(content.get(kind, {"run": [1, 2]}), path)
    given = ["fit", "--video", str(reference_video), "--prompt", PROMPT, *QUICK]
    line = fails(capsys, *given, "--resume", str(path), "--output", str(tmp_path / "out"))
    assert "not a whole checkpoint" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("args", [["dance"], ["inspect"], ["inspect", "a", "b"]])
def test_bad_commands(args, capsys):
    assert fails(capsys, *args)


def test_prompts_with_nothing_in_them(fitted, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("\n\n")
    line = fails(
        capsys,
        *("predict", "--embedding", str(fitted / "motion.safetensors")),
        *("--prompts-file", str(tmp_path / "empty.txt")),
    )
    assert "prompts is empty" in line


def test_expand_leaves_other_options_alone():
    args = ["fit", "--config", "sprites-rope", "--trainer.devices", "1", "--video=a.mp4"]
    assert expand(args)[2:] == [str(preset_path("sprites-rope")), *args[3:5], "--data.video=a.mp4"]


def test_prompts_end_at_the_next_option():
    args = ["fit", "--prompts", "a red ring", "-cross-", "-c", "sprites-sincos"]
    expanded = expand(args)
    assert expanded[-2:] == ["-c", str(preset_path("sprites-sincos"))]
    assert expanded[-3] == '--data.prompts=["a red ring", "-cross-"]'


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
