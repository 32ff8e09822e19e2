"""What the output folder remembers of the app's commands, for its next start."""

import json
from pathlib import Path

from ditflow.app.job import Job
from ditflow.files import write_text

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
            return json.loads(token.removeprefix("--prompts="))
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
        record = json.loads(path.read_text(encoding="utf-8"))
        ended = log.stat().st_mtime
        kind, args, started, cwd = (record[name] for name in ("kind", "args", "started", "cwd"))
        usable = kind in KINDS and all(isinstance(token, str) for token in args)
        if not usable or path.stem.rpartition("-")[0] != kind:
            return None
        return Job(kind, root / path.stem, args, log, None, float(started), Path(cwd), ended)
    except (OSError, ValueError, TypeError, KeyError):
        return None
