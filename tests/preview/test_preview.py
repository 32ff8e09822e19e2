"""`ditflow preview` as a user types it."""

import re

import numpy as np
import pytest
from PIL import Image

from ditflow.cli import main
from ditflow.sprites.render import render
from ditflow.video.reading import read_video
from ditflow.video.writing import write_video
from tests.conftest import straight_clip

SHORT = ["--num-frames", "9"]


def shares(text: str) -> dict[str, float]:
    """Percentage of moving patches by row of the printed table."""
    rows = re.findall(r"^(block \d+|plain latents).*?([\d.]+)%", text, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_writes_a_picture_a_video_and_numbers(reference_video, tmp_path, capsys):
    given = ["preview", "--video", str(reference_video), "--output", str(tmp_path / "out"), *SHORT]
    assert main([*given, "--blocks", "6", "2"]) == 0
    said = capsys.readouterr().out
    made = {"preview.png", "preview.mp4", "progress.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == made
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


def test_a_mask_a_warning_and_another_backbone(tmp_path, capsys):
    still = render([straight_clip()])[0][:1].expand(5, -1, -1, -1)
    write_video(still, tmp_path / "still.mp4")
    write_video(still * 0 + 1, tmp_path / "mask.mp4")
    given = ["preview", "--video", str(tmp_path / "still.mp4"), "--output", str(tmp_path / "out")]
    given += ["--mask", str(tmp_path / "mask.mp4"), "--config", "sprites-sincos"]
    given += ["--config", "ditflow-latents"]  # stacked, as those given at once
    assert main([*given, "--block", "5", "--blocks", "6", "--height", "32", "--width", "48"]) == 0
    said = capsys.readouterr().out
    assert "still.mp4 on sprites-sincos, 5 frames of 32x48, 2 x 4 x 6 tokens" in said
    assert "(in the mask)" in said
    assert "block 5 (guided)" in said
    assert set(shares(said)) == {"block 5", "block 6", "plain latents"}
    assert "\nWarning: Nothing moves in the mask's part of the reference" in said


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--video", "nowhere.mp4"], "video=nowhere.mp4 does not exist"),
        (["--mask", "nowhere.png"], "mask=nowhere.png does not exist"),
        (["--mask", "docs/demo.png"], "give a mask of the reference's size or proportions"),
        (["--blocks", "3", "8"], "block=8 is out of range"),
        (["--block", "9"], "block=9 is out of range"),
        (["--config", "nothing"], "config=nothing"),
        (["--config", "sprites-rope", "--config", "smm"], "SpatialMarginalMean has no motion flow"),
        (["--config", "sprites-rope", "smm"], "SpatialMarginalMean has no motion flow"),
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
