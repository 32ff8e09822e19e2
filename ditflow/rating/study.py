"""A study: which videos are rated, under names that do not tell how they were made."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from ditflow.errors import DitflowError
from ditflow.pages.benchmark import reference_in, video_in
from ditflow.pages.templating import render
from ditflow.utils.files import atomic_write, write_text
from ditflow.utils.hashing import hash_of
from ditflow.utils.untrusted import read_json

STATEMENTS = {
    "motion": "What moves in the generated video moves as in the reference.",
    "prompt": "The text is a good description of the generated video.",
}
"""Of the paper's two experiments, motion and prompt adherence, in words of our own."""

LEVELS = (
    "strongly disagree",
    "disagree",
    "neither agree nor disagree",
    "agree",
    "strongly agree",
)
"""Of agreement, 1 to 5."""

KEY = "key.json"


@dataclass(frozen=True)
class Trial:
    """A video to rate, and what raters are not told."""

    backbone: str
    method: str
    video: str
    category: str
    prompt: str
    seed: int


class Study(Struct, frozen=True, rename={"name": "study"}):
    """What `key.json` holds.

    Attributes:
        name: hash of all trials; answers carry it.
        trials: by anonymous name.
    """

    name: str
    trials: dict[str, Trial]


def choose_results(
    records: Sequence[dict[str, Any]], folder: Path, pairs: int, seed: int
) -> list[dict[str, Any]]:
    """Results to rate: for so many pairs of a reference and a prompt, that of every method.

    Pairs are drawn so that references and categories come as evenly as they can.

    Args:
        records: of one backbone; those reused on another prompt or failed are left out.
        folder: of the benchmark.
        pairs: how many.
        seed: of the draw.

    Raises:
        DitflowError: fewer pairs have a video of every method.
    """
    made: dict[tuple[str, str, int], dict[str, dict[str, Any]]] = {}
    for record in records:
        there = "error" not in record and video_in(folder, record) and reference_in(folder, record)
        if there and not record["reused"]:
            pair = record["video"], record["category"], record["seed"]
            made.setdefault(pair, {})[record["method"]] = record
    methods = {record["method"] for record in records}
    left = sorted(pair for pair, results in made.items() if results.keys() == methods)
    if not 1 <= pairs <= len(left):
        raise DitflowError(
            f"pairs={pairs} must be 1 to {len(left)}, the pairs of a reference and a prompt of "
            f"which {folder} has a video of every method ({', '.join(sorted(methods))})."
        )
    random.Random(seed).shuffle(left)
    used: Counter[Any] = Counter()
    chosen: list[dict[str, Any]] = []
    for _ in range(pairs):
        pair = min(left, key=lambda pair: (used[pair[0]], used[pair[1]]))
        left.remove(pair)
        used.update(pair[:2])
        chosen += made[pair].values()
    return chosen


def write_study(records: Sequence[dict[str, Any]], folder: Path, output: Path, seed: int) -> Study:
    """Write `page/rating.html` with its videos, for raters, and `key.json`, which stays here.

    Args:
        records: results to rate.
        folder: of the benchmark.
        output: folder of the study.
        seed: of the anonymous names.

    Raises:
        DitflowError: another study is there, whose answers need its key, or a file cannot be
            written.
    """
    names = _names(seed)
    references = {name: next(names) for name in sorted({record["video"] for record in records})}
    shuffled = list(records)
    random.Random(seed).shuffle(shuffled)
    by_name = {next(names): record for record in shuffled}
    trials = {
        name: Trial(**{field: record[field] for field in Trial.__dataclass_fields__})
        for name, record in sorted(by_name.items())
    }
    described = {name: asdict(trial) for name, trial in trials.items()}
    study = Study(hash_of(described), trials)
    path = output / KEY
    if path.exists() and read_study(path) != study:
        raise DitflowError(
            f"output={output} holds another study, whose answers need its {KEY}; give another "
            "folder."
        )
    page = output / "page"
    copied = {name: video_in(folder, record) for name, record in by_name.items()}
    for record in records:
        copied[references[record["video"]]] = reference_in(folder, record)
    for name, video in sorted(copied.items()):
        with atomic_write(page / "videos" / f"{name}.mp4") as partial:
            assert video is not None  # of a record that names one
            shutil.copyfile(video, partial)  # contents alone: times would tell the order of methods
    shown = [
        {
            "name": name,
            "video": f"videos/{name}.mp4",
            "reference": f"videos/{references[trial.video]}.mp4",
            "prompt": trial.prompt,
        }
        for name, trial in trials.items()
    ]
    content = {"study": study.name, "trials": shown}
    text = render("rating.html", study=content, statements=STATEMENTS, levels=LEVELS)
    write_text(page / "rating.html", text)
    write_text(path, json.dumps({"study": study.name, "trials": described}, indent=1))
    return study


def read_study(path: Path) -> Study:
    """A study from its key.

    Raises:
        DitflowError: no such file, or not a key.
    """
    try:
        study = read_json(path, Study)
    except DitflowError as error:
        raise DitflowError(
            f"key={path} is not the {KEY} that ditflow rate make wrote; give that one."
        ) from error
    if study.name != hash_of({name: asdict(trial) for name, trial in study.trials.items()}):
        raise DitflowError(
            f"key={path} was changed since ditflow rate make wrote it; make it anew."
        )
    return study


def _names(seed: int) -> Iterator[str]:
    """Anonymous names, each once."""
    draw, given = random.Random(f"names {seed}"), set()
    while True:
        name = f"{draw.getrandbits(32):08x}"
        if name not in given:
            given.add(name)
            yield name
