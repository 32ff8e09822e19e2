"""Commands on a disk that takes no more: a line that says so, and no file that is not whole.

The system's limit of a file's size stands in for a full disk; `pytest -m slow` fills a real one, a
small tmpfs, where mounting is allowed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from PIL import Image

from ditflow.cli import main
from ditflow.rating.study import read_study
from ditflow.video.reading import read_video
from tests.benchmark.test_processes import TINY
from tests.pages.test_benchmark import record
from tests.pages.test_run import fit_folder
from tests.rating.test_rating import answered

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts are Unix's")

TINY_FIT = ["--num-frames", "9", "--steps", "2", "--model.guided_share", "0.5"]
TINY_FIT += ["--model.optimization_steps", "1"]


@dataclass(frozen=True)
class Disk:
    """A folder on a disk, and how to leave so many bytes on it."""

    folder: Path
    leave: Callable[[int], object]


@pytest.fixture
def limited(tmp_path) -> Disk:
    @contextmanager
    def leave(size: int) -> Iterator[None]:
        import resource

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores the signal
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return Disk(tmp_path, leave)


@pytest.fixture
def mounted(tmp_path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    given = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(given, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")

    @contextmanager
    def leave(size: int) -> Iterator[None]:
        filler = folder / ".filler"
        free = os.statvfs(folder)
        filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - size))
        try:
            yield
        finally:
            filler.unlink()

    try:
        yield Disk(folder, leave)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def fitted(reference_video, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    given = ["--video", str(reference_video), "--prompt", "a red ring on a gray background"]
    assert main(["fit", *given, *TINY_FIT, "--output", str(folder)]) == 0
    return folder


def command(name: str, folder: Path, video: Path, fitted: Path) -> list[str]:
    """A command whose output lies in the folder, after what it needs is there."""
    out = str(folder / "out")
    of_video = ["--video", str(video), "--output", out]
    if name == "page":
        fit_folder(folder / "out")
        return ["page", out]
    if name.startswith("rate"):
        for method in ("one", "two"):
            record(folder / "results", method, "clip-1")
        make = ["rate", "make", "--results", str(folder / "results"), "--pairs", "1"]
        if name == "rate make":
            return [*make, "--output", out]
        assert main([*make, "--output", str(folder / "study")]) == 0
        key = folder / "study" / "key.json"
        answers = answered(folder / "answers.json", read_study(key), "ann")
        return ["rate", "figure", str(answers), "--key", str(key), "--output", out]
    if name == "preview":
        return ["preview", *of_video, "--num-frames", "9", "--blocks", "6"]
    if name == "test":
        return ["test", "--videos", str(video), "--prompts", "a", *of_video, "--grid", "8"]
    if name == "predict":
        prompt = "a blue square on a white background"
        return ["predict", "--embedding", str(fitted), "--prompts", prompt, "--output", out]
    if name == "fit":
        return ["fit", *of_video, "--prompt", "a red ring on a gray background", *TINY_FIT]
    manifest = {
        "references": {
            "class_path": "ditflow.sprites.references.SpritesReferences",
            "init_args": {"count": 2},
        },
        "backbones": {"rope": ["sprites-rope", TINY]},
        "methods": {"plain": ["backbone", {"model": {"optimization_steps": 0}}]},
        "categories": ["caption"],
        "grid": 8,
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return ["benchmark", "--config", str(folder / "manifest.yaml"), "--output", out]


def check_whole(folder: Path) -> None:
    """Everything with a final name can be read, and nothing else is there."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith("events.out"):
            continue  # TensorBoard's own grow while a run goes on
        assert ".partial" not in path.name
        assert path.stat().st_size > 0, path
        if path.suffix == ".mp4":
            read_video(path)
        elif path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


def fails(disk: Disk, name: str, left: int, video: Path, fitted: Path, capsys) -> bool:
    """Run a command there; whether the disk was too small for it."""
    given = command(name, disk.folder, video, fitted)
    capsys.readouterr()
    with disk.leave(left):
        status = main(given)
    said = capsys.readouterr().err
    assert "Traceback" not in said  # of threads neither
    errors = [line for line in said.splitlines() if line.startswith("ditflow: error: ")]
    assert status in (0, 1, 2)
    assert len(errors) == (status == 2)
    for line in errors:
        assert "make room" in line or "not writable" in line, line
    check_whole(disk.folder)
    return status != 0


SIZES = {
    **{"page": 2_000, "rate make": 500, "rate figure": 100, "preview": 30_000, "test": 100},
    **{"predict": 2_500, "benchmark": 2_500},
}


@pytest.mark.parametrize("name", SIZES)
def test_files_that_may_not_grow(name, limited, reference_video, fitted, capsys):
    assert fails(limited, name, SIZES[name], reference_video, fitted, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288])
@pytest.mark.parametrize("name", [*SIZES, "fit"])
def test_a_full_disk(name, left, mounted, reference_video, fitted, capsys):
    failed = fails(mounted, name, left, reference_video, fitted, capsys)
    assert failed or left > 0
