"""Files are written whole or not at all, on a full disk too."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from ditflow import DitflowError, MotionEmbedding
from ditflow.embedding.header import EmbeddingHeader
from ditflow.utils.files import atomic_write, make_output, write_text
from ditflow.video.writing import write_video

FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from ditflow import DitflowError
from tests.utils.test_files import write

path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit is an error
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write(path)
except DitflowError as error:
    print(error)
"""


def write(path: Path) -> None:
    """Something of more than 20 kB, of the kind that its suffix names."""
    if path.suffix in (".mp4", ".gif"):
        write_video(torch.rand(25, 3, 128, 128), path)
    elif path.suffix == ".safetensors":
        values = dict.fromkeys((field.name for field in fields(EmbeddingHeader)), "")
        header = EmbeddingHeader(**values | {"format_version": 1})
        MotionEmbedding(header, {"latents": torch.rand(10_000)}).save(path)
    else:
        write_text(path, "x" * 30_000)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are Unix's")
@pytest.mark.parametrize("name", ["video.mp4", "video.gif", "motion.safetensors", "table.md"])
def test_a_full_disk_leaves_what_was_there(name, tmp_path):
    path = tmp_path / name
    path.write_text("an earlier one")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert str(path) in line
    assert "could not be written" in line
    assert "make room" in line
    assert path.read_text() == "an earlier one"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_leaves_nothing(tmp_path):
    path = tmp_path / "deep" / "file.txt"

    def stopped() -> None:
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert list(path.parent.iterdir()) == []


def test_several_may_write_one_file_at_once(tmp_path):
    """Of any machine: numbers of processes are only one machine's own."""
    path = tmp_path / "file.txt"
    with atomic_write(path) as first:
        with atomic_write(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_several_may_make_one_output_folder_at_once(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(make_output, [tmp_path / "out"] * 400)) == [None] * 400
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_a_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DitflowError, match="could not be written"):
        write_text(tmp_path / "file" / "text.md", "x")
