"""What a page shows that has changed since it last looked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ditflow.app.job import Job
from ditflow.app.queue import Jobs
from ditflow.app.remembered import video_of
from ditflow.app.view import (
    embedding_choices,
    motion_html,
    result_html,
    run_choices,
    sizes,
    state_of,
    status_html,
)


def look(
    jobs: Jobs,
    seen: dict[str, Any],
    video: Path | None,
    picked: str | None,
    references: Sequence[Path],
) -> list[Any]:
    """Updates of a page's parts, of those alone that differ from what it shows.

    Args:
        jobs: whose state it shows.
        seen: what there was at the last look; empty at the first.
        video: the page's reference.
        picked: the embedding that was chosen by hand, if one was.
        references: to choose from.

    Returns:
        status, result and motion, the buttons to cancel and to go on, the embeddings, the runs and
        the references to choose from; then what there is, to compare with next time.
    """
    job, run = jobs.last, jobs.run
    preview = jobs.preview if _is_of(jobs.preview, video) else None
    running = job is not None and job.state == "running"
    can_go_on = run is not None and not running and run.can_go_on
    now = {
        "status": (state_of(job), job.seconds if running else None),
        "result": (state_of(run), sizes(run)),
        "motion": state_of(preview),
        "cancel": (running, "Stop at once" if running and job.asked_to_stop else "Cancel"),
        "resume": (can_go_on, f"Go on with {'it' if run in (None, job) else run.name}"),
        "embeddings": seen.get("embeddings"),
        "runs": (run_choices(jobs.runs), None if run is None else run.name),
        "references": [[str(reference.resolve())] for reference in references],
        "began_or_ended": state_of(job),
    }
    # Their headers are read from many files: when a command began or ended, which makes them.
    if "embeddings" not in seen or now["began_or_ended"] != seen["began_or_ended"]:
        now["embeddings"] = embedding_choices(jobs.root)
    updates = {
        "status": lambda: status_html(job),
        "result": lambda: result_html(run),
        "motion": lambda: motion_html(preview),
        "cancel": lambda: _button(*now["cancel"]),
        "resume": lambda: _button(*now["resume"]),
        "embeddings": lambda: _embeddings(now["embeddings"], picked),
        "runs": lambda: gr.update(
            choices=now["runs"][0], value=now["runs"][1], visible=run is not None
        ),
        "references": lambda: gr.update(samples=now["references"], visible=bool(references)),
    }
    return [
        *(
            gr.skip() if name in seen and seen[name] == now[name] else update()
            for name, update in updates.items()
        ),
        now,
    ]


def _is_of(preview: Job | None, video: Path | None) -> bool:
    """Whether a preview shows the page's reference."""
    return preview is not None and video is not None and video_of(preview) == str(video)


def _button(visible: bool, value: str) -> Any:
    return gr.update(visible=visible, value=value)


def _embeddings(choices: Sequence[tuple[str, str]], picked: str | None) -> Any:
    """The embeddings to choose from; what was chosen by hand stays, or else it is the latest."""
    paths = [path for _, path in choices]
    if picked in paths:
        return gr.update(choices=choices)
    return gr.update(choices=choices, value=paths[0] if paths else None)
