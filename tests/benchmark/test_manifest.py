"""Manifests: what is shipped, what is wrong with one, and what is told before any work."""

import pytest
import yaml

from ditflow.benchmark import Manifest, Reference, VideoList
from ditflow.benchmark.references import CATEGORIES
from ditflow.cli import main
from ditflow.settings.stacked import read_settings
from ditflow.sprites.references import SpritesReferences, clip_and_prompts
from ditflow.utils.shipped import shipped
from tests.benchmark.test_benchmark import manifest, run

MANIFESTS = sorted(path.stem for path in (shipped("configs") / "benchmark").glob("*.yaml"))
QUICK = {"model": {"num_inference_steps": 3, "guided_share": 0.4, "optimization_steps": 1}}


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_shipped_manifest_parses(name, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["benchmark", "--config", name, "--output", "out", "--print_config"])
    assert exited.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    for backbone in printed["backbones"].values():
        for method in printed["methods"].values():
            read_settings(*backbone, *method)


def test_presets_beside_a_manifest_are_its_backbone(tmp_path, capsys):
    """Of any family, with block, rates and size of their own, under every method of the table."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: {block: 9}")
    config = ["--config", "davis-table1", "--config", "wan2.1-1.3b", f"--config={mine}"]
    with pytest.raises(SystemExit):
        main(["benchmark", *config, "--output", "out", "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["backbones"] == {"wan2.1-1.3b": ["wan2.1-1.3b", str(mine)]}
    preset = read_settings("wan2.1-1.3b")
    for method in printed["methods"].values():
        made = read_settings(*printed["backbones"]["wan2.1-1.3b"], *method)
        assert made.backbone == preset.backbone
        assert made.model["block"] == 9
        assert made.data["width"] == 832
        assert made.model["guidance_scale"] == preset.model["guidance_scale"]


def test_table1_has_every_row_and_davis_enough_videos():
    folder = shipped("configs") / "benchmark"
    for name in ("sprites-table1", "davis-table1"):
        content = yaml.safe_load((folder / f"{name}.yaml").read_text())
        assert len(content["methods"]) == 7
        assert len(content["backbones"]) == 2
    listed = content["references"]["init_args"]["videos"]
    videos = VideoList([Reference(**video) for video in listed]).listed
    assert len({video.name for video in videos}) >= 20
    prompts = [video.prompt(category) for video in videos for category in CATEGORIES]
    assert len(set(prompts)) == len(prompts)


def test_prompts_of_drawn_references():
    for seed in range(600_001, 600_021):
        clip, prompts = clip_and_prompts(seed)
        assert clip.motion != "still"
        assert prompts["caption"] == clip.caption
        assert clip.shape not in prompts["subject"].split()
        assert prompts["subject"].endswith(f"on a {clip.background} background")
        scene = prompts["scene"].split()
        assert not {clip.shape, clip.color} & set(scene[:3])
        assert scene[-2] != clip.background
    references = SpritesReferences(count=3, first_seed=5)
    assert references.problems() == []


def test_every_reference_starts_from_noise_of_its_own(tmp_path):
    methods = {"plain": ["backbone"]}
    made = Manifest(SpritesReferences(2), {"b": ["sprites-rope"]}, methods, seeds=[0, 10])
    seeds = {(job.reference.name, job.seed) for job in made.jobs(tmp_path)}
    names = sorted({name for name, _ in seeds})
    assert [sorted(seed for n, seed in seeds if n == name) for name in names] == [[0, 10], [1, 11]]


def test_all_that_is_wrong_is_listed_before_any_work(tmp_path, capsys):
    video = {"caption": "a", "subject": "b", "scene": " "}
    content = manifest(
        references={
            "class_path": "ditflow.benchmark.VideoList",
            "init_args": {
                "root": str(tmp_path),
                "videos": [
                    {"name": "one", "video": "missing.mp4", **video},
                    {"name": "one", "video": "gone.mp4", **video},
                ],
            },
        },
        methods={"good": ["injection"], "bad": ["no-such-method"], "worse": [{"model": {"x": 1}}]},
        categories=["caption", "weather"],
    )
    assert run(tmp_path, content) == 2
    said = capsys.readouterr().err
    for part in (
        "missing.mp4",
        "gone.mp4",
        "one: listed twice",
        "no scene prompt",
        "no-such-method",
        "'x'",
        "'weather'",
    ):
        assert part in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "no-such-manifest"], "no-such-manifest.*sprites-table1"),
        (["--config", "sprites-table1", "--grid", "x"], "grid"),
        (["--config", "sprites-table1", "--tracker", "eyes"], "tracker.*lucas-kanade"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, capsys, options, message):
    assert main(["benchmark", "--output", str(tmp_path), *options]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    import re

    assert re.search(message, lines[0])


def test_each_reference_has_a_mask_of_its_own(tmp_path, capsys):
    given = {"video": "v.mp4", "caption": "a", "subject": "b", "scene": "c"}
    for name in ("v.mp4", "one.png", "two.png"):
        (tmp_path / name).touch()
    videos = [{"name": name, **given, "mask": f"{name}.png"} for name in ("one", "two")]
    listed = {
        "class_path": "ditflow.benchmark.VideoList",
        "init_args": {"root": str(tmp_path), "videos": [*videos, {"name": "three", **given}]},
    }
    references = VideoList(
        [Reference(**video) for video in listed["init_args"]["videos"]], tmp_path
    )
    jobs = Manifest(references, {"b": ["sprites-rope"]}, {"plain": ["backbone"]}).jobs(tmp_path)
    masks = {job.reference.name: job.reference.mask for job in jobs}
    assert masks == {"one": tmp_path / "one.png", "two": tmp_path / "two.png", "three": None}
    keys = {result.key({}) for job in jobs for result in job.results()}
    assert len(keys) == len(jobs)

    (tmp_path / "two.png").unlink()
    one_for_all = ["ditflow-latents", {"data": {"mask": "mask.png"}}]
    methods = {"ours": one_for_all, "theirs": ["smm"]}
    assert run(tmp_path, manifest(references=listed, methods=methods)) == 2
    said = capsys.readouterr().err
    assert "two.png does not exist" in said
    assert "rope with ours: data.mask=mask.png would be the mask of every reference" in said
    assert "rope with theirs: mask: SpatialMarginalMean compares whole frames" in said
