"""What pressing something on the page does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ditflow.app.commands import Choices, fit_args, predict_args, preview_args
from ditflow.app.examples import Example
from ditflow.app.job import Job
from ditflow.app.jobs import Jobs
from ditflow.app.uploads import keep_embedding, keep_video
from ditflow.app.view import (
    embedding_choices,
    message_html,
    motion_html,
    result_html,
    run_choices,
    sizes,
    state_of,
    status_html,
)
from ditflow.errors import DitflowError, printable
from ditflow.settings import Settings


class Handlers:
    """Functions of the page's events; what is wrong with the input is their message.

    Args:
        jobs: what they start and show.
        configs: presets of fits, stacked.
        settings: what these say.
        examples: references to choose from.
        max_frames: of an uploaded reference.
    """

    def __init__(
        self,
        jobs: Jobs,
        configs: Sequence[str],
        settings: Settings,
        examples: Sequence[Example],
        max_frames: int,
    ):
        self.jobs, self.configs, self.examples = jobs, configs, examples
        self.preset, self.block = Choices.of(settings), settings.model["block"]
        self.max_frames = max_frames

    def take_upload(self, upload: str | None) -> tuple[Any, Path | None, str, str]:
        """An uploaded reference: the player's file, what is kept of it, message, no motion yet."""
        if upload is None:
            return None, None, "", ""
        try:
            kept = keep_video(Path(upload), self.jobs.root, self.max_frames)
        except DitflowError as error:
            return None, None, _error(error), ""
        return gr.skip(), kept, message_html(f"Taken as {kept}.", bad=False), ""

    def take_example(self, chosen: int) -> tuple[str, Path, str, str, str]:
        """A reference of those to choose from; its prompts too."""
        example = self.examples[chosen]
        return str(example.video.resolve()), example.video, example.prompt, "", ""

    def preview(self, video: Path | None, *choices: Any) -> str:
        """Show the motion flow of the reference."""

        def args(folder: Path) -> list[str]:
            chosen = Choices(*choices)
            video_ = _given(video)
            return preview_args(self.configs, video_, self.block, chosen, self.preset, folder)

        return self._start("preview", args)

    def fit(self, video: Path | None, prompts: str, *choices: Any) -> str:
        """Fit the reference's motion."""

        def args(folder: Path) -> list[str]:
            chosen = Choices(*choices)
            return fit_args(self.configs, _given(video), prompts, chosen, self.preset, folder)

        return self._start("fit", args)

    def predict(self, embedding: str | None, prompts: str, seeds: str) -> str:
        """Put a fitted motion into other prompts."""

        def args(folder: Path) -> list[str]:
            if embedding not in [path for _, path in embedding_choices(self.jobs.root)]:
                raise DitflowError("embedding is not given; fit a motion first, or upload one.")
            return predict_args(Path(embedding), prompts, seeds, folder)

        return self._start("predict", args)

    def take_embedding(self, upload: str | None) -> tuple[Any, None, str]:
        """An uploaded embedding: the choice of it, an empty place for the next, message."""
        if upload is None:
            return gr.skip(), None, ""
        try:
            kept = keep_embedding(Path(upload), self.jobs.root)
        except DitflowError as error:
            return gr.skip(), None, _error(error)
        choices = embedding_choices(self.jobs.root)
        return gr.update(choices=choices, value=str(kept)), None, ""

    def cancel(self) -> str:
        """Stop what runs."""
        self.jobs.cancel()
        return ""

    def resume(self) -> str:
        """Go on with a fit that was stopped."""
        return self._answer(self.jobs.resume)

    def show(self, name: str) -> str:
        """Show a fit or predict of those in the output folder."""
        return self._answer(lambda: self.jobs.show(name))

    def look(self, seen: dict[str, Any]) -> list[Any]:
        """What has changed since the last look: status, result and motion, the buttons to cancel
        and to go on, the embeddings and the runs to choose from; then what there is to compare
        with next time.
        """
        job, run, preview = self.jobs.last, self.jobs.run, self.jobs.preview
        state = "idle" if job is None else job.state
        running = state == "running"
        now = {
            "status": (state_of(job), job.seconds if running else None),
            "result": (state_of(run), sizes(run)),
            "motion": state_of(preview),
            "cancel": (running, running and job.asked_to_stop),
            "resume": job is not None and job.kind == "fit" and state in ("stopped", "failed"),
            "began_or_ended": state_of(job),
            "runs": (run_choices(self.jobs.runs), None if run is None else run.name),
        }
        changed = {name for name in now if now[name] != seen.get(name)}
        now["embeddings"] = (
            embedding_choices(self.jobs.root)
            if "began_or_ended" in changed or "embeddings" not in seen
            else seen["embeddings"]
        )
        choices = now["embeddings"]
        first = choices[0][1] if choices else None
        label = "Stop at once" if now["cancel"][1] else "Cancel"
        return [
            status_html(job) if "status" in changed else gr.skip(),
            result_html(run) if "result" in changed else gr.skip(),
            motion_html(preview) if "motion" in changed else gr.skip(),
            gr.update(visible=running, value=label) if "cancel" in changed else gr.skip(),
            gr.update(visible=now["resume"]) if "resume" in changed else gr.skip(),
            gr.update(choices=choices, value=first)
            if choices != seen.get("embeddings")
            else gr.skip(),
            gr.update(choices=now["runs"][0], value=now["runs"][1], visible=run is not None)
            if "runs" in changed
            else gr.skip(),
            now,
        ]

    def _start(self, kind: str, args: Callable[[Path], list[str]]) -> str:
        return self._answer(lambda: self.jobs.start(kind, args))

    def _answer(self, act: Callable[[], Job | None]) -> str:
        try:
            act()
        except DitflowError as error:
            return _error(error)
        return ""


def _given(video: Path | None) -> Path:
    if video is None:
        raise DitflowError("video is not given; choose a reference, or upload one.")
    return video


def _error(error: DitflowError) -> str:
    """In one line, as the command line says it."""
    return message_html(" ".join(printable(str(error)).split()))
