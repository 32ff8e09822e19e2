"""What the output folder remembers of the app's commands, for its next start."""

import json
import math
from pathlib import Path

from ditflow.app.job import Job
from ditflow.utils.files import write_text
from ditflow.utils.untrusted import parse_json, read_json

LOGS = "logs"
"""Folder of what the commands wrote to their terminals, and beside it how they were started."""

KINDS = ("fit", "predict")
"""Of commands that are remembered: a preview is soon made again."""


def remember(job: Job) -> None:
    """Write how a command was started beside its log."""
    record = {"kind": job.kind, "args": job.args, "started": job.started, "cwd": str(job.cwd)}
    write_text(job.log.with_suffix(".json"), json.dumps(record))


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
            return _texts(token.removeprefix("--prompts="))
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


def _texts(text: str) -> list[str]:
    """Those of a JSON list; none of what a page of ours does not write."""
    try:
        values = parse_json(text)
    except ValueError:
        return []
    return [value for value in values if isinstance(value, str)] if type(values) is list else []


def _job(path: Path, root: Path) -> Job | None:
    log = path.with_suffix(".log")
    try:
        record = read_json(path)
        ended = log.stat().st_mtime
        kind, args, started, cwd = (record[name] for name in ("kind", "args", "started", "cwd"))
        usable = kind in KINDS and all(isinstance(token, str) for token in args)
        usable = usable and math.isfinite(started)
        if not usable or path.stem.rpartition("-")[0] != kind:
            return None
        return Job(kind, root / path.stem, args, log, None, float(started), Path(cwd), ended)
    except (OSError, ArithmeticError, ValueError, TypeError, KeyError):
        return None
