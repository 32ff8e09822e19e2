"""The benchmark: manifests, resuming, failures, ranks and tables."""

import csv
import json
import logging
import sys
from pathlib import Path

import decord
import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ditflow import DitflowError
from ditflow.benchmark import Manifest, Reference, VideoList
from ditflow.benchmark.bootstrap import interval
from ditflow.benchmark.jobs import is_finished, read_results, write_result
from ditflow.benchmark.references import CATEGORIES
from ditflow.benchmark.runner import Runner
from ditflow.benchmark.sharing import part_of
from ditflow.benchmark.tables import comma_separated, markdown
from ditflow.benchmark.tensorboard import write_events
from ditflow.cli import main
from ditflow.metrics.scorer import Scorer
from ditflow.runs.claim import claim
from ditflow.settings.stacked import read_settings, stack
from ditflow.sprites.references import SpritesReferences, clip_and_prompts
from ditflow.utils.shipped import shipped
from tests.pages.parsing import Page

MANIFESTS = sorted(path.stem for path in (shipped("configs") / "benchmark").glob("*.yaml"))
QUICK = {"model": {"num_inference_steps": 3, "guided_share": 0.4, "optimization_steps": 1}}


def manifest(**changes) -> dict:
    """A small one, as its YAML file holds it."""
    return {
        "references": {
            "class_path": "ditflow.sprites.references.SpritesReferences",
            "init_args": {"count": 2, "first_seed": 600_001},
        },
        "backbones": {"rope": ["sprites-rope", QUICK]},
        "methods": {
            "plain": ["backbone", {"model": {"optimization_steps": 0}}],
            "ditflow": ["ditflow-positions"],
        },
        "categories": ["caption", "scene"],
        "grid": 12,
    } | changes


def run(folder: Path, content: dict, *options: str) -> int:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return main(["benchmark", "--config", str(path), "--output", str(folder / "out"), *options])


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_shipped_manifest_parses(name, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["benchmark", "--config", name, "--output", "out", "--print_config"])
    assert exited.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    for backbone in printed["backbones"].values():
        for method in printed["methods"].values():
            read_settings(*backbone, *method)


def test_table1_has_every_row_and_davis_enough_videos():
    folder = shipped("configs") / "benchmark"
    for name in ("sprites-table1", "davis-table1"):
        content = yaml.safe_load((folder / f"{name}.yaml").read_text())
        assert len(content["methods"]) == 6
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


def test_a_mask_of_a_reference_guides_its_jobs(tmp_path, reference_video):
    Image.new("L", (64, 64), 255).save(tmp_path / "white.png")
    Image.new("L", (64, 64), 0).save(tmp_path / "black.png")
    videos = [
        Reference(name, reference_video, "a", "b", "c", mask=tmp_path / f"{name}.png")
        for name in ("white", "black")
    ]
    quick = QUICK | {"data": {"num_frames": 9}}
    made = Manifest(VideoList(videos), {"b": ["sprites-rope", quick]}, {"m": ["ditflow-latents"]})
    white, _, _, black, *_ = made.jobs(tmp_path / "out")
    runner = Runner(tmp_path / "out", made.references, Scorer(grid=8))
    assert runner.run(white) is None
    assert "black.png leaves nothing of the reference" in runner.run(black)


def test_a_benchmark_resumes_and_renews_what_changed(tmp_path, capsys):
    one = {"references": {**manifest()["references"], "init_args": {"count": 1}}}
    assert run(tmp_path, manifest(reuse=True, **one)) == 0
    out = tmp_path / "out"
    results = read_results(out)
    assert len(results) == 2 * 2 * 2  # methods, fitted prompts, prompts
    assert sum(result["reused"] for result in results) == 4
    for result in results:
        assert (out / result["file"]).exists()
        assert {"mf", "mf_released", "iq", "trajectory_error", "agreement"} <= set(result["scores"])
        assert result["tracker"] == "lucas-kanade"
        assert result["seconds"] > 0
    table = (out / "table.md").read_text()
    assert "| plain |" in table
    assert "MF reused" in table
    assert len(list((out / "montage").glob("*.png"))) == 2
    page = Page(out / "index.html")
    assert "8 results" in page.text
    assert f"ditflow benchmark --config {tmp_path / 'small.yaml'} --output {out}" in page.text
    # What a fit looked like on the way; a reuse is none, nor is plain sampling.
    for result in results:
        optimised = result["method"] == "ditflow" and not result["reused"]
        assert len(result.get("losses", [])) == optimised
        flows = (out / result["file"]).with_suffix(".png")
        assert flows.exists() == optimised
        if optimised:
            with Image.open(flows) as picture:
                assert picture.size == (2 * 7 * 58 + 12, 7 * 58)
    assert "methods:" in page.text
    assert yaml.safe_load((out / "manifest.yaml").read_text())["methods"] == manifest()["methods"]
    assert len(decord.VideoReader(str(out / results[0]["file"]))) == 25
    rates = [
        decord.VideoReader(str(path)).get_avg_fps()
        for path in (out / results[0]["file"], next((out / "references").glob("*.mp4")))
    ]
    assert rates == [8, 8]  # played side by side they must show the same frames
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["category"] for row in rows} == {"caption", "scene", "all"}

    paths = sorted(out.glob("results/**/*.json"))
    before = {path: path.stat().st_mtime_ns for path in paths}
    paths[0].unlink()
    paths[3].write_text("half a fi")
    assert run(tmp_path, manifest(reuse=True, **one)) == 0
    changed = {path for path in paths if path.stat().st_mtime_ns != before[path]}
    assert changed == {paths[0], paths[3]}
    assert len(list((out / "tensorboard").iterdir())) == 1
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    (text,) = events.Tensors("small/table/text_summary")
    assert text.tensor_proto.string_val[0].decode() == (out / "table.md").read_text()
    assert len(events.Tags()["images"]) == 2
    # The same seed gives the same scores again.
    again = {(r["file"]): r["scores"] for r in read_results(out)}
    assert again == {(r["file"]): r["scores"] for r in results}
    # Other settings make other results, and only those of the method that changed; the same
    # settings under another name are not run again.
    methods = manifest()["methods"] | {"plain": ["injection"], "same": ["ditflow-positions"]}
    assert run(tmp_path, manifest(methods=methods, **one)) == 0
    renewed = {path for path in paths if path.stat().st_mtime_ns > max(before.values())}
    assert {path.parts[-3] for path in renewed - changed} == {"plain"}
    of = {r["method"]: r for r in read_results(out) if not r["reused"] and r["category"] == "scene"}
    for what in ("scores", "seconds", "key"):
        assert of["same"][what] == of["ditflow"][what]
    assert of["same"]["file"] != of["ditflow"]["file"]
    assert (out / of["same"]["file"]).read_bytes() == (out / of["ditflow"]["file"]).read_bytes()


def test_a_benchmark_that_is_stopped_reports_what_is_there(tmp_path, monkeypatch, caplog, capsys):
    def stopped(self, job):
        """As Lightning ends the process at Ctrl-C."""
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr(Runner, "run", stopped)
    with caplog.at_level(logging.WARNING, "ditflow"):
        assert run(tmp_path, manifest()) == 130
    out = tmp_path / "out"
    assert f"the same command makes what is missing in {out}" in caplog.text
    assert (out / "table.md").exists()
    assert (out / "index.html").exists()
    assert capsys.readouterr().err.endswith("ditflow: stopped.\n")


def test_no_result_of_other_settings_stands_beside_a_new_video(
    tmp_path, reference_video, monkeypatch
):
    """Also if the process ends between the writing of the two."""
    references = VideoList([Reference("one", reference_video, "a", "b", "c")])
    runner, out = Runner(tmp_path, references, Scorer(grid=8)), tmp_path
    for seed, ends in ((0, False), (1, True)):
        quick = QUICK | {"data": {"num_frames": 9, "fps": 8.0 + seed}}
        made = Manifest(references, {"b": ["sprites-rope", quick]}, {"m": ["backbone"]})
        job = made.jobs(out)[0]
        (path,) = (result.path(out) for result in job.results())
        if ends:
            assert path.exists()
            monkeypatch.setattr("ditflow.benchmark.runner.write_result", ended)
            with pytest.raises(KeyboardInterrupt):
                runner.run(job)
            assert path.with_suffix(".mp4").exists()
            assert not path.exists()
        else:
            assert runner.run(job) is None


def test_a_reference_of_other_content_makes_other_results(tmp_path):
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"one")
    references = VideoList([Reference("one", video, "a", "b", "c")])
    made = Manifest(references, {"b": ["sprites-rope"]}, {"m": ["backbone"]})

    def result():
        return next(made.jobs(tmp_path)[0].results())

    first, path = result(), result().path(tmp_path)
    runner = Runner(tmp_path, references, Scorer(grid=8))
    content = runner._describe(first, first.key({})) | {"scores": {}}
    write_result(path, content)
    assert is_finished(path, first.key({}))
    video.write_bytes(b"two")  # encoded anew under the same name
    assert not is_finished(path, result().key({}))
    older = {name: value for name, value in content.items() if name != "content"}
    write_result(path, older)
    assert is_finished(path, result().key({}))


def ended(*_) -> None:
    raise KeyboardInterrupt


def test_of_several_event_files_the_last_is_left(tmp_path):
    """Of processes that report at once, each would else remove the other's."""
    events = tmp_path / "tensorboard"
    events.mkdir()
    earlier, later = (
        events / f"events.out.tfevents.{n}.host.1.0" for n in ("1000000000", "9" * 10)
    )
    earlier.touch()
    later.touch()
    assert write_events("table", [], tmp_path, "name") == events
    assert not earlier.exists()
    assert later.exists()
    assert len(list(events.iterdir())) == 2


def test_a_job_that_fails_is_filed_and_the_rest_go_on(tmp_path, capsys):
    methods = {
        "broken": ["ditflow-latents", {"model": {"block": 77}}],
        "plain": ["backbone", {"model": {"optimization_steps": 0}}],
    }
    content = manifest(methods=methods, categories=["caption"])
    assert run(tmp_path, content) == 1
    captured = capsys.readouterr()
    assert "2 of 4 jobs failed" in captured.out
    results = read_results(tmp_path / "out")
    assert {r["method"]: "error" in r for r in results} == {"broken": True, "plain": False}
    assert "block=77" in next(r["error"] for r in results if r["method"] == "broken")
    table = (tmp_path / "out" / "table.md").read_text()
    assert "2 results failed" in table
    assert "| plain |" in table
    assert json.loads(next((tmp_path / "out").glob("results/*/broken/**/*.json")).read_text())


SLURM = {
    **{"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"},
    **{"SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_JOB_NAME": "bench"},
    **{"SLURM_JOB_ID": "7", "SLURM_NODELIST": "host0", "SLURM_STEP_NUM_TASKS": "2"},
}


def test_slurms_tasks_share_the_jobs(tmp_path, monkeypatch):
    """The second makes what the first has not in its hands."""
    content = manifest(categories=["caption"], methods={"plain": manifest()["methods"]["plain"]})
    assert run(tmp_path, content, "--share", "1/2") == 0
    (first,) = read_results(tmp_path / "out")
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    with claim(tmp_path / "out"):  # as the first of them does
        assert run(tmp_path, content) == 0
    assert [r["video"] for r in read_results(tmp_path / "out")] == ["clip-600001", "clip-600002"]
    assert first in read_results(tmp_path / "out")
    for ranks in (1, 2, 3):
        parts = [range(7)[part_of(f"{rank + 1}/{ranks}")] for rank in range(ranks)]
        assert sorted(job for part in parts for job in part) == list(range(7))


def test_intervals_are_of_videos():
    rng = np.random.default_rng(1)
    values = {
        f"v{n}": (rng.normal(n % 2, 0.1) + rng.normal(0, 0.01, 5)).tolist() for n in range(40)
    }
    mean, low, high, videos = interval(values)
    means = [np.mean(row) for row in values.values()]
    assert mean == pytest.approx(np.mean(means))
    # As wide as the normal approximation over videos; over all values it would be narrower by √5.
    half = 1.96 * np.std(means) / np.sqrt(40)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert videos == 40
    assert interval(values) == interval(values)
    with pytest.raises(ValueError, match="no value"):
        interval({})


def record(order, method, video, category, mf, reused=False, **more):
    fixed = {"backbone": "b", "tracker": "t", "grid": 5, "clip": "c", "seconds": 2.0}
    scores = {"mf": mf, "iq": 0.3}
    return fixed | {
        "order": order, "method": method, "video": video, "category": category,
        "reused": reused, "scores": scores, **more,
    }  # fmt: skip


def test_tables_hold_means_in_the_order_of_the_manifest():
    records = [
        record(1, "zeta", "v1", "caption", 0.25),
        record(2, "zeta", "v2", "caption", 0.75),
        record(3, "alpha", "v1", "caption", 0.1),
        record(4, "alpha", "v1", "caption", 0.05, reused=True),
    ]
    text = markdown(records, "name")
    assert text.index("| zeta | 0.500 [") < text.index("| alpha | 0.100 [")
    assert "| alpha | 0.100 [0.100, 0.100] | 0.050 [0.050, 0.050] | -50.0 % |" in text
    rows = list(csv.DictReader(comma_separated(records).splitlines()))
    row = next(r for r in rows if r["method"] == "zeta" and r["score"] == "mf")
    assert (float(row["mean"]), row["videos"]) == (0.5, "2")


def test_stacking_replaces_a_class_as_a_whole():
    below = {"o": {"class_path": "A", "init_args": {"x": 1}}, "n": {"a": 1, "b": 2}}
    above = {"o": {"class_path": "B"}, "n": {"b": 3}}
    assert stack(below, above) == {"o": {"class_path": "B"}, "n": {"a": 1, "b": 3}}
    assert stack(below, {"o": {"init_args": {"y": 2}}})["o"]["init_args"] == {"x": 1, "y": 2}


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(DitflowError, match="sprites-rope.*'blok'"):
        read_settings("sprites-rope", {"model": {"blok": 3}})
    with pytest.raises(DitflowError, match="trainer"):
        read_settings("sprites-rope", {"trainer": {"devices": 2}})


def test_manifest_defaults():
    made = Manifest(SpritesReferences(1), {"b": ["sprites-rope"]}, {"m": ["injection"]})
    assert made.categories == list(CATEGORIES)
