"""What a page is told that it does not show yet."""

from dataclasses import asdict
from pathlib import Path

import pytest

from ditflow.app.jobs_in_turn import Jobs
from tests.embedding.test_header import HEADER, write

pytest.importorskip("gradio")
from ditflow.app.look import look

EMBEDDINGS, REFERENCES = 5, 7
"""Where these are in what a look gives."""


def test_an_embedding_that_was_chosen_by_hand_stays(tmp_path):
    jobs = Jobs(tmp_path)
    first = str(write(tmp_path / "first.safetensors", asdict(HEADER)))
    *shown, seen = look(jobs, {}, None, None, [])
    assert shown[EMBEDDINGS]["value"] == first
    second = str(write(tmp_path / "second.safetensors", asdict(HEADER)))
    jobs.start("fit", lambda folder: ["--version"])
    (by_itself, by_hand, gone) = (
        look(jobs, seen, None, picked, [])[EMBEDDINGS] for picked in (None, first, "gone")
    )
    jobs.close()
    assert by_itself["value"] == gone["value"] == second
    assert "value" not in by_hand
    assert [path for _, path in by_hand["choices"]] == [second, first]


def test_a_preview_is_shown_with_its_own_reference_alone(tmp_path):
    jobs = Jobs(tmp_path)
    jobs.start("preview", lambda folder: ["preview", "--video", "a.mp4", "--output", "no"])
    jobs.close()
    videos = [Path("a.mp4"), Path("b.mp4")]
    *shown, seen = look(jobs, {}, videos[0], None, videos)
    assert seen["motion"] is not None
    assert shown[REFERENCES]["samples"] == [[str(video.resolve())] for video in videos]
    *shown, seen = look(jobs, seen, videos[1], None, videos)
    assert seen["motion"] is None
    assert "samples" not in shown[REFERENCES]
