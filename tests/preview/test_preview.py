"""`ditflow preview` as a user types it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ditflow.cli import main
from ditflow.reading import read_video
from ditflow.sprites.render import render
from ditflow.video import write_video
from tests.conftest import straight_clip

SHORT = ["--num-frames", "9"]


def shares(text: str) -> dict[str, float]:
    """Percentage of moving patches by row of the printed table."""
    rows = re.findall(r"^(block \d+|plain latents).*?([\d.]+)%", text, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def run(capsys, tmp_path, video: Path | torch.Tensor, *args: str) -> str:
    """What a preview prints."""
    if isinstance(video, torch.Tensor):
        write_video(video, tmp_path / "made.mp4")
        video = tmp_path / "made.mp4"
    assert main(["preview", "--video", str(video), "--output", str(tmp_path / "out"), *args]) == 0
    return capsys.readouterr().out


def test_writes_a_picture_a_video_and_numbers(reference_video, tmp_path, capsys):
    said = run(capsys, tmp_path, reference_video, *SHORT, "--blocks", "6", "2")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"preview.png", "preview.mp4"}
    assert "reference.mp4 on sprites-rope, 9 frames of 64x64, 3 x 8 x 8 tokens" in said
    assert set(shares(said)) == {"block 2", "block 6", "plain latents"}
    assert "block 6 (guided)" in said
    assert 0 < shares(said)["block 6"] < 100
    assert "Warning" not in said
    with Image.open(tmp_path / "out" / "preview.png") as picture:
        assert picture.width > 5 * 256  # reference, two blocks, latents, confidence
        assert picture.height > 3 * 256  # 0 to 1, 1 to 2, 0 to 2
    video = read_video(tmp_path / "out" / "preview.mp4")
    assert len(video) == 9
    assert np.abs(np.diff(video.astype(float), axis=0)).mean() > 0.1


def test_a_mask_leaves_out_the_rest(reference_video, tmp_path, capsys):
    """The sprite is in the upper part: the lower one holds still."""
    mask = np.zeros((64, 64), np.uint8)
    mask[48:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    said = run(
        capsys, tmp_path, reference_video, *SHORT, "--mask", str(tmp_path / "mask.png"),
        *("--blocks", "6", "--config", "sprites-sincos", "ditflow-latents"),
    )  # fmt: skip
    assert "on sprites-sincos" in said
    assert "(in the mask)" in said
    assert "Nothing moves in the mask's part of the reference" in said


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("still", "Warning: Nothing moves in the reference: a fit would hold the video still."),
        ("slow", "Warning: The motion in the reference is too small for the token grid"),
        ("cut", "Warning: The reference seems to change its scene at frame 4 of 9"),
    ],
)
def test_warnings(kind, expected, tmp_path, capsys):
    frames = render([straight_clip(25)])[0]
    video = {
        "still": frames[:1].expand(9, -1, -1, -1),
        "slow": render([straight_clip(200)])[0][:9],
        "cut": torch.cat([frames[:4], 1 - frames[4:9]]),
    }[kind]
    said = run(capsys, tmp_path, video, "--blocks", "6")
    assert expected in said
    assert said.count("Warning") == 1


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--video", "nowhere.mp4"], "video=nowhere.mp4 does not exist"),
        (["--video", "README.md"], "video=README.md has no readable video stream"),
        (["--mask", "nowhere.png"], "mask=nowhere.png does not exist"),
        (["--mask", "docs/demo.png"], "give a mask of the reference's size or proportions"),
        (["--blocks", "3", "8"], "block=8 is out of range"),
        (["--config", "nothing"], "config=nothing"),
        (["--config", "sprites-rope", "smm"], "SpatialMarginalMean has no motion flow"),
        (["--height", "60"], "height=60"),
        (["--stride", "0"], "stride=0"),
        (["--device", "gpu"], "device=gpu"),
        (["--output", "/dev/null/out"], "output=/dev/null/out"),
    ],
)
def test_bad_input(args, expected, reference_video, tmp_path, capsys):
    given = ["--video", str(reference_video), "--output", str(tmp_path / "out"), *SHORT]
    assert main(["preview", *given, *args]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in said if line.startswith("ditflow: error: ")]
    assert len(errors) == 1
    assert expected in errors[0]
    assert not (tmp_path / "out").exists()
