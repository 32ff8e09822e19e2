"""Presets, configurations and options as LightningCLI parses them."""

import json

import pytest
import yaml

from ditflow.settings.options import SHORT, expand, preset_path
from ditflow.utils.shipped import shipped_files
from tests.typed import printed_config

PRESETS = sorted(shipped_files("presets"))


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
    "--mask": "mask.png", "--image": "first.png", "--confidence": True,
    "--video": "ref.mp4", "--start-frame": 3, "--num-frames": 9, "--stride": 2, "--height": 48,
    "--width": 80, "--crop": "8,0,64,48", "--fps": 12.0, "--embedding": "m.safetensors",
    "--prompt": ["a b"],
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


def test_expand_leaves_other_options_alone():
    args = ["fit", "--config", "sprites-rope", "--trainer.devices", "1", "--video=a.mp4"]
    assert expand(args)[2:] == [str(preset_path("sprites-rope")), *args[3:5], "--data.video=a.mp4"]


def test_prompts_end_at_the_next_option():
    args = ["fit", "--prompts", "a red ring", "-cross-", "-c", "sprites-sincos"]
    expanded = expand(args)
    assert expanded[-2:] == ["-c", str(preset_path("sprites-sincos"))]
    assert expanded[-3] == '--data.prompts=["a red ring", "-cross-"]'
