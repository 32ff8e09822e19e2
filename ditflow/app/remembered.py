"""What the output folder remembers of the app's commands, for its next start."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ditflow.app.command_lines import Form
from ditflow.app.job import Job
from ditflow.errors import DitflowError
from ditflow.utils.files import write_text
from ditflow.utils.untrusted import parse_json, read_json

LOGS = "logs"
"""Folder of what the commands wrote to their terminals, and beside it how they were started."""


class Record(Struct):
    """How a command was started; no preview, which is soon made again."""

    kind: Literal["fit", "predict"]
    args: list[str]
    started: Annotated[float, Meta(ge=0, le=1e12)]
    cwd: str
    form: Form | None = None


def remember(job: Job) -> None:
    """Write how a command was started beside its log."""
    form = None if job.form is None else asdict(job.form)
    record = {"kind": job.kind, "args": job.args, "started": job.started, "cwd": job.cwd}
    write_text(job.log.with_suffix(".json"), json.dumps(record | {"form": form}, default=str))


def remembered(root: Path) -> list[Job]:
    """Fits and predicts of earlier starts of the app, the latest last.

    Args:
        root: the app's output folder. What is no record in it is left out.
    """
    found = [_job(path, root) for path in (root / LOGS).glob("*.json")]
    return sorted((job for job in found if job is not None), key=lambda job: job.started)


def prompts_of(job: Job) -> list[str]:
    """The prompts that a command was given, for people to know it by."""
    args = list(job.args)
    for place, token in enumerate(args):
        if token.startswith("--prompts="):
            try:
                return parse_json(token.removeprefix("--prompts="), list[str])
            except ValueError:  # not of this page
                return []
        if token == "--prompts":
            rest = args[place + 1 :]
            end = next((i for i, other in enumerate(rest) if other.startswith("--")), len(rest))
            return rest[:end]
    return []


def video_of(job: Job) -> str | None:
    """The reference that a command was given."""
    args = list(job.args)
    place = args.index("--video") + 1 if "--video" in args else len(args)
    return args[place] if place < len(args) else None


def _job(path: Path, root: Path) -> Job | None:
    log = path.with_suffix(".log")
    try:
        record = read_json(path, Record)
        ended = log.stat().st_mtime
    except (OSError, DitflowError):
        return None
    if path.stem.rpartition("-")[0] != record.kind:
        return None
    folder, cwd = root / path.stem, Path(record.cwd)
    known = record.args, log, None, record.started, cwd, ended
    return Job(record.kind, folder, *known, form=record.form)
