"""`ditflow test` and `ditflow selftest` as a user types them."""

import csv

import pytest
import torch

from ditflow.cli import main
from ditflow.commands.selftest import directions, displacement
from ditflow.commands.test import SCORES
from ditflow.runs.claim import claim
from ditflow.sprites.render import render
from ditflow.video.writing import write_video
from tests.conftest import reversed_clip, straight_clip

CAPTION = "a red circle on a gray background"


@pytest.fixture
def files(tmp_path):
    """A reference, the same motion of another sprite, and the reference reversed."""
    clip = straight_clip()
    clips = {
        "reference": clip,
        "same": clip.__class__(**{**vars(clip), "texture_seed": 8}),
        "reversed": reversed_clip(clip),
    }
    paths = {name: tmp_path / f"{name}.mp4" for name in clips}
    for name, path in paths.items():
        write_video(render([clips[name]])[0], path)
    return paths


def rows(folder):
    with (folder / "scores.csv").open() as file:
        return list(csv.DictReader(file))


def test_given_videos_are_scored(files, tmp_path, capsys):
    out = tmp_path / "out"
    status = main(
        [
            *("test", "--video", str(files["reference"]), "--output", str(out), "--grid", "20"),
            *("--videos", *(str(path) for path in files.values()), "--prompts", CAPTION),
        ]
    )
    assert status == 0
    same, close, reversed_ = rows(out)
    assert float(same["mf"]) == pytest.approx(1, abs=1e-3)
    assert float(same["trajectory_error"]) == pytest.approx(0, abs=1e-3)
    assert float(close["mf"]) > float(reversed_["mf"]) + 0.5
    assert float(close["trajectory_error"]) < float(reversed_["trajectory_error"])
    for row in (same, close, reversed_):
        assert 0.5 < float(row["iq"]) <= 1
    printed = capsys.readouterr().out
    assert "lucas-kanade" in printed
    assert "sprites-clip" in printed
    assert "mean of 3" in printed


def test_another_prompt_scores_less(files, tmp_path):
    out = tmp_path / "out"
    status = main(
        [
            *("test", "--video", str(files["reference"]), "--output", str(out), "--grid", "20"),
            *("--videos", str(files["reference"]), str(files["reference"])),
            *("--prompts", CAPTION, "a blue ring on a gray background"),
        ]
    )
    assert status == 0
    right, wrong = rows(out)
    assert float(right["iq"]) > float(wrong["iq"]) + 0.2


def test_an_embedding_is_scored_on_what_predict_makes(files, tmp_path, capsys):
    quick = ["--steps", "4", "--model.optimization_steps", "1", "--block", "2"]
    fit = ["fit", "--video", str(files["reference"]), "--prompt", CAPTION, *quick]
    assert main([*fit, "--target", "positions", "--output", str(tmp_path / "fit")]) == 0
    out = tmp_path / "out"
    embedding = str(tmp_path / "fit" / "motion.safetensors")
    status = main(
        [
            *("test", "--embedding", embedding, "--video", str(files["reference"])),
            *("--output", str(out), "--grid", "20", "--seeds", "0", "1"),
        ]
    )
    assert status == 0
    made = rows(out)
    assert [row["prompt"] for row in made] == [CAPTION] * 2
    for row in made:
        assert (out / row["video"]).exists()
    # Nothing that an earlier run left is replaced unasked, and nothing of one that goes on.
    again = ["test", "--embedding", embedding, "--video", str(files["reference"]), "--output"]
    for folder, name in ((out, SCORES), (tmp_path / "fit", "motion.safetensors")):
        before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        capsys.readouterr()
        assert main([*again, str(folder)]) == 2
        assert f"the results of an earlier run ({name}); replace it" in capsys.readouterr().err
        assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    with claim(out):
        assert main([*again, str(out), "--overwrite", "true"]) == 2
    assert "another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--embedding or --videos"),
        (["--videos", "missing.mp4", "--prompts", "a"], "missing.mp4"),
        (["--videos", "REFERENCE", "REFERENCE", "--prompts", "a", "b", "c"], "3 for 2 videos"),
        (["--videos", "REFERENCE", "--prompts", "a", "--clip", "nothing"], "clip=nothing"),
        (["--videos", "REFERENCE", "--prompts", "a", "--grid", "0"], "grid=0"),
        (["--videos", "REFERENCE"], "prompts is empty"),
    ],
)
def test_wrong_input_is_one_line(files, tmp_path, capsys, options, message):
    options = [str(files["reference"]) if o == "REFERENCE" else o for o in options]
    out = tmp_path / "out"
    base = ["test", "--video", str(files["reference"]), "--output", str(out)]
    assert main([*base, *options]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert not out.exists()


@pytest.mark.parametrize("command", ["test", "benchmark", "selftest"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    files, tmp_path, capsys, command
):
    (tmp_path / "file").touch()
    options = {
        "test": ["--video", str(files["same"]), "--videos", str(files["same"]), "--prompts", "a"],
        "benchmark": ["--config", "sprites-table1"],
        "selftest": [],
    }[command]
    assert main([command, *options, "--output", str(tmp_path / "file" / "out")]) == 2
    assert "is not writable" in capsys.readouterr().err


def test_displacement_tells_direction():
    from ditflow.metrics import LucasKanade

    for name, clip in directions().items():
        moved = displacement(render([clip])[0], LucasKanade())
        assert (moved > 0.2) == (name == "right")
        assert (moved < -0.2) == (name == "left")
    still = torch.full((5, 3, 64, 64), 0.5)
    assert displacement(still, LucasKanade()) == 0


@pytest.mark.parametrize(
    ("backbone", "target"),
    [
        ("sprites-rope", "latents"),
        pytest.param("sprites-rope", "positions", marks=pytest.mark.slow),
        pytest.param("sprites-sincos", "latents", marks=pytest.mark.slow),
        pytest.param("sprites-sincos", "positions", marks=pytest.mark.slow),
    ],
)
def test_selftest_passes_on_both_backbones(backbone, target, capsys, tmp_path):
    chosen = ["--config", backbone, "--targets", f"[{target}]"]
    status = main(["selftest", *chosen, "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert printed.count(": pass") == 2
    assert len(list(tmp_path.glob("*.mp4"))) == 2


def test_selftest_fails_where_guidance_is_off(capsys, tmp_path):
    preset = tmp_path / "off.yaml"
    preset.write_text("model: {optimization_steps: 0, num_inference_steps: 8}\n")
    assert main(["selftest", "--config", str(preset), "--targets", "[latents]"]) == 1
    assert "FAIL" in capsys.readouterr().out
