"""The page of a fit or a predict: what it shows of what is there, and that names stay text."""

import base64
import functools
import hashlib
import json
import shlex
import struct
import tempfile
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch.utils.tensorboard import SummaryWriter

from ditflow import DitflowError
from ditflow.backbones.cogvideox.adapter import CogVideoXBackbone
from ditflow.cli import main
from ditflow.pages.run import flatten_settings, write_page_if_possible, write_run_page
from ditflow.pages.templating import link, render, sources
from ditflow.runs.history import read_commands, record_command
from ditflow.video.writing import write_video
from tests.embedding.test_header import HEADER, TENSORS
from tests.pages.parsing import Page

HOSTILE = """</script><script>alert(1)</script> it's "quoted" & more"""


@functools.cache
def encoded(frames: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(torch.rand(frames, 3, 16, 16), path)
        return path.read_bytes()


def video(path: Path, frames: int = 9) -> Path:
    """A video whose bytes are no other's; encoding each anew would take most of the tests' time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = hashlib.sha256(str(path).encode()).digest()
    ignored = struct.pack(">I4s", 8 + len(own), b"free") + own  # a box that players skip
    path.write_bytes(encoded(frames) + ignored)
    return path


def events(folder: Path, losses: dict[int, tuple[int, float]], flows: dict[int, float]) -> None:
    """Losses by Lightning's step, each with its guided step, and flows by guided step."""
    with SummaryWriter(folder / "tensorboard") as writer:
        for step, (epoch, loss) in losses.items():
            writer.add_scalar("loss", loss, step)
            writer.add_scalar("epoch", epoch, step)
        for epoch, shade in flows.items():
            writer.add_image("flow/generation", torch.full((3, 4, 4), shade), epoch)
            writer.add_image("flow/reference", torch.ones(3, 4, 4), 0)


def fit_folder(folder: Path, **data) -> Path:
    """As a fit leaves it, but for the embedding."""
    video(folder / "reference.mp4")
    video(folder / "video.mp4")
    config = {
        "trainer": {"devices": 1},
        "model": {
            "backbone": {"class_path": "ditflow.load_backbone", "init_args": {"name": "b"}},
            "target": "latents",
        },
        "data": {"video": "ref.mp4", "prompts": ["a red ring"], **data},
        "kv_injection": {"enabled": True},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def predict_folder(folder: Path, prompts: list[str]) -> Path:
    fit_folder(folder, embedding="fit/motion.safetensors", prompts=prompts)
    (folder / "video.mp4").unlink()
    for index, prompt in enumerate(prompts):
        path = video(folder / f"prompt-{index}-seed3.mp4")
        path.with_suffix(".json").write_text(json.dumps({"prompt": prompt, "seed": 3}))
    return folder


def test_a_fits_page_holds_videos_losses_flows_and_settings(tmp_path):
    folder = fit_folder(tmp_path / "run")
    events(folder, {0: (0, 2.0), 1: (0, 1.5), 2: (1, 1.25)}, {0: 0.2, 1: 0.8})
    page = Page(write_run_page(folder))
    shown = [video["src"] for video in page.all("video")]
    content = [base64.b64decode(source.removeprefix("data:video/mp4;base64,")) for source in shown]
    assert content == [(folder / f"{name}.mp4").read_bytes() for name in ("reference", "video")]
    assert page.text.index("reference") < page.text.index("a red ring")
    assert len(page.all("circle")) == 3
    assert "guided steps 1 to 2: from 2 to 1.25" in page.text
    assert "guided step 2: 1.25" in page.text
    pictures = [image["src"] for image in page.all("img")]
    assert len(pictures) == 4  # of the reference, the last step, and both steps
    assert pictures[1] == pictures[3] != pictures[2]
    assert "backbone.name" in page.text
    assert "kv_injection" in page.text


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    folder = fit_folder(tmp_path)
    page = Page(write_run_page(folder))
    for address in page.addresses():
        assert address.startswith("data:") or (folder / unquote(address)).exists()
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_a_resumed_fit_has_both_parts_of_its_losses(tmp_path):
    folder = fit_folder(tmp_path)
    events(folder, {0: (0, 2.0), 1: (0, 1.5), 2: (1, 1.2)}, {0: 0.2, 1: 0.8})
    # It was stopped within the second guided step, which is begun anew.
    events(folder, {2: (1, 1.3), 3: (1, 1.1)}, {1: 0.4})
    page = Page(write_run_page(folder))
    assert len(page.all("polyline")) == 2
    assert "First run, guided steps 1 to 2: from 2 to 1.2" in page.text
    assert "Resumed (dashed), guided steps 2 to 2: from 1.3 to 1.1" in page.text
    assert len([i for i in page.all("img") if i.get("class") == "small"]) == 2


def test_a_predicts_page_has_every_prompt_as_text(tmp_path):
    folder = predict_folder(tmp_path / 'a <b> "x" #1', [HOSTILE, "a pink cross"])
    record_command(folder, ["predict", "--prompts", HOSTILE])
    page = Page(write_run_page(folder))
    assert HOSTILE in page.text
    assert 'a <b> "x" #1' in page.text
    assert "alert" not in page.code
    assert [video["aria-label"] for video in page.all("video")] == [
        *("reference", HOSTILE, "a pink cross")
    ]
    assert not page.all("b")
    assert "Loss" not in page.text


def test_a_backbone_of_ones_own_is_named_with_its_code(tmp_path, capsys):
    """For an embedding names none, and a predict needs it again."""
    folder = fit_folder(tmp_path / "fit")
    save_file(TENSORS, folder / "motion.safetensors", {"ditflow": json.dumps(asdict(HEADER))})
    config = yaml.safe_load((folder / "config.yaml").read_text())
    own = "tests.pages.test_run.load_own"
    config["model"]["backbone"] = {"class_path": own, "init_args": {"name": "it's"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    text = Page(write_run_page(folder)).text
    (line,) = [line for line in text.splitlines() if "ditflow predict" in line]
    _, *command = shlex.split(line[line.index("ditflow predict") :])
    with pytest.raises(SystemExit):
        main([*command, "--print_config"])
    backbone = yaml.safe_load(capsys.readouterr().out)["model"]["backbone"]
    assert backbone == config["model"]["backbone"]


def load_own(name: str) -> CogVideoXBackbone:
    """A loader of the user's own, as far as a parser looks at it."""
    raise NotImplementedError


def test_a_run_without_log_videos_or_commands_has_a_page(tmp_path):
    folder = fit_folder(tmp_path)
    for path in folder.glob("*.mp4"):
        path.unlink()
    page = Page(write_run_page(folder))
    assert "No video is there yet" in page.text
    assert "No loss was logged" in page.text
    assert "were not recorded" in page.text


def test_many_or_large_videos_stay_beside_the_page(tmp_path):
    paths = [video(tmp_path / "a b#1.mp4"), video(tmp_path / "c.mp4")]
    size = sum(path.stat().st_size for path in paths)
    assert set(sources(paths, tmp_path, size - 1).values()) == {"a%20b%231.mp4", "c.mp4"}
    inside = sources(paths, tmp_path, size).values()
    assert all(source.startswith("data:video/mp4;base64,") for source in inside)
    assert link(tmp_path / "javascript:x" / "ä?.mp4", tmp_path) == "javascript%3Ax/%C3%A4%3F.mp4"


def test_settings_are_named_as_on_the_command_line():
    values = {"objective": {"class_path": "a.B", "init_args": {"temperature": 2.0}}, "empty": ""}
    assert dict(flatten_settings(values)) == {
        "objective": "a.B",
        "objective.temperature": "2.0",
        "empty": '""',
    }


def test_commands_are_quoted_and_kept_once(tmp_path):
    record_command(tmp_path, ["fit", "--prompt", "it's a\nring"])
    record_command(tmp_path, ["fit", "--prompt", "x", "--resume", "a b"])
    record_command(tmp_path, ["fit", "--prompt", "it's a\nring"])
    assert read_commands(tmp_path) == (
        "ditflow fit --prompt 'it'\"'\"'s a\nring'\nditflow fit --prompt x --resume 'a b'\n"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "neither config.yaml nor results"),
        ("a: [", "cannot be read as settings"),
        ("- 1", "holds no settings"),
        ("data: 3", "holds no settings"),
    ],
)
def test_other_folders_are_one_line(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    assert main(["page", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "index.html").exists()
    assert main(["page", str(tmp_path / "gone")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_the_command_writes_it_again_and_leaves_the_old_where_it_cannot(tmp_path, capsys):
    folder = fit_folder(tmp_path)
    assert main(["page", str(folder)]) == 0
    before = (folder / "index.html").read_text()
    video(folder / "video-1-a-ring.mp4")
    (folder / "config.yaml").rename(folder / "kept.yaml")
    with pytest.raises(DitflowError):
        write_run_page(folder)
    assert (folder / "index.html").read_text() == before
    (folder / "kept.yaml").rename(folder / "config.yaml")
    assert main(["page", str(folder)]) == 0
    assert len(Page(folder / "index.html").all("video")) == 3


def test_templates_refuse_what_they_are_not_given():
    with pytest.raises(Exception, match="title"):
        render("run.html")


def test_a_page_that_cannot_be_written_is_one_line_and_no_error(tmp_path, caplog):
    folder = fit_folder(tmp_path)
    (folder / "index.html").mkdir()
    write_page_if_possible(write_run_page, folder)
    (said,) = caplog.messages
    assert "could not be written" in said
    assert f"ditflow page {folder}" in said
    assert "\n" not in said
