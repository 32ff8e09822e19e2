"""`ditflow.fit` and `ditflow.predict`: what the commands do, and nothing else happens."""

import doctest
import logging
import os
import random
import signal
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning import Callback
from PIL import Image

import ditflow
from ditflow.assembly import calls
from ditflow.assembly.calls import _write_config
from ditflow.assembly.run import Run, undisturbed, unguided
from ditflow.backbones import Backbone
from ditflow.cli import main
from ditflow.errors import DitflowError
from ditflow.pages.run import write_run_page
from ditflow.reference import read_reference
from ditflow.settings.keywords import as_settings, keywords
from ditflow.settings.options import DEFAULT_PRESET, SHORT
from ditflow.settings.stacked import read_settings
from ditflow.video.reading import FrameRange, read_video
from ditflow.video.sizing import as_tensor
from ditflow.video.writing import write_video

PROMPT, OTHER = "a blue square on a white background", "a pink cross on a teal background"
FEW = {"steps": 4, "optimization_steps": 2, "block": 2, "num_frames": 9, "seed": 3}
COMMAND = ["--steps", "4", "--model.optimization_steps", "2", "--block", "2", "--num-frames", "9"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("assembly") / "fit"


@pytest.fixture(scope="module")
def fitted(reference_video, rope, folder) -> ditflow.Fit:
    """A fit with an output."""
    return ditflow.fit(
        reference_video, PROMPT, target="positions", output=folder, backbone=rope, **FEW
    )


def same(ours: ditflow.MotionEmbedding, other: ditflow.MotionEmbedding) -> bool:
    return set(ours.tensors) == set(other.tensors) and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in ours.tensors.items()
    )


def state(backbone) -> dict[str, object]:
    """What a library call has no business to change."""
    transformer = backbone.pipeline.transformer
    return {
        "warnings": list(warnings.filters),
        "levels": {
            name: logging.getLogger(name).level
            for name in ("", "ditflow", "lightning.pytorch", "diffusers", "transformers")
        },
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),
        "python": random.getstate(),
        "gradients": torch.is_grad_enabled(),
        "interrupt": signal.getsignal(signal.SIGINT),
        "environment": dict(os.environ),
        "folder": sorted(Path().iterdir()),
        "processors": [type(block.attn1.processor) for block in transformer.transformer_blocks],
        "trained": [weight.requires_grad for weight in transformer.parameters()],
        "hooks": [len(module._forward_hooks) for module in transformer.modules()],
        "weights": sum(float(weight.sum()) for weight in transformer.parameters()),
        "mode": [module.training for module in transformer.modules()],
        "fingerprint": backbone.fingerprint(),
    }


def test_a_fit_is_the_commands_to_the_bit(fitted, folder, reference_video, tmp_path):
    given = ["--video", str(reference_video), "--prompt", PROMPT, "--seed", "3", *COMMAND]
    out = tmp_path / "command"
    assert main(["fit", *given, "--target", "positions", "--output", str(out)]) == 0
    made = ditflow.MotionEmbedding.load(out / "motion.safetensors")
    assert made.header == fitted.embedding.header
    assert same(made, fitted.embedding)
    for name in ("motion.safetensors", "video.mp4", "reference.mp4", "comparison.mp4"):
        assert (folder / name).read_bytes() == (out / name).read_bytes(), name
    only = {"index.html", "commands.txt", "progress.json"}
    assert {path.name for path in out.iterdir()} - only == {path.name for path in folder.iterdir()}
    own, other = (yaml.safe_load((path / "config.yaml").read_text()) for path in (folder, out))
    assert own == {section: other[section] for section in ("model", "kv_injection", "data")}
    assert fitted.videos[0].shape == fitted.reference.shape == (9, 3, 64, 64)
    assert len(fitted.losses) == 2
    assert fitted.losses[1] < fitted.losses[0]
    assert PROMPT in write_run_page(folder).read_text(encoding="utf-8")


def test_a_predict_is_the_commands_to_the_bit(fitted, folder, rope, tmp_path):
    given = ["--embedding", str(folder), "--prompts", OTHER, "--seeds", "3", "4"]
    assert main(["predict", *given, "--output", str(tmp_path / "command")]) == 0
    videos = ditflow.predict(
        fitted.embedding, OTHER, seeds=[3, 4], backbone=rope, output=tmp_path / "ours"
    )
    assert not any(video.is_inference() for video in videos)
    names = sorted(path.name for path in (tmp_path / "command").glob("*-seed*"))
    assert len(names) == 4
    for name in names:
        own, other = (tmp_path / maker / name for maker in ("ours", "command"))
        assert own.read_bytes() == other.read_bytes(), name
    write_video(videos[1], tmp_path / "second.mp4")
    second = next((tmp_path / "ours").glob("*-seed4.mp4"))
    assert second.read_bytes() == (tmp_path / "second.mp4").read_bytes()
    with pytest.raises(DitflowError, match="holds the results of an earlier run"):
        ditflow.predict(folder, OTHER, seeds=4, backbone=rope, output=tmp_path / "ours")
    page = write_run_page(tmp_path / "ours").read_text(encoding="utf-8")
    assert "ditflow predict" in page
    assert "ditflow fit" not in page


def test_by_default_a_predict_is_the_fit_again(fitted, folder):
    [video] = ditflow.predict(folder / "motion.safetensors", progress=False)
    assert torch.equal(video, fitted.videos[0])


def test_an_earlier_fit_is_not_written_over(fitted, folder, reference_video, rope):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(DitflowError, match="holds the results of an earlier run"):
        ditflow.fit(reference_video, PROMPT, output=folder, backbone=rope)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("as_command", [False, True])
def test_a_fit_that_ended_meanwhile_is_not_written_over(
    as_command, reference_video, rope, tmp_path, monkeypatch, capsys
):
    finished = tmp_path / "video.mp4"
    # What comes last before the folder is claimed: the backbone is loaded.
    monkeypatch.setattr(Run, "check_fit", lambda *_: finished.write_text("of another fit"))
    if as_command:
        given = ["--video", str(reference_video), "--prompt", PROMPT, "--output", str(tmp_path)]
        assert main(["fit", *given]) == 2
        said = capsys.readouterr().err
    else:
        with pytest.raises(DitflowError) as error:
            ditflow.fit(reference_video, PROMPT, output=tmp_path, backbone=rope)
        said = str(error.value)
    assert "holds the results of an earlier run (video.mp4)" in said
    assert ("--resume" in said) == as_command
    assert finished.read_text() == "of another fit"
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]


def test_frames_in_memory_and_nothing_else_changes(
    fitted, reference_video, rope, tmp_path, monkeypatch
):
    here, cache = tmp_path / "here", tmp_path / "cache"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("DITFLOW_CACHE", str(cache))
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    pixels = read_video(reference_video)
    before = state(rope)
    made = ditflow.fit(
        as_tensor(pixels), [PROMPT], target="positions", backbone=rope, progress=False, **FEW
    )
    with pytest.raises(DitflowError, match="learning_rate=1e\\+30"):
        ditflow.fit(pixels, PROMPT, backbone=rope, learning_rate=1e30, progress=False, **FEW)
    assert state(rope) == before
    assert not cache.exists()
    assert same(made.embedding, fitted.embedding)
    assert torch.equal(made.videos[0], fitted.videos[0])
    assert made.embedding.header.reference == "in memory"


def test_frames_and_masks_in_memory_are_read_like_files(reference_video, rope, tmp_path):
    pixels, taken = read_video(reference_video), FrameRange(2, 9, 2)
    covered = np.zeros(pixels.shape[:3], np.float32)
    covered[:, 10:40, :30] = 1
    files = tmp_path / "mask"
    files.mkdir()
    for index, mask in enumerate(covered):
        Image.fromarray((mask * 255).astype(np.uint8)).save(files / f"{index}.png")
    of_files = read_reference(rope, reference_video, files, taken)
    for mask in (covered, torch.from_numpy(covered), covered.astype(bool), covered[0]):
        video = pixels if isinstance(mask, np.ndarray) else as_tensor(pixels)
        given = read_reference(rope, video, mask, taken)
        assert torch.equal(given.frames, of_files.frames)
        assert torch.equal(given.mask, of_files.mask)
        assert given.numbers == of_files.numbers
    with pytest.raises(DitflowError, match="the mask given has 3 frames"):
        read_reference(rope, pixels, covered[:3], taken)
    with pytest.raises(DitflowError, match="beyond the 25 frames of the frames given"):
        read_reference(rope, pixels, None, FrameRange(25))


class Interrupt(Callback):
    def on_train_batch_start(self, *_: object) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_stays_one(reference_video, rope):
    settings = read_settings("sprites-rope", {"model": {"num_inference_steps": 4}})
    given = {"video": reference_video, "prompts": [PROMPT], "num_frames": 9}
    run = Run.of(settings, rope, given)
    before = state(rope)
    with pytest.raises(KeyboardInterrupt):
        run.fit(callbacks=[Interrupt()])
    assert state(rope) == before


def test_an_interrupt_set_by_another_language_hides_no_error(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    with pytest.raises(ValueError, match="the error"), undisturbed(torch.device("cpu")):
        raise ValueError("the error")


def test_a_configuration_names_no_backbone_that_it_would_not_load(rope, tmp_path, monkeypatch):
    def written(*configs: dict[str, object]) -> dict[str, object]:
        settings = read_settings(DEFAULT_PRESET, *configs)
        _write_config(tmp_path, settings, Run.of(settings, rope, {"prompts": [PROMPT]}))
        read_settings(str(tmp_path / "config.yaml"))
        return yaml.safe_load((tmp_path / "config.yaml").read_text())["model"]

    assert written()["backbone"]["init_args"] == rope.recorded_options
    own = {"class_path": "tests.test_assembly.own_loader", "init_args": {"size": 3}}
    assert written({"model": {"backbone": own}})["backbone"] == own
    monkeypatch.setattr(rope, "options", {"attention": "auto"})
    assert written({"model": {"backbone": own}})["backbone"] == own
    assert "backbone" not in written()


def own_loader(size: int = 2) -> Backbone:
    raise NotImplementedError(size)


def test_the_examples_are_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(calls)
    assert results.attempted > 8
    assert results.failed == 0
    assert not list(tmp_path.iterdir())


def test_an_unguided_video_is_the_stock_pipelines(rope):
    module = read_settings("sprites-rope", {"model": {"num_inference_steps": 2}}).module(rope)
    pipeline = rope.pipeline
    stock = pipeline(
        PROMPT,
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(5),
        max_sequence_length=pipeline.transformer.config.max_text_seq_length,
        output_type="pt",
    ).frames[0]
    assert torch.equal(unguided(module, PROMPT, 5), stock)


def test_options_are_the_command_lines(rope):
    names = keywords()
    for short, full in SHORT.items():
        name = short.removeprefix("--").replace("-", "_")
        if full.startswith(("--model", "--data", "--kv_injection")):
            assert names[name] == full.removeprefix("--")
    assert as_settings(
        "fit", {"steps": 9, "injection": False, "confidence": True, "mask": None}
    ) == {
        "model": {"num_inference_steps": 9, "objective": {"init_args": {"confidence": True}}},
        "kv_injection": {"enabled": False},
    }
    assert as_settings("fit", {"dtype": "bfloat16"}) == {
        "model": {"backbone": {"init_args": {"dtype": "bfloat16"}}}
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"guidence_scale": 3},
            "guidence_scale is no option of ditflow.fit; did you mean guidance",
        ),
        ({"seeds": [1]}, "seeds is for predict; use seed."),
        ({"steps": "many"}, 'Parser key "model.num_inference_steps"'),
        ({"objective": object()}, "objective is a object, which no configuration can hold"),
        ({"dtype": "float16"}, "dtype is of loading, and the backbone given is loaded"),
        ({"block": 99}, "block=99 is out of range"),
        ({"prompts": [3]}, "prompts=3 must be text"),
        ({"prompts": " "}, "prompts is empty"),
        ({"config": "nosuch"}, "config=nosuch is neither a file nor a preset"),
        ({"config": [3]}, "config=3 is neither a preset nor settings by name"),
        ({"video": "nosuch.mp4"}, "video=nosuch.mp4 does not exist"),
        ({"video": torch.rand(9, 64, 64, 3)}, "give a tensor \\[T, 3, height, width\\]"),
        ({"video": torch.rand(9, 3, 64, 64) * 255}, "give a tensor \\[T, 3, height, width\\]"),
        ({"video": np.zeros((9, 64, 64, 3))}, "is of float64 is no video"),
        ({"video": torch.rand(1, 3, 64, 64)}, "motion needs at least 2"),
        ({"video": 5}, "a int is no video"),
        ({"mask": torch.zeros(9, 64, 64)}, "mask=the mask given leaves nothing"),
        ({"mask": torch.zeros(9, 64, 64, 3)}, "is no mask"),
        ({"mask": "nosuch.png"}, "mask=nosuch.png does not exist"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_one_line(change, expected, rope, tmp_path):
    given = {"video": torch.rand(9, 3, 64, 64), "prompts": PROMPT, "backbone": rope} | change
    with pytest.raises(DitflowError, match=expected) as error:
        ditflow.fit(**given, output=tmp_path / "out", progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"target": "latents"}, "target is part of what was fitted"),
        ({"confidence": True}, "confidence is part of what was fitted"),
        ({"seed": 1}, "seed is the fit's; use seeds."),
        ({"steps": 5}, "this run has 5"),
        ({"embedding": "nosuch"}, "embedding=nosuch does not exist"),
        ({"seeds": [2**70]}, "seeds=1180591620717411303424 must be"),
    ],
)
def test_what_cannot_be_predicted_is_said_in_one_line(change, expected, fitted, rope, tmp_path):
    given = {"embedding": fitted.embedding, "prompts": OTHER, "backbone": rope} | change
    with pytest.raises(DitflowError, match=expected) as error:
        ditflow.predict(**given, output=tmp_path / "out", progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_another_backbone_needs_its_own_settings(fitted, tiny, reference_video):
    with pytest.raises(DitflowError, match="sprites-rope is not for"):
        ditflow.fit(reference_video, PROMPT, backbone=tiny)
    with pytest.raises(DitflowError, match="was fitted on sprites-rope"):
        ditflow.predict(fitted.embedding, OTHER, backbone=tiny)
    header = fitted.embedding.header
    named = {"class_path": "ditflow.load_backbone", "init_args": {"name": "some/one"}}
    other = replace(header, model=header.model | {"backbone": named})
    embedding = ditflow.MotionEmbedding(other, fitted.embedding.tensors)
    with pytest.raises(DitflowError, match="is no model of ditflow's own presets"):
        ditflow.predict(embedding, OTHER)
