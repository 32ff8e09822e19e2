"""A blinded study, from a benchmark's results to the figure of its answers."""

import csv
import json
from pathlib import Path

import pytest

from ditflow import DitflowError
from ditflow.benchmark.jobs import read_results
from ditflow.cli import main
from ditflow.rating.answers import Answers, read_answers
from ditflow.rating.figure import tally
from ditflow.rating.study import Study, Trial, choose_results, read_study
from tests.pages.parsing import Page
from tests.pages.test_benchmark import record

METHODS = ("hidden-one", "hidden-two")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for method in METHODS:
        for name in ("clip-1", "clip-2", "clip-3"):
            for category in ("caption", "scene"):
                record(folder, method, name, category)
    return folder


@pytest.fixture(scope="module")
def made(results, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    assert main(["rate", "make", *given(results, folder, 3)]) == 0
    return folder


def given(results: Path, output: Path, pairs: int) -> list[str]:
    return ["--results", str(results), "--output", str(output), "--pairs", str(pairs)]


def answered(path: Path, study: Study, rater: str, **levels: int) -> Path:
    """A rater's file with the same answer to each video of a method, and 3 to all others."""
    answers = {
        name: {"motion": levels.get(trial.method.replace("-", "_"), 3), "prompt": 3}
        for name, trial in study.trials.items()
    }
    path.write_text(json.dumps({"study": study.name, "rater": rater, "answers": answers}))
    return path


def test_raters_get_every_method_of_each_pair_and_nothing_that_tells_them(results, made):
    study = read_study(made / "key.json")
    pairs = {(trial.video, trial.category) for trial in study.trials.values()}
    assert len(pairs) == 3
    assert len({video for video, _ in pairs}) == 3  # references come as evenly as they can
    assert len(study.trials) == 3 * len(METHODS)
    page = Page(made / "page" / "rating.html")
    shown = json.loads(page.code[page.code.index('{"study"') :].partition("\n")[0])
    assert {trial["name"] for trial in shown["trials"]} == set(study.trials)
    for trial in shown["trials"]:
        own = study.trials[trial["name"]]
        (source,) = [
            r
            for r in read_results(results)
            if (r["method"], r["video"], r["category"]) == (own.method, own.video, own.category)
        ]
        copied = (made / "page" / trial["video"]).read_bytes()
        assert copied == (results / source["file"]).read_bytes()
        reference = results / "references" / f"{own.video}.mp4"
        assert (made / "page" / trial["reference"]).read_bytes() == reference.read_bytes()
        assert trial["prompt"] == own.prompt
    for path in (made / "page").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for told in (*METHODS, "clip-1", "seed0"):
            assert told not in str(path.relative_to(made))
            assert told.encode() not in content


def test_the_same_study_may_be_made_again_but_not_another_in_its_place(results, made, capsys):
    page, key = made / "page" / "rating.html", made / "key.json"
    before = page.read_text(), key.read_text()
    assert main(["rate", "make", *given(results, made, 3)]) == 0
    assert (page.read_text(), key.read_text()) == before
    for other in ([*given(results, made, 2)], [*given(results, made, 3), "--seed", "1"]):
        assert main(["rate", "make", *other]) == 2
        assert "holds another study" in capsys.readouterr().err
    assert (page.read_text(), key.read_text()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairs", "7"], "pairs=7 must be 1 to 6"),
        (["--pairs", "0"], "pairs=0 must be 1 to 6"),
        (["--methods", "other"], "methods: other has no results; use hidden-one, hidden-two"),
        (["--backbone", "sincos"], "backbone=sincos has no results; use rope"),
        (["--results", "gone"], "results=gone has no results"),
    ],
)
def test_what_cannot_be_made_is_one_line(results, tmp_path, capsys, options, message):
    assert main(["rate", "make", *given(results, tmp_path / "out", 3), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_several_backbones_are_not_mixed(tmp_path, capsys):
    record(tmp_path, "plain", "clip-1")
    record(tmp_path, "plain", "clip-1", "scene", backbone="other")
    assert main(["rate", "make", *given(tmp_path, tmp_path / "out", 1)]) == 2
    assert "give --backbone, one of other, rope" in capsys.readouterr().err
    one = [*given(tmp_path, tmp_path / "out", 1), "--backbone", "rope"]
    assert main(["rate", "make", *one]) == 0


def test_a_pair_that_a_method_lacks_is_not_rated(tmp_path):
    record(tmp_path, "plain", "clip-1")
    record(tmp_path, "ours", "clip-1")
    record(tmp_path, "plain", "clip-2")
    record(tmp_path, "ours", "clip-2", error="ValueError")
    chosen = choose_results(read_results(tmp_path), tmp_path, 1, 0)
    assert {(r["method"], r["video"]) for r in chosen} == {("plain", "clip-1"), ("ours", "clip-1")}
    with pytest.raises(DitflowError, match="1 to 1"):
        choose_results(read_results(tmp_path), tmp_path, 2, 0)


def test_answers_become_a_table_and_a_figure(made, tmp_path, capsys):
    study = read_study(made / "key.json")
    files = [
        answered(tmp_path / "a.json", study, "a", hidden_one=5, hidden_two=2),
        answered(tmp_path / "b.json", study, "b", hidden_one=4, hidden_two=1),
    ]
    out = tmp_path / "out"
    command = ["rate", "figure", *map(str, files), "--key", str(made / "key.json")]
    assert main([*command, "--output", str(out)]) == 0
    assert "Answers of 2 raters" in capsys.readouterr().out
    with (out / "ratings.csv").open() as file:
        rows = {(row["statement"], row["method"]): row for row in csv.DictReader(file)}
    best = rows["motion", "hidden-one"]
    assert [float(best[name]) for name in ("mean", "low", "high")] == [4.5, 4.5, 4.5]
    assert [best[f"answers_{level}"] for level in range(1, 6)] == ["0", "0", "0", "3", "3"]
    assert (best["videos"], best["raters"]) == ("3", "2")
    assert float(rows["motion", "hidden-two"]["mean"]) == 1.5
    assert float(rows["prompt", "hidden-two"]["mean"]) == 3
    figure = Page(out / "ratings.svg")
    assert "12 answers" not in figure.text
    assert "24 answers of 2 raters" in figure.text
    assert "strongly agree: 3 of 6" in figure.text
    # Bars of a motion row are its shares of the whole width.
    widths = [float(r["width"]) for r in figure.all("rect") if r.get("height") == "22"]
    assert widths == [150, 150, 150, 150, 300, 300]
    assert figure.text.index("hidden-one") < figure.text.index("hidden-two")


def test_intervals_are_over_references():
    trials = {
        f"{video}{index}": Trial("b", "m", video, "caption", "p", index)
        for video in ("one", "two")
        for index in range(2)
    }
    values = {name: {"motion": 1 if name[:3] == "one" else 5, "prompt": 3} for name in trials}
    motion, prompt = tally(Study("s", trials), [Answers("r", values)])
    assert (motion.mean.mean, motion.mean.low, motion.mean.high) == (3, 1, 5)
    assert motion.mean.videos == 2
    assert motion.counts == (2, 0, 0, 0, 2)
    assert (prompt.mean.low, prompt.mean.high) == (3, 3)


def test_answers_that_are_not_whole_are_one_line(made, tmp_path, capsys):
    study = read_study(made / "key.json")
    good = json.loads(answered(tmp_path / "good.json", study, "a").read_text())
    first, *rest = good["answers"]

    def values(**changes) -> dict:
        changed = {"motion": 3, "prompt": 3} | changes
        return {"answers": good["answers"] | {first: changed}}

    cases = {
        "{": "cannot be read as JSON",
        "[1]": "holds no answers",
        json.dumps(good | {"study": "other"}): "is of study other",
        json.dumps(good | {"rater": None}): "whose they are",
        json.dumps(good | {"answers": {n: good["answers"][n] for n in rest}}): "lacks 1 of 6",
        json.dumps(good | {"answers": good["answers"] | {"x": {}}}): "trial x",
        json.dumps(good | values(motion=6)): "motion of trial",
        json.dumps(good | values(motion=0)): "motion of trial",
        json.dumps(good | values(prompt=2.5)): "prompt of trial",
        json.dumps(good | values(prompt=True)): "prompt of trial",
        json.dumps(good | {"answers": good["answers"] | {first: None}}): "motion of trial",
    }
    command = ["--key", str(made / "key.json"), "--output", str(tmp_path / "out")]
    for content, message in cases.items():
        (tmp_path / "bad.json").write_text(content)
        files = [str(tmp_path / "good.json"), str(tmp_path / "bad.json")]
        assert main(["rate", "figure", *files, *command]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
        assert "bad.json" in line
    assert main(["rate", "figure", str(tmp_path / "gone.json"), *command]) == 2
    assert not (tmp_path / "out").exists()
    (tmp_path / "again.json").write_text(json.dumps(good))
    with pytest.raises(DitflowError, match="same rater"):
        read_answers([tmp_path / "good.json", tmp_path / "again.json"], study)


def test_a_key_that_is_not_one_or_was_changed_is_one_line(made, tmp_path):
    content = json.loads((made / "key.json").read_text())
    first = next(iter(content["trials"].values()))
    first["method"] = METHODS[first["method"] == METHODS[0]]
    path = tmp_path / "key.json"
    for text, message in (
        (json.dumps(content), "was changed"),
        ("{}", "not the key.json"),
        ("[]", "not the key.json"),
        ("x", "not the key.json"),
    ):
        path.write_text(text)
        with pytest.raises(DitflowError, match=message):
            read_study(path)


@pytest.mark.parametrize("args", [[], ["paint"]])
def test_rate_needs_to_be_told_what(args, capsys):
    assert main(["rate", *args]) == 2
    assert "rate make or rate figure" in capsys.readouterr().err


def test_the_commands_have_help(capsys):
    assert main(["rate", "--help"]) == 0
    assert "rate figure" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exited:
        main(["rate", "make", "--help"])
    assert exited.value.code == 0
