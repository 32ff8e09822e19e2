"""Several processes of one benchmark: every job is made once, by whichever is free."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from ditflow.benchmark import Manifest
from ditflow.benchmark.jobs import Job, read_results, write_result
from ditflow.benchmark.runner import Runner
from ditflow.benchmark.sharing import SharedJobs, joined
from ditflow.errors import DitflowError
from ditflow.metrics.scorer import Scorer
from ditflow.runs.claim import locked
from ditflow.runs.history import MANIFEST
from ditflow.sprites.references import SpritesReferences
from ditflow.utils.files import write_text


class Fake(Runner):
    """Makes nothing but results, and notes which; the jobs of a video fail."""

    def __init__(self, folder: Path, failing: str = ""):
        super().__init__(folder, SpritesReferences(1), Scorer(grid=8))
        self.failing, self.begun = failing, []

    def run(self, job: Job) -> str | None:
        self.begun.append(str(job))
        time.sleep(0.02)
        fails = job.reference.name == self.failing
        for result, key in self.missing(job).items():
            how = {"error": "wrong"} if fails else {"scores": {}}
            write_result(result.path(self.folder), self._describe(result, key) | how)
        return "wrong" if fails else None


@pytest.fixture
def jobs(tmp_path) -> list[Job]:
    """Four jobs in the folder of a run that has begun."""
    made = Manifest(SpritesReferences(2, 7), {"b": ["sprites-rope"]}, {"m": ["backbone"]})
    made.categories = ["caption", "scene"]
    begin(tmp_path)
    return made.jobs(tmp_path)


def begin(folder: Path) -> None:
    write_text(folder / MANIFEST, "content")
    time.sleep(0.02)  # what is written now is younger, by the disk's clock


def mark_of(job: Job, folder: Path) -> Path:
    path = next(job.results()).path(folder)
    return path.with_name(f".{path.stem}.begun")


@contextmanager
def in_the_hands_of_another(job: Job, folder: Path) -> Iterator[None]:
    mark = mark_of(job, folder)
    mark.parent.mkdir(parents=True, exist_ok=True)
    with locked(mark.with_suffix(".lock")) as own:
        assert own
        mark.touch()
        yield


def test_every_job_is_made_once(jobs, tmp_path):
    sharing = [SharedJobs(jobs, Fake(tmp_path)) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(SharedJobs.make, sharing))
    begun = [job for work in sharing for job in work.runner.begun]
    assert sorted(begun) == sorted(map(str, jobs))
    assert all(work.missing() == [] for work in sharing)
    assert not list(tmp_path.glob("results/**/.*"))  # no lock or mark is left


def test_a_job_that_fails_is_tried_once_in_a_run(jobs, tmp_path):
    for runs in (1, 2):
        begin(tmp_path)
        first, second = (SharedJobs(jobs, Fake(tmp_path, "clip-7")) for _ in range(2))
        first.make()
        second.make()
        assert (first.failed, second.failed) == (2, 0)
        assert len(first.runner.begun) == (4 if runs == 1 else 2)
        assert second.runner.begun == []
        assert len(second.missing()) == 2


def test_a_job_in_anothers_hands_is_waited_for(jobs, tmp_path):
    work = SharedJobs(jobs, Fake(tmp_path))
    with ThreadPoolExecutor() as pool:
        with in_the_hands_of_another(jobs[0], tmp_path):
            making = pool.submit(work.make)
            while len(read_results(tmp_path)) < 3:
                time.sleep(0.01)
            assert not making.done()
            mark_of(jobs[0], tmp_path).unlink()  # as who is stopped by Ctrl-C
        making.result(60)
    assert work.missing() == []
    assert work.runner.begun[-1] == str(jobs[0])


def test_a_job_that_killed_its_process_kills_no_other(jobs, tmp_path):
    with in_the_hands_of_another(jobs[0], tmp_path):
        pass  # as the system ends it: the mark is left
    work = SharedJobs(jobs, Fake(tmp_path))
    work.make()
    assert work.missing() == [jobs[0]]
    begin(tmp_path)
    work.make()
    assert work.missing() == []


def test_the_same_manifest_is_joined_and_no_other(tmp_path):
    command = ["benchmark", "--output", "out"]
    with joined(tmp_path, command, "one", is_part=False):
        written = (tmp_path / MANIFEST).stat().st_mtime_ns
        with joined(tmp_path, command, "one", is_part=False):
            pass
        with (
            pytest.raises(DitflowError, match="another run"),
            joined(tmp_path, command, "two", is_part=False),
        ):
            pass
        assert (tmp_path / MANIFEST).stat().st_mtime_ns == written  # the run is the first's
    with joined(tmp_path, command, "two", is_part=False):
        assert (tmp_path / MANIFEST).read_text() == "two"
