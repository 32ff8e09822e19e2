"""Tables of a benchmark's results, and settings of its rows."""

import csv

import numpy as np
import pytest

from ditflow import DitflowError
from ditflow.benchmark import Manifest
from ditflow.benchmark.bootstrap import interval
from ditflow.benchmark.references import CATEGORIES
from ditflow.benchmark.tables import comma_separated, markdown
from ditflow.settings.stacked import read_settings, stack
from ditflow.sprites.references import SpritesReferences
from ditflow.utils.shipped import shipped

MANIFESTS = sorted(path.stem for path in (shipped("configs") / "benchmark").glob("*.yaml"))
QUICK = {"model": {"num_inference_steps": 3, "guided_share": 0.4, "optimization_steps": 1}}


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


def test_the_reference_s_look_is_of_those_results_that_have_it():
    """Of `scene` prompts, and none of results from before it was measured."""
    new = record(1, "new", "v1", "scene", 0.5)
    new["scores"]["look"] = 0.125
    others = [record(2, "new", "v1", "subject", 0.5), record(3, "old", "v1", "scene", 0.5)]
    text = markdown([new, *others], "n")
    assert "look of the reference, scene" in text
    assert "| new | 0.125 [0.125, 0.125] |" in text
    assert "| old | – |" in text


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
