"""The benchmark: manifests, resuming, failures, ranks and tables."""

import csv
import json
import logging
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ditflow.benchmark import Manifest, Reference, VideoList
from ditflow.benchmark.jobs import is_finished, read_results, write_result
from ditflow.benchmark.runner import Runner
from ditflow.benchmark.sharing import part_of
from ditflow.benchmark.tensorboard import write_events
from ditflow.cli import main
from ditflow.metrics.scorer import Scorer
from ditflow.runs.claim import claim
from ditflow.utils.shipped import shipped
from ditflow.video.file import open_file
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


def test_a_mask_of_a_reference_guides_its_jobs(tmp_path, reference_video):
    Image.new("L", (64, 64), 255).save(tmp_path / "white.png")
    Image.new("L", (64, 64), 0).save(tmp_path / "black.png")
    videos = [
        Reference(name, reference_video, "a", "b", "c", mask=tmp_path / f"{name}.png")
        for name in ("white", "black")
    ]
    quick = QUICK | {"data": {"num_frames": 9}}
    made = Manifest(VideoList(videos), {"b": ["sprites-rope", quick]}, {"m": ["ditflow-latents"]})
    white, _, scene, black, *_ = made.jobs(tmp_path / "out")
    runner = Runner(tmp_path / "out", made.references, Scorer(grid=8))
    assert runner.run(white) is None
    assert "black.png leaves nothing of the reference" in runner.run(black)
    # How much of the reference's look came along is asked where the prompt is all another.
    assert runner.run(scene) is None
    measured = read_results(tmp_path / "out")
    assert {r["category"] for r in measured if "look" in r.get("scores", {})} == {"scene"}


@pytest.mark.slow  # an earlier version's folder, gone on with, is in every run
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
        assert ("look" in result["scores"]) == (result["category"] == "scene")
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
    made, shown = out / results[0]["file"], next((out / "references").glob("*.mp4"))
    files = [open_file(path) for path in (made, shown)]
    # Played side by side they must show the same frames.
    assert [(len(file.times), file.even[1]) for file in files] == [(25, 8), (25, 8)]
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
