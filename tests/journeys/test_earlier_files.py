"""What version 0.1.0 left is still read: motions, settings, and folders that were half finished.

The files are in tests/data/earlier, with how each was made. Only what users reach is named here:
commands, and what `ditflow` itself offers.
"""

import json
import shlex
import shutil
from itertools import combinations
from pathlib import Path

import lightning
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ditflow
from ditflow.callbacks import KVInjection
from ditflow.cli import main

EARLIER = Path(__file__).parents[1] / "data" / "earlier"
PROMPT, SEED = "a yellow circle on a navy background", 7
"""Of the latents that were kept."""

KINDS = {
    "rope-latents": ("latents", {"latents", "previous_prediction", "reference_latents"}),
    "rope-values": ("positions (values)", {"positions", "reference_latents"}),
    "rope-coordinates": ("positions (coordinates)", {"positions", "reference_latents"}),
    "rope-coordinates-shared": ("positions (coordinates)", {"positions", "reference_latents"}),
    "rope-masked": ("positions (coordinates)", {"positions", "reference_latents"}),
    "rope-published": ("positions (coordinates)", {"positions"}),
    "sincos-latents": ("latents", {"latents", "reference_latents"}),
    "sincos-values": ("positions (values)", {"positions", "reference_latents"}),
    "sincos-coordinates": ("positions (coordinates)", {"positions", "reference_latents"}),
    "sincos-masked": ("latents", {"latents", "reference_latents"}),
}
"""What `inspect` calls each motion's target, and the tensors in it."""


@pytest.fixture(scope="module")
def backbones():
    names = ("sprites-rope", "sprites-sincos")
    return {name: ditflow.load_backbone(name, dtype="float32", device="cpu") for name in names}


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return load_file(EARLIER / "expected.safetensors")


@pytest.fixture
def earlier(tmp_path, monkeypatch) -> Path:
    """A copy of all of it, and the folder that commands are typed in: its paths are relative."""
    folder = tmp_path / "earlier"
    shutil.copytree(EARLIER, folder)
    monkeypatch.chdir(folder)
    return folder


def typed(folder: str) -> list[str]:
    """The command that made a folder, as it keeps it."""
    (line,) = Path(folder, "commands.txt").read_text().splitlines()
    program, *args = shlex.split(line)
    assert program == "ditflow"
    return args


def state(folder: Path, *patterns: str) -> dict[Path, tuple[bytes, int]]:
    """Files with their contents and when they were written."""
    paths = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def values(tree, path=()):
    """Every value of nested mappings with the keys that lead to it."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from values(value, (*path, key))
    else:
        yield path, tree


def latents_of(path: Path, backbones, folder: Path, monkeypatch) -> torch.Tensor:
    """z_0 of another prompt with the motion of an embedding, as `ditflow predict` makes it."""
    header = ditflow.MotionEmbedding.load(path).header
    settings = ditflow.read_settings({"model": header.model, "kv_injection": header.injection})
    backbone = backbones[header.backbone]
    decode, decoded = backbone.decode_video, []

    def recorded(latents, num_frames):
        decoded.append(latents.clone())
        return decode(latents, num_frames)

    monkeypatch.setattr(backbone, "decode_video", recorded)
    trainer = lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[KVInjection(**settings.injection)],
    )
    module = ditflow.MotionTransfer(backbone, **settings.model)
    data = ditflow.MotionDataModule(embedding=path, prompts=[PROMPT], seeds=[SEED])
    (video,) = trainer.predict(module, data)
    assert video.shape == (header.num_frames, 3, header.height, header.width)
    (latents,) = decoded
    return latents


# -- motions ---------------------------------------------------------------------------------------


def test_every_kind_is_there(expected):
    names = {path.stem for path in (EARLIER / "embeddings").iterdir()}
    assert names == set(KINDS) == set(expected)
    # A motion that was not heeded, or not all of it, would give those of another.
    for one, other in combinations(expected, 2):
        if expected[one].shape == expected[other].shape:
            assert (expected[one] - expected[other]).abs().max() > 0.01, (one, other)


@pytest.mark.parametrize("name", KINDS)
def test_a_motion_is_read_and_shown(name, capsys):
    path = EARLIER / "embeddings" / f"{name}.safetensors"
    embedding = ditflow.MotionEmbedding.load(path)
    target, tensors = KINDS[name]
    assert set(embedding.tensors) == tensors
    header = embedding.header
    assert header.ditflow_version == "0.1.0"
    assert header.target == target.split()[0]
    assert header.masked == (name in ("rope-masked", "rope-published", "sincos-masked"))
    assert header.confidence == (name == "sincos-masked")
    separate = name in ("rope-values", "rope-coordinates", "rope-masked", "rope-published")
    assert embedding.separate_query_key == separate
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    stored = embedding.tensors[header.target].shape
    shown = ("ditflow 0.1.0", header.backbone, target, " x ".join(map(str, stored)))
    for part in (*shown, *header.prompts, "mask.mp4" * (name in ("rope-masked", "sincos-masked"))):
        assert part in out


@pytest.mark.parametrize("name", KINDS)
def test_a_motion_moves_another_prompt_as_it_did(name, backbones, expected, tmp_path, monkeypatch):
    path = EARLIER / "embeddings" / f"{name}.safetensors"
    latents = latents_of(path, backbones, tmp_path, monkeypatch)
    torch.testing.assert_close(latents, expected[name], rtol=0, atol=1e-4)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("fit", "masked.yaml"),
        ("fit", "stopped/latents/config.yaml"),
        ("fit", "stopped/positions/config.yaml"),
        ("fit", "sprites-rope.yaml"),
        ("predict", "predict/config.yaml"),
    ],
)
def test_a_configuration_says_what_it_said(command, name, capsys):
    stored = yaml.safe_load((EARLIER / name).read_text())
    with pytest.raises(SystemExit) as exited:
        main([command, "--config", str(EARLIER / name), "--print_config"])
    assert exited.value.code == 0
    printed = dict(values(yaml.safe_load(capsys.readouterr().out)))
    assert {path: printed.get(path) for path, _ in values(stored)} == dict(values(stored))


def test_a_fits_configuration_is_taken_in_python(backbones):
    settings = ditflow.read_settings(str(EARLIER / "masked.yaml"))
    assert settings.backbone["name"] == "sprites-rope"
    module = settings.module(backbones["sprites-rope"])
    assert (module.target, module.parameterization, module.block) == ("positions", "coordinates", 6)
    assert settings.data["mask"] is not None
    assert settings.injection == {"enabled": True, "block": 5, "share": 0.08}


# -- folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "finished"), [("latents", 2), ("positions", 1)])
def test_a_stopped_fit_goes_on(name, finished, earlier):
    folder = f"stopped/{name}"
    path = earlier / folder / "motion.safetensors"
    assert ditflow.MotionEmbedding.load(path).header.guided_steps == finished
    # By the command that was typed, and by what the folder keeps of the settings.
    given = typed(folder) if name == "latents" else ["fit", "--config", f"{folder}/config.yaml"]
    assert main([*given, "--resume", folder]) == 0
    made = ditflow.MotionEmbedding.load(path)
    whole = ditflow.MotionEmbedding.load(earlier / "stopped" / f"{name}-whole.safetensors")
    for field in ("guided_steps", "timesteps", "fingerprint", "prompts", "reference_sha256"):
        assert getattr(made.header, field) == getattr(whole.header, field)
    assert set(made.tensors) == set(whole.tensors)
    for tensor, values_of_whole in whole.tensors.items():
        torch.testing.assert_close(made.tensors[tensor], values_of_whole, rtol=0, atol=1e-4)
    assert (earlier / folder / "video.mp4").exists()
    events = EventAccumulator(str(earlier / folder / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("loss")) == 5 * (3 - finished)  # no guided step is made again


def test_a_benchmark_goes_on_and_leaves_what_is_there(earlier):
    folder = earlier / "benchmark"
    before = state(folder, "results/**/*", "references/*")
    names = {path.name for path in before}
    assert names == {f"caption-seed0.{end}" for end in ("json", "mp4", "png")} | {"clip-900001.mp4"}
    assert main(typed("benchmark")) == 0
    after = state(folder, "results/**/*", "references/*")
    assert {path: after[path] for path in before} == before
    results = [json.loads(path.read_text()) for path in after if path.suffix == ".json"]
    assert sorted((made["method"], made["category"]) for made in results) == [
        ("latents", "caption"),
        ("latents", "scene"),
        ("unguided", "caption"),
        ("unguided", "scene"),
    ]
    assert all("error" not in made and 0 < made["scores"]["mf"] <= 1 for made in results)
    # Measured alike, but for the look, which was not asked for then.
    assert len({tuple(name for name in made["scores"] if name != "look") for made in results}) == 1
    assert all(("look" in made["scores"]) == (made["category"] == "scene") for made in results)
    table = (folder / "table.md").read_text()
    assert "latents" in table
    assert "unguided" in table
    assert "look of the reference, scene" in table


@pytest.mark.parametrize("by", ["command", "configuration"])
def test_a_predict_makes_nothing_again(by, earlier):
    before = state(earlier / "predict", "*.mp4", "*-seed*.json")
    assert len(before) == 6  # two videos with their records, the reference, the comparison
    given = typed("predict") if by == "command" else ["predict", "--config", "predict/config.yaml"]
    assert main(given) == 0
    assert state(earlier / "predict", "*.mp4", "*-seed*.json") == before


@pytest.mark.parametrize("folder", ["stopped/latents", "stopped/positions", "predict", "benchmark"])
def test_a_folder_gets_a_page(folder, earlier):
    assert main(["page", folder]) == 0
    assert (earlier / folder / "index.html").stat().st_size > 1000
