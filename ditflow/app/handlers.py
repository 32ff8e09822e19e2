"""What pressing something on the page does."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from ditflow.app.command_lines import Choices, Form, fit_args, predict_args, preview_args
from ditflow.app.job import Job
from ditflow.app.jobs_in_turn import Jobs
from ditflow.app.look import look
from ditflow.app.remembered import prompts_of, video_of
from ditflow.app.shipped_examples import Example
from ditflow.app.uploads import MASKS, keep_embedding, keep_mask, keep_video, kept_references
from ditflow.app.view import embedding_choices, message_html
from ditflow.errors import DitflowError, printable
from ditflow.settings.stacked import Settings
from ditflow.utils.files import written

LISTED = 6
"""Kept references to choose from at most."""


class Handlers:
    """Functions of the page's events; what is wrong with the input is their message.

    Args:
        jobs: what they start and show.
        configs: presets of fits, stacked.
        settings: what these say.
        examples: references to choose from.
        max_frames: of an uploaded reference or mask.
    """

    def __init__(
        self,
        jobs: Jobs,
        configs: Sequence[str],
        settings: Settings,
        examples: Sequence[Example],
        max_frames: int,
    ):
        self.jobs, self.configs, self.settings = jobs, tuple(configs), settings
        self.preset = Choices.of(settings)
        self.examples = {example.video: example for example in examples}
        self.max_frames = max_frames

    def take_upload(self, upload: str | None) -> tuple[Any, Path | None, str]:
        """An uploaded reference: the player's file, what is kept of it, message."""
        kept, message = self._keep(keep_video, upload)
        return None if kept is None else gr.skip(), kept, message

    def take_listed(self, chosen: Sequence[str]) -> tuple[Any, Path | None, str, Any]:
        """A reference of those to choose from: the player's file, its own, message, prompts."""
        found = (video for video in self._listed() if str(video.resolve()) == chosen[0])
        video = next(found, None)
        if video is None:
            gone = DitflowError(f"video={chosen[0]} is no longer there; choose another.")
            return None, None, _error(gone), gr.skip()
        example = self.examples.get(video)
        prompts = example.prompt if example is not None and example.prompt else gr.skip()
        return chosen[0], video, "", prompts

    def take_mask(self, upload: str | None) -> tuple[Any, Path | None, str]:
        """An uploaded mask: the place of its name, what is kept of it, message."""
        return gr.skip(), *self._keep(keep_mask, upload)

    def take_embedding(self, upload: str | None) -> tuple[Any, Any, None, str]:
        """An uploaded embedding: the choice of it, that it was chosen by hand, an empty place for
        the next, message.
        """
        if upload is None:
            return gr.skip(), gr.skip(), None, ""
        try:
            kept = keep_embedding(Path(upload), self.jobs.root)
        except DitflowError as error:
            return gr.skip(), gr.skip(), None, _error(error)
        choices = embedding_choices(self.jobs.root)
        return gr.update(choices=choices, value=str(kept)), str(kept), None, ""

    def restore(self) -> list[Any]:
        """What the last fit or preview was begun with, for a page that is loaded: the player's
        file, the reference, prompts, the place of the mask's name, and `Choices` in their order.
        """
        fits = [job for job in self.jobs.runs.values() if job.kind == "fit"]
        begun = [*fits, *filter(None, [self.jobs.preview])]
        last = max(begun, key=lambda job: job.started, default=None)
        named = None if last is None else video_of(last)
        video = next((video for video in self._listed() if str(video) == named), None)
        form = None if last is None or video is None else last.form
        chosen = self.preset
        if form is not None and form.configs == self.configs:
            chosen = form.choices
        masked = chosen.mask in written(self.jobs.root / MASKS, "*")
        if not masked:
            chosen = replace(chosen, mask=self.preset.mask)
        return [
            None if video is None else str(video.resolve()),
            video,
            "\n".join(prompts_of(fits[-1])) if fits else "",
            str(chosen.mask.resolve()) if masked and chosen.mask is not None else None,
            *vars(chosen).values(),
        ]

    def preview(self, video: Path | None, *choices: Any) -> str:
        """Show the motion flow of the reference."""
        form = Form(self.configs, Choices(*choices))

        def args(folder: Path) -> list[str]:
            return preview_args(self.configs, _given(video), form.choices, self.preset, folder)

        return self._answer(lambda: self.jobs.start("preview", args, form))

    def fit(self, video: Path | None, prompts: str, *choices: Any) -> str:
        """Fit the reference's motion."""
        form = Form(self.configs, Choices(*choices))

        def args(folder: Path) -> list[str]:
            given = _given(video), prompts, form.choices
            return fit_args(self.configs, *given, self.preset, folder)

        return self._answer(lambda: self.jobs.start("fit", args, form))

    def predict(self, embedding: str | None, prompts: str, seeds: str) -> str:
        """Put a fitted motion into other prompts."""

        def args(folder: Path) -> list[str]:
            known = [path for _, path in embedding_choices(self.jobs.root)]
            if embedding is None or embedding not in known:
                raise DitflowError("embedding is not given; fit a motion first, or upload one.")
            return predict_args(Path(embedding), prompts, seeds, folder)

        return self._answer(lambda: self.jobs.start("predict", args))

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

    def look(self, seen: dict[str, Any], video: Path | None, picked: str | None) -> list[Any]:
        """What has changed since the last look; see `look`."""
        kept = [video for video in self._listed() if video not in self.examples]
        return look(self.jobs, seen, video, picked, [*self.examples, *kept[:LISTED]])

    def _listed(self) -> list[Path]:
        """References that a page may take: examples, then uploads that are kept, the latest first.

        Those that are drawn for examples are in the same folder.
        """
        kept = kept_references(self.jobs.root)
        return [*self.examples, *(video for video in kept if video not in self.examples)]

    def _keep(
        self, keep: Callable[[Path, Path, int], Path], upload: str | None
    ) -> tuple[Path | None, str]:
        """What is kept of an upload, and a message."""
        if upload is None:
            return None, ""
        try:
            kept = keep(Path(upload), self.jobs.root, self.max_frames)
        except DitflowError as error:
            return None, _error(error)
        return kept, message_html(f"Taken as {kept}.", "good")

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
