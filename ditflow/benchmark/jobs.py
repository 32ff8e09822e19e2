"""A benchmark's jobs: what is to be made, where each result goes, and whether it is there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from ditflow.benchmark.references import CATEGORIES, Reference, unfit_names
from ditflow.settings.stacked import Settings
from ditflow.utils.files import files_of, write_text, written
from ditflow.utils.hashing import hash_of, hash_of_files
from ditflow.utils.untrusted import checked, read_json

Number = float | Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""A float, or a whole number that is one too."""


class Described(Struct):
    """What every result says of itself, with its scores or its error."""

    key: str
    file: str
    backbone: str
    method: str
    video: str
    fitted: str
    category: str
    prompt: str
    reused: bool
    seed: int
    order: int
    tracker: str
    clip: str
    grid: int
    content: str = ""
    seconds: Number | None = None
    peak_mib: Number | None = None
    scores: dict[str, Number] = {}
    error: str = ""


COST = {"seconds": "seconds", "peak_mib": "peak MiB"}
"""What a result has cost, if it is known, and its titles in tables."""


class Key(NamedTuple):
    """All that a result depends on; a result of another key is made again.

    Attributes:
        settings: hash of settings, prompts, names of files, and metrics.
        content: hash of what is in the files of reference and mask. Results that were made before
            it was kept say nothing of it, and are taken for made with these files.
    """

    settings: str
    content: str

    def is_of(self, result: dict[str, Any]) -> bool:
        return (result["key"], result.get("content", self.content)) == self


@dataclass(frozen=True, eq=False)  # settings cannot be hashed
class Job:
    """One fit, with its own prompt's result and, with reuse, one for each other category.

    Attributes:
        order: place in the manifest, for tables.
        backbone, method: their names in the manifest.
        settings: of both, stacked.
        reference: the video.
        content: hash of it and of its mask.
        category: of the prompt that is fitted.
        seed: of the initial noise.
        reused: categories of prompts the embedding is put into.
    """

    order: int
    backbone: str
    method: str
    settings: Settings
    reference: Reference
    content: str
    category: str
    seed: int
    reused: tuple[str, ...] = ()

    def results(self) -> Iterator["Result"]:
        for category in (self.category, *self.reused):
            yield Result(self, category)

    def is_finished(self, folder: Path, measured: dict[str, Any]) -> bool:
        """Whether all of its results are there."""
        results = self.results()
        return all(is_finished(result.path(folder), result.key(measured)) for result in results)

    def __str__(self) -> str:
        return f"{self.backbone}, {self.method}, {self.reference.name}, {self.category}"


@dataclass(frozen=True, eq=False)
class Result:
    """One video of a job and its scores: `<name>.json` and `<name>.mp4`."""

    job: Job
    category: str

    @property
    def prompt(self) -> str:
        return self.job.reference.prompt(self.category)

    @property
    def is_reused(self) -> bool:
        return self.category != self.job.category

    def path(self, folder: Path) -> Path:
        """The JSON file; the video lies beside it."""
        job = self.job
        name = f"{job.category}-to-{self.category}" if self.is_reused else job.category
        parts = (job.backbone, job.method, job.reference.name)
        return folder.joinpath("results", *parts, f"{name}-seed{job.seed}.json")

    def key(self, measured: dict[str, Any]) -> Key:
        """What the result depends on."""
        reference = vars(self.job.reference)
        described = reference | {"video": reference["video"].name}
        mask = described.pop("mask")
        if mask is not None:  # without one, keys are those of before there were any
            described["mask"] = mask.name
        contents = [
            self.job.settings.source,
            described,
            [self.job.category, self.category, self.job.seed],
            measured,
        ]
        return Key(hash_of(contents), self.job.content)


def content_of(reference: Reference) -> str:
    """Hash of the files of a reference and of its mask; empty if one cannot be read, of which its
    jobs then say more."""
    paths = [reference.video] if reference.mask is None else [reference.video, reference.mask]
    try:
        return hash_of_files((file for path in paths for file in files_of(path)), 16)
    except OSError:
        return ""


def read_results(folder: Path) -> list[dict[str, Any]]:
    """All results of a benchmark's folder, failed ones included.

    A folder may be a stranger's: what no benchmark writes, such as a name that leads out of the
    folder, is left out.
    """
    found = [(path, _read(path)) for path in written(folder, "results/**/*.json")]
    return [
        result
        for path, result in found
        if result is not None and path == (folder / result["file"]).with_suffix(".json")
    ]


def is_finished(path: Path, key: Key) -> bool:
    """Whether a result is there, of this key and without error."""
    result = _read(path)
    return result is not None and key.is_of(result) and "error" not in result


def twin(path: Path, key: Key) -> Path | None:
    """A finished result of this key under another method's name, if there is one.

    An ablation's rows name the preset's own value once each: these are made once.
    """
    for other in sorted(path.parents[2].glob(f"*/{path.parent.name}/{path.name}")):
        if other != path and is_finished(other, key) and other.with_suffix(".mp4").exists():
            return other
    return None


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result, whole or not at all."""
    write_text(path, json.dumps(result, indent=1))


def _read(path: Path) -> dict[str, Any] | None:
    """A result; None for what is missing or was not written by a benchmark."""
    try:
        result = read_json(path, dict[str, Any])
        described = checked(result, Described)
    except ValueError:
        return None
    whole = described.category in CATEGORIES and result.keys() & {"scores", "error"}
    unfit = unfit_names("", [described.backbone, described.video])  # files are named by them
    return result if whole and not unfit else None
