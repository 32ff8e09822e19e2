"""One run at a time in an output folder, and none over another's results unless told to."""

import multiprocessing

import pytest

from ditflow.errors import DitflowError
from ditflow.runs.claim import LOCK, claim, refuse_results, remove_results


def hold(folder, held, let_go):
    with claim(folder):
        held.set()
        let_go.wait()


def test_a_second_process_is_refused_for_as_long_as_the_first_lives(tmp_path):
    context = multiprocessing.get_context("spawn")
    held, let_go = context.Event(), context.Event()
    first = context.Process(target=hold, args=(tmp_path / "out", held, let_go))
    first.start()
    held.wait(60)
    with pytest.raises(DitflowError, match="another run"), claim(tmp_path / "out"):
        pass
    first.kill()  # nothing of a killed process holds the folder
    first.join()
    with claim(tmp_path / "out"):
        assert (tmp_path / "out" / LOCK).exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_the_folder_is_let_go_after_an_error(tmp_path):
    with pytest.raises(KeyError), claim(tmp_path):
        raise KeyError
    with claim(tmp_path):
        pass


def test_what_others_may_be_writing_is_left(tmp_path):
    partial = tmp_path / ".commands.0123456789abcdef.partial.txt"
    partial.touch()
    with claim(tmp_path, shared=True):
        assert partial.exists()
    with claim(tmp_path):
        assert not partial.exists()


def test_results_are_refused_and_removed_but_nothing_else(tmp_path):
    refuse_results(tmp_path, ["video.mp4"])
    for name in ("video.mp4", "video-1-a.mp4", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(DitflowError, match=r"video\.mp4.*--resume.*--overwrite"):
        refuse_results(tmp_path, ["motion.safetensors", "video.mp4"])
    with pytest.raises(DitflowError, match=r"\(video-1-a\.mp4\); replace it by --overwrite true"):
        refuse_results(tmp_path, ["scores.csv", "video-*.mp4"], resumable=False)
    remove_results(tmp_path, ["video.mp4", "video-*.mp4", "checkpoints/last.ckpt"])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
