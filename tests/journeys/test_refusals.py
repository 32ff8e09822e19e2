"""What commands say, in one line, when they cannot do what was typed."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ditflow import MotionEmbedding
from ditflow.cli import main
from ditflow.video.reading import read_video
from tests.journeys.conftest import PROMPT, QUICK
from tests.typed import fails
from tests.video.test_video import write_audio


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
        (["--config", "flowmotion", "--mask", "docs/demo.png"], "FlowMotion"),
        (["--config", "flowmotion", "--target", "positions"], "target=positions: FlowMotion"),
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
