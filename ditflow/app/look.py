"""What a page shows that has changed since it last looked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ditflow.app.jobs_in_turn import Jobs
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

Part = tuple[Any, Callable[[], Any]]
"""What a part of the page is made of, to tell whether it has changed; and what makes it."""


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
    job, run, preview = jobs.last, jobs.run, jobs.preview
    if preview is not None and (video is None or video_of(preview) != str(video)):
        preview = None  # of another reference
    state = state_of(job)
    running = job is not None and job.state == "running"
    stop = "Stop at once" if job is not None and job.asked_to_stop else "Cancel"
    can_go_on = run is not None and not running and run.can_go_on
    go_on = "Go on with it" if run is None or run is job else f"Go on with {run.name}"
    runs, shown = run_choices([*jobs.runs.values()]), None if run is None else run.name
    samples = [[str(reference.resolve())] for reference in references]
    # Read from many files: when a command has begun or ended, which may have made one.
    is_same = "state" in seen and seen["state"] == state
    embeddings = seen["embeddings"] if is_same else embedding_choices(jobs.root)
    parts: dict[str, Part] = {
        "status": ((state, job and running and job.seconds), lambda: status_html(job)),
        "result": ((state_of(run), sizes(run)), lambda: result_html(run)),
        "motion": (state_of(preview), lambda: motion_html(preview)),
        "cancel": ((running, stop), lambda: gr.update(visible=running, value=stop)),
        "resume": ((can_go_on, go_on), lambda: gr.update(visible=can_go_on, value=go_on)),
        "embeddings": (embeddings, lambda: _embeddings(embeddings, picked)),
        "runs": (
            (runs, shown),
            lambda: gr.update(choices=runs, value=shown, visible=run is not None),
        ),
        "references": (samples, lambda: gr.update(samples=samples, visible=bool(samples))),
    }
    updates = [
        gr.skip() if name in seen and seen[name] == made_of else make()
        for name, (made_of, make) in parts.items()
    ]
    return [*updates, {"state": state, **{name: made_of for name, (made_of, _) in parts.items()}}]


def _embeddings(choices: Sequence[tuple[str, str]], picked: str | None) -> Any:
    """The embeddings to choose from; what was chosen by hand stays, or else it is the latest."""
    paths = [path for _, path in choices]
    if picked in paths:
        return gr.update(choices=choices)
    return gr.update(choices=choices, value=paths[0] if paths else None)
