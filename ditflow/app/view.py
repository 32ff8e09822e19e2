"""What the page shows of a command, as HTML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ditflow.app.command_lines import on_page
from ditflow.app.job import Job
from ditflow.app.remembered import prompts_of
from ditflow.embedding.listing import list_embeddings
from ditflow.embedding.reader import read_header
from ditflow.errors import DitflowError
from ditflow.pages.run import drawn, run_videos
from ditflow.pages.templating import render
from ditflow.runs.folder import COMMANDS, CONFIG, EMBEDDING, PAGE

PHASES = {
    "preview": [],
    "fit": ["encoding the reference", "guided step", "denoising", "decoding"],
    "predict": ["guided steps", "denoising", "decoding"],
}
"""Of each kind of command, what its progress goes through, in order."""

DOWNLOADS = (EMBEDDING, "*.mp4", PAGE, CONFIG, COMMANDS)
"""Files of a run that are offered, in this order."""


def message_html(text: str, kind: Literal["good", "warning", "bad"] = "bad") -> str:
    """A line that answers what was pressed: what was taken, what to heed, or what was wrong."""
    return render("app-message.html", text=text, kind=kind)


def state_of(job: Job | None) -> tuple[str, float, str] | None:
    """Which command it is and whether it runs, to be compared with what was shown."""
    return None if job is None else (job.name, job.started, job.state)


def sizes(job: Job | None) -> tuple[int, ...]:
    """Of the files that a result is shown of, which grow as the command goes on."""
    patterns = ("tensorboard/*", "*.mp4")
    found = [] if job is None else [path for each in patterns for path in job.folder.glob(each)]
    return tuple(path.stat().st_size for path in sorted(found) if path.is_file())


def status_html(job: Job | None) -> str:
    """What runs, how far it is, or how it ended."""
    if job is None:
        return render("app-status.html", job=None)
    state, progress = job.state, job.progress()
    running = state == "running"
    return render(
        "app-status.html",
        job=job,
        state=state,
        time=_minutes(job.seconds),
        progress=progress if progress is not None and progress.phase else None,
        phases=PHASES[job.kind],
        outcome=outcome(job),
        # Of a preview they are with what it shows.
        warnings=[] if job.kind == "preview" else _warnings(job),
        said="" if running else "\n".join(job.lines()),
    )


def outcome(job: Job) -> str:
    """How a command ended, in a line; empty while it runs and where all went well."""
    if job.state == "stopped":
        return (job.said("stopped") or ["Stopped."])[-1]  # killed, it says nothing
    if job.state != "failed":
        return ""
    error = job.error()
    # With another status than that of wrong input there is more to read, such as a traceback.
    if error is not None and (job.process is None or job.process.returncode == 2):
        return on_page(error)
    last = error or "".join(job.lines()[-1:]) or "it said nothing"
    return f"The command failed: {last} (all of its output: {job.log})."


def result_html(job: Job | None) -> str:
    """What a fit or predict has made so far: videos, files, loss and motion flows."""
    if job is None:
        return ""
    running = job.state == "running"
    try:
        videos = [] if running and job.kind == "fit" else run_videos(job.folder)
    except DitflowError:  # of a run that ended before it had written its configuration
        videos = []
    return render(
        "app-result.html",
        job=job,
        videos=[(video, address(video.path)) for video in videos],
        files=[] if running else _files(job.folder),
        **drawn(job.folder),
    )


def motion_html(job: Job | None) -> str:
    """What a preview has found."""
    found = [] if job is None or job.state != "finished" else job.said("result")
    if job is None or not found:
        return ""
    title, _, table = found[0].partition("\n")
    return render(
        "app-motion.html",
        title=title,
        notes=job.said("info"),
        table=table,
        warnings=_warnings(job),
        video=address(job.folder / "preview.mp4"),
        picture=address(job.folder / "preview.png"),
    )


def embedding_choices(root: Path) -> list[tuple[str, str]]:
    """Label and path of every motion embedding there is, the latest first."""
    choices = []
    for path, header in sorted(
        list_embeddings(root).items(), key=lambda item: -item[0].stat().st_mtime
    ):
        name = path.parent.name if path.name == EMBEDDING else path.stem
        choices.append((f"{name}: {header.target}, {_short(header.prompts)}", str(path)))
    return choices


def about_embedding(path: str | None) -> str:
    """What to know of an embedding before it is used again."""
    try:
        latents = path is not None and read_header(Path(path)).target == "latents"
    except DitflowError:  # it is no longer there
        latents = False
    if not latents:
        return ""
    return message_html(
        "This embedding holds latents: its start is the fitted video's own noise, so other prompts "
        "keep that look; fit positions to reuse a motion.",
        "warning",
    )


def run_choices(runs: Sequence[Job]) -> list[tuple[str, str]]:
    """Label and name of fits and predicts, the latest first.

    Args:
        runs: the latest last.
    """
    choices = []
    for job in reversed(runs):
        state = "" if job.state == "finished" else f" ({job.state})"
        choices.append((f"{job.name}{state}: {_short(prompts_of(job))}", job.name))
    return choices


def address(path: Path) -> str:
    """Where the server has a file of its output folder."""
    return f"gradio_api/file={quote(str(path.resolve()))}"


def _warnings(job: Job) -> list[str]:
    return [on_page(text) for text in job.said("warning")]


def _short(prompts: Sequence[str]) -> str:
    more = f" and {len(prompts) - 1} more" if len(prompts) > 1 else ""
    return f"{''.join(prompts[:1])}{more}"


def _files(folder: Path) -> list[tuple[str, str, str]]:
    """Name, address and size of the files to download."""
    found = [path for pattern in DOWNLOADS for path in sorted(folder.glob(pattern))]
    return [(path.name, address(path), _size(path.stat().st_size)) for path in found]


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{max(1, round(size / 2**10))} kB"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
