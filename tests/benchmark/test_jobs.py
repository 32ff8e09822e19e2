"""Results read from a folder: those that a benchmark has written whole, and nothing else."""

import json
from pathlib import Path

import pytest

from ditflow.benchmark.jobs import read_results
from tests.pages.test_benchmark import record


def test_what_a_killed_process_left_is_no_result(tmp_path):
    made = record(tmp_path, "ours", "clip-1")
    path = next(tmp_path.glob("results/**/*.json"))
    left = path.with_name(f".{path.stem}.123.partial.json")
    left.write_bytes(path.read_bytes())  # written, flushed, and killed before it was renamed
    assert read_results(tmp_path) == [made]


@pytest.mark.parametrize(
    "changes",
    [
        {"video": "../../x"},
        {"backbone": "a/b"},
        {"category": "weather"},
        {"file": "../other.mp4"},
        {"file": "results/rope/ours/clip-1/another-seed0.mp4"},
        {"order": "1"},
        {"seed": True},
        {"scores": []},
        {"scores": {"mf": "0.5"}},
        {"scores": {"mf": 10**400}},
        {"seconds": []},
        {"error": None},
    ],
)
def test_what_no_benchmark_writes_is_no_result(changes, tmp_path):
    good = record(tmp_path, "ours", "clip-2")
    record(tmp_path, "ours", "clip-1")
    path: Path = next(tmp_path.glob("results/*/*/clip-1/*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert read_results(tmp_path) == [good]
