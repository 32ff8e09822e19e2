"""A backbone with a loader of one's own, put through every command."""

import json
from pathlib import Path

import pytest
import yaml
from diffusers import LTXPipeline

from ditflow import DitflowError, MotionEmbedding
from ditflow.cli import main

PROMPT = "a red circle on a gray background"


def test_a_pipeline_of_no_shipped_family_is_refused(tmp_path, config, reference_video):
    assert main([*fit_of(config, reference_video), "--output", str(tmp_path)]) == 0
    embedding = MotionEmbedding.load(tmp_path / "motion.safetensors")
    pipeline = LTXPipeline(*5 * [None])
    refused = pytest.raises(DitflowError, match="LTXPipeline is of no family that ditflow ships")
    with refused, embedding.applied_to(pipeline):
        pass


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> str:
    """A file that names the family's loader, of short runs."""
    path = tmp_path_factory.mktemp("config") / "tiny-wan.yaml"
    loader = "tests.backbones.tiny_wan.loading.load_tiny_wan"
    model = {"backbone": {"class_path": loader}, "block": 1, "guided_share": 0.5}
    model |= {"num_inference_steps": 4, "optimization_steps": 2}
    path.write_text(yaml.safe_dump({"model": model}))
    return str(path)


def fit_of(config: str, video: Path) -> list[str]:
    return ["fit", "--config", config, "--video", str(video), "--prompt", PROMPT]


@pytest.mark.parametrize("target", ["latents", "positions"])
def test_fit_and_predict(config, reference_video, tmp_path, capsys, target):
    output = tmp_path / "fit"
    assert (
        main([*fit_of(config, reference_video), "--target", target, "--output", str(output)]) == 0
    )
    header = MotionEmbedding.load(output / "motion.safetensors").header
    assert (header.family, header.backbone, header.fps) == ("wan", "tiny-wan", 8)
    assert header.scheduler == "UniPCMultistepScheduler"
    assert (output / "video.mp4").stat().st_size > 0
    given = ["predict", "--config", config, "--embedding", str(output / "motion.safetensors")]
    given += ["--prompt", "a blue ring on a white background", "--output", str(tmp_path / "new")]
    assert main(given) == 0
    assert len(list((tmp_path / "new").glob("*-seed0.mp4"))) == 1


def test_preview(config, reference_video, tmp_path, capsys):
    given = ["preview", "--config", config, "--video", str(reference_video)]
    assert main([*given, "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "on tiny-wan, 9 frames of 32x32, 3 x 4 x 4 tokens" in said
    assert "block 1 (guided)" in said


def test_plan(config, capsys):
    assert main(["plan", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "tiny-wan, 9 frames of 32x32, float32" in said
    assert "optimising, block 1" in said
    assert said.strip().splitlines()[-1].startswith("It fits")


def test_selftest_runs_and_says_that_an_untrained_model_does_not_move(config, capsys):
    assert main(["selftest", "--config", config, "--targets", "[positions]"]) == 1
    said = capsys.readouterr().out
    assert "tiny-wan, positions, right: motion flow" in said
    assert "FAIL: guidance does not move this backbone's videos." in said


def test_benchmark(config, reference_video, tmp_path):
    manifest = tmp_path / "manifest.yaml"
    video = {"name": "circle", "video": str(reference_video)}
    video |= dict.fromkeys(("caption", "subject", "scene"), PROMPT)
    references = {"class_path": "ditflow.benchmark.VideoList", "init_args": {"videos": [video]}}
    said = {"references": references, "backbones": {"wan": [config]}, "categories": ["caption"]}
    manifest.write_text(yaml.safe_dump(said | {"methods": {"own": [{}]}}))
    output = tmp_path / "out"
    assert main(["benchmark", "--config", str(manifest), "--output", str(output)]) == 0
    results = [json.loads(path.read_text()) for path in output.glob("results/**/*.json")]
    assert [result["backbone"] for result in results] == ["wan"]
    assert all("error" not in result for result in results)
