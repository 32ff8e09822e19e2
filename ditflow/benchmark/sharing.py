"""One benchmark made by any number of processes: each takes jobs that no other has in hand."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ditflow.benchmark.jobs import Job
from ditflow.benchmark.processes import is_one_of_several
from ditflow.benchmark.runner import Runner
from ditflow.errors import DitflowError
from ditflow.runs.claim import Claimed, claim, locked
from ditflow.runs.history import MANIFEST, read_manifest, record_command
from ditflow.utils.bars import Bar
from ditflow.utils.files import write_text

log = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two looks at jobs that other processes have in hand."""


class SharedJobs:
    """Jobs that this process makes together with all that were given the same output folder.

    Who holds a job's lock makes it. A lock ends with its process; the job is then left to the next
    run, for it may be what killed the process, and would kill the others too. So is a job that
    failed: a run tries each once, whichever process does.

    Args:
        jobs: to make, in this order.
        runner: makes one.

    Attributes:
        failed: how many jobs failed in this process.
    """

    def __init__(self, jobs: Sequence[Job], runner: Runner):
        self.jobs, self.runner = jobs, runner
        self.failed = 0

    def missing(self) -> list[Job]:
        """The jobs that have not all of their results."""
        return [job for job in self.jobs if self.runner.missing(job)]

    def make(self) -> None:
        """Make jobs, and wait for those of other processes, until every one has been tried."""
        left = self.missing()
        if not left:
            return
        done = len(self.jobs) - len(left)
        with Bar(total=len(self.jobs), initial=done, desc="Jobs", unit="job") as bar:
            while left:
                held = []
                for job in left:
                    if self._is_settled(job):
                        bar.update()
                    else:
                        held.append(job)
                left = held
                if left:
                    time.sleep(INTERVAL)

    def _is_settled(self, job: Job) -> bool:
        """Make a job unless another process does; whether that is over, however it ended."""
        if not self.runner.missing(job):
            return True
        path = next(job.results()).path(self.runner.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.stem}.lock")) as own:
            mark = path.with_name(f".{path.stem}.begun")
            if own and not self._was_tried(job, mark):
                with _begun(mark):
                    error = self.runner.run(job)
                if error is not None:
                    self.failed += 1
                    log.error("%s failed: %s", job, error)
            return own

    def _was_tried(self, job: Job, mark: Path) -> bool:
        """Whether a job that nobody holds was made in this run, has failed, or has killed who
        made it: there is nothing missing, or its error or mark is of this run."""
        folder, missing = self.runner.folder, self.runner.missing(job)
        start = _time(folder / MANIFEST)  # written when a run begins
        left = [mark, *(result.path(folder) for result in missing)]
        return not missing or any(_time(path) > start for path in left)


@contextmanager
def _begun(mark: Path) -> Iterator[None]:
    """Context beside whose result a mark lies, which only a killed process leaves there."""
    mark.write_text(f"by process {os.getpid()}\n")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def _time(path: Path) -> int:
    """When a file was written, in nanoseconds by its disk's clock; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@contextmanager
def joined(folder: Path, command: Sequence[str], manifest: str, is_part: bool) -> Iterator[None]:
    """Context of a process that writes to a benchmark's output folder.

    The first holds the folder and keeps in it how it was made; others join if they run the same.
    Processes of --share hold nothing, as they may not see one another.

    Args:
        folder: of the output.
        command: line, kept for the page.
        manifest: content, YAML.
        is_part: whether this process does only a part of the jobs.

    Raises:
        DitflowError: another run goes on in it.
    """
    with ExitStack() as claimed:
        try:
            if not is_part:
                claimed.enter_context(claim(folder, shared=True))
        except Claimed:
            if not _goes_on(manifest, folder):
                raise
            log.info("Sharing the jobs of the run of this manifest in %s.", folder)
        else:
            record_command(folder, command)
            write_text(folder / MANIFEST, manifest)
        yield


def _goes_on(manifest: str, folder: Path) -> bool:
    """Whether it is this manifest that is run in a folder, which may have begun just now."""
    # Of another machine, a network's disk shows what is new only after up to a minute.
    end = time.monotonic() + (60 if is_one_of_several() else 1)
    while read_manifest(folder) != manifest:
        if time.monotonic() > end:
            return False
        time.sleep(INTERVAL)
    return True


def part_of(share: str | None) -> slice:
    """The jobs of `2/3`: every third, from the second on; of None, all.

    Raises:
        DitflowError: it is no such part.
    """
    if share is None:
        return slice(None)
    first, _, second = share.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise DitflowError(f"share={share} must be a part such as 1/3, 2/3 or 3/3.")
    return slice(int(first) - 1, None, int(second))
