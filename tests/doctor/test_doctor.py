"""`ditflow doctor`: what it finds in a good machine, and in ones with something amiss."""

import json
import shutil
import stat
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from ditflow.cli import main
from ditflow.commands import doctor as command
from ditflow.doctor import backbones, storage
from ditflow.doctor.devices import look_at_devices, works
from ditflow.doctor.finding import Finding
from ditflow.utils.shipped import EMBEDDED


def test_a_machine_on_which_the_embedded_world_runs(capsys, monkeypatch):
    # Plans of the large models take long once, and have a test of their own.
    looks = {name: look for name, look in command.LOOKS.items() if name != "a fit by preset"}
    monkeypatch.setattr(command, "LOOKS", looks)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FAIL" not in out
    for expected in (
        *("ditflow", "torch", "cpu attention", "bfloat16 ok", "mp4 (H.264)", "gif"),
        *("THUDM/CogVideoX-5b", "sprites-rope", "sprites-sincos", "shtab", "ditflow cache"),
    ):
        assert expected in out
    notes = out.split("\nnote")[1:]
    assert notes
    assert all("\n" + " " * 28 + "-> " in note for note in notes)


def test_what_is_amiss_has_a_remedy_and_ends_with_1(capsys, monkeypatch):
    broken = Finding("mp4 (H.264)", "fails: no such codec", "reinstall it", needed=True)
    slow = Finding("gpu", "none", "get one")
    monkeypatch.setattr(command, "LOOKS", {"video files": lambda: iter([slow, broken])})
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  mp4 (H.264)           fails: no such codec\n" in out
    assert " " * 28 + "-> reinstall it\n" in out
    assert "note  gpu" in out
    assert "1 failed" in out


def test_attention_is_tried_in_each_format():
    for dtype in (torch.float32, torch.bfloat16):
        assert works(torch.device("cpu"), dtype) == ""
    assert "fails" in works(torch.device("cpu"), torch.int32)
    names = [finding.name for finding in look_at_devices()]
    assert names[:2] == ["cpu", "cpu attention"]


def test_an_encoder_that_fails_is_seen(tmp_path, monkeypatch):
    assert storage.round_trip(tmp_path / "clip.gif") == ""
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(broken))
    found = {finding.name: finding for finding in storage.look_at_codecs()}
    assert found["ffmpeg"].fatal
    assert found["mp4 (H.264)"].fatal
    assert "\n" not in found["mp4 (H.264)"].said
    assert found["gif"].fatal  # it reads, too


def keep(folder: Path, name: str, *files: str) -> Path:
    """A model as far as huggingface_hub's cache has it, of a transformer in several files."""
    commit = "0" * 40
    repository = folder / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    index = {"_class_name": "P", "transformer": ["diffusers", "T"], "image_encoder": [None, None]}
    parts = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    for file in files:
        path = snapshot / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(parts if file.endswith(".index.json") else index))
    (repository / "blobs").mkdir()
    return repository / "blobs"


def test_models_that_are_kept(tmp_path, monkeypatch):
    whole = ["model_index.json", "transformer/w.index.json", "transformer/1.safetensors"]
    whole += ["transformer/2.safetensors"]
    keep(tmp_path, "THUDM/CogVideoX-5b", *whole)
    keep(tmp_path, "THUDM/CogVideoX-2b", "config.json")  # broken off
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    found = {finding.name: finding for finding in storage.look_at_hub(tmp_path)}
    assert not found["THUDM/CogVideoX-5b"].remedy
    assert "hf download THUDM/CogVideoX-2b" in found["THUDM/CogVideoX-2b"].remedy
    assert "no model_index.json" in found["THUDM/CogVideoX-2b"].said
    assert "hub" not in found
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = {finding.name: finding for finding in storage.look_at_hub(tmp_path / "none" / "yet")}
    assert "HF_HUB_OFFLINE is set" in found["hub"].said
    assert found["THUDM/CogVideoX-5b"].remedy.startswith("unset HF_HUB_OFFLINE, then")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "no transformer"),
        (["transformer/w.index.json", "transformer/1.safetensors"], "no transformer/2.safetensors"),
        (["transformer/w.safetensors"], "1 files are incomplete"),
    ],
)
def test_a_model_whose_download_broke_off(files, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    blobs = keep(tmp_path, "THUDM/CogVideoX-5b", "model_index.json", *files)
    if "incomplete" in expected:
        (blobs / "0123.incomplete").touch()
    found = {finding.name: finding for finding in storage.look_at_hub(tmp_path)}
    assert f"broke off: {expected}" in found["THUDM/CogVideoX-5b"].said
    assert "hf download THUDM/CogVideoX-5b" in found["THUDM/CogVideoX-5b"].remedy


def test_a_cache_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DITFLOW_CACHE", str(tmp_path / "file"))
    *_, finding = storage.look_at_storage()
    assert "DITFLOW_CACHE" in finding.remedy
    assert not finding.fatal
    monkeypatch.setenv("DITFLOW_CACHE", str(tmp_path / "new"))
    *_, finding = storage.look_at_storage()
    assert "0.0 MiB" in finding.said


def test_weights_that_were_cut_off(tmp_path):
    assert backbones.run_embedded("sprites-rope") == ""
    folder = tmp_path / "cut"
    shutil.copytree(EMBEDDED / "sprites-rope", folder)
    weights = next((folder / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:9999])
    assert backbones.run_embedded(str(folder)).startswith("fails: ")


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "fits"), [(2**36, True), (2**20, False)])
def test_presets_fit_or_not(memory, fits, monkeypatch):
    from ditflow.plan.machine import Machine

    monkeypatch.setattr(
        backbones, "this_machine", lambda device: Machine("a machine", memory, False)
    )
    finding = backbones.look_at_preset("sprites-rope")
    assert finding.said.startswith("fits" if fits else "does not fit")
    assert ("ditflow plan --config sprites-rope" in finding.remedy) != fits
