"""Stacked presets as settings: backbones of one's own, and what other commands' settings say."""

import pytest
import yaml

from ditflow import DitflowError
from ditflow.cli import main
from ditflow.settings.stacked import read_settings

OWN = """
from ditflow import load_backbone

def load(name="sprites-rope", noise=0.5):
    backbone = load_backbone(name, device="cpu")
    backbone.noise = noise
    return backbone
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "loaders_of_my_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = {"class_path": "loaders_of_my_own.load", "init_args": {"noise": 0.25}}
    config = tmp_path / "own.yaml"
    config.write_text(yaml.safe_dump({"model": {"backbone": own}}))
    return str(config)


def test_a_backbone_of_ones_own_is_loaded(own_module):
    settings = read_settings("sprites-rope", own_module)
    assert settings.own_loader
    assert settings.backbone == {"name": "sprites-rope", "noise": 0.25}
    assert settings.load_backbone().noise == 0.25
    assert settings.load_backbone(noise=0.75).noise == 0.75
    with pytest.raises(DitflowError, match="dtype is no option of loaders_of_my_own.load"):
        settings.load_backbone(dtype="bfloat16")


def test_other_commands_take_it_too(own_module, reference_video, tmp_path, capsys):
    given = ["--video", str(reference_video), "--config", own_module, "--num-frames", "9"]
    assert main(["preview", *given, "--output", str(tmp_path / "shown")]) == 0
    assert "sprites-rope" in capsys.readouterr().out
    assert main(["plan", "--config", own_module]) == 0
    assert "Loading sprites-rope, for what it loads is not known before." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ({"class_path": "nowhere.load"}, "class_path=nowhere.load cannot be imported"),
        ({"class_path": "ditflow.__version__"}, "loads nothing"),
        ({"class_path": 3}, "must be a text"),
        ({"name": "sprites-rope"}, "model.backbone.name cannot be set here"),
        ({"init_args": {"bits": 4}}, "not usable"),
    ],
)
def test_what_loads_no_backbone_is_refused(backbone, expected):
    with pytest.raises(DitflowError, match=expected):
        read_settings({"model": {"backbone": backbone}})


def test_a_fits_own_configuration_is_taken(tmp_path):
    """What it says of how the fit ran is of no matter to another command."""
    config = tmp_path / "config.yaml"
    model = {"backbone": {"class_path": "ditflow.load_backbone", "init_args": {"name": "x"}}}
    config.write_text(
        yaml.safe_dump({"trainer": {"devices": 1}, "overwrite": True, "model": model})
    )
    settings = read_settings(str(config))
    assert settings.backbone_name == "x"
    assert not settings.own_loader
    with pytest.raises(DitflowError, match="trainers cannot be set here"):
        read_settings({"trainers": {}})


def test_shipped_files_are_listed_and_printed(capsys):
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert "  cogvideox-5b         CogVideoX-5B with the paper's numbers" in listed
    assert "  sprites-ablation     The paper's Table 2" in listed
    assert main(["presets", "sprites-ablation"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["methods"]["block 0"] == ["ditflow-latents", {"model": {"block": 0}}]
    assert main(["presets", "sprites-nothing"]) == 2
    assert "name=sprites-nothing is not shipped; these are: backbone," in capsys.readouterr().err
