"""The page: what is on it, and which part of it calls what."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from ditflow.app.commands import Choices
from ditflow.app.examples import Example
from ditflow.app.handlers import Handlers
from ditflow.app.jobs import Jobs
from ditflow.settings import Settings

EVERY = 0.7
"""Seconds between two looks at what runs."""

SHOW_STATUS = """() => {
  if (!document.querySelector("#fit-answer .bad, #predict-answer .bad"))
    document.getElementById("status").scrollIntoView({block: "nearest", behavior: "smooth"});
}"""
"""On a narrow page what has begun is shown below what began it."""

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
"""Of events: no veil over what they change, and nothing for other programs to call."""


def build(
    jobs: Jobs,
    configs: Sequence[str],
    settings: Settings,
    examples: Sequence[Example],
    max_frames: int,
) -> gr.Blocks:
    """The page.

    Args:
        jobs: what it starts and shows.
        configs: presets of its fits, stacked.
        settings: what these say.
        examples: references to choose from.
        max_frames: of an uploaded reference.
    """
    on = Handlers(jobs, configs, settings, examples, max_frames)
    with gr.Blocks(title="ditflow", analytics_enabled=False) as page:
        gr.HTML(
            "<h1>ditflow</h1><p>New videos that move as a reference does, by "
            f"{escape(settings.backbone_name)}.</p>",
            elem_id="title",
        )
        with gr.Row():
            with gr.Column(scale=5, min_width=340):
                with gr.Tab("Fit a motion"):
                    motion = _fit_tab(on, examples)
                with gr.Tab("Reuse it"):
                    embeddings = _reuse_tab(on)
            with gr.Column(scale=6, min_width=340):
                status = gr.HTML(elem_id="status", elem_classes="shown")
                with gr.Row():
                    cancel = gr.Button("Cancel", visible=False, scale=0, elem_id="cancel")
                    resume = gr.Button("Go on with it", visible=False, scale=0, elem_id="resume")
                answer = gr.HTML(elem_classes="shown")
                runs = gr.Dropdown(
                    label="Show",
                    info="Fits and predicts in the output folder, also of earlier starts.",
                    choices=[],
                    visible=False,
                    elem_id="runs",
                )
                result = gr.HTML(elem_id="result", elem_classes="shown")
        cancel.click(on.cancel, None, answer, **QUIET)
        resume.click(on.resume, None, answer, **QUIET)
        runs.input(on.show, runs, answer, **QUIET)
        seen = gr.State({})
        shown = [status, result, motion, cancel, resume, embeddings, runs, seen]
        page.load(on.look, seen, shown, **QUIET)
        gr.Timer(EVERY).tick(on.look, seen, shown, **QUIET)
    return page


def _fit_tab(on: Handlers, examples: Sequence[Example]) -> gr.HTML:
    """Reference, prompts and options; the place of the reference's motion."""
    reference = gr.State(None)
    video = gr.Video(
        label="Reference", sources=["upload"], height=240, elem_id="reference", autoplay=True
    )
    taken_as = gr.HTML(elem_id="reference-answer", elem_classes="shown")
    if examples:
        chosen = gr.Dataset(
            label="Or one of these",
            components=[gr.Video(render=False)],
            samples=[[str(example.video.resolve())] for example in examples],
            type="index",
            elem_id="examples",
        )
    show = gr.Button("Show its motion flow", elem_id="show-motion")
    motion = gr.HTML(elem_id="motion", elem_classes="shown")
    prompts = gr.Textbox(label="Prompts", lines=2, placeholder="One a line", elem_id="prompts")
    with gr.Accordion("Options", open=False, elem_id="options"):
        choices = _options(on.preset)
    fit = gr.Button("Fit", variant="primary", elem_id="fit")
    answer = gr.HTML(elem_id="fit-answer", elem_classes="shown")
    taken = [video, reference, taken_as, motion]
    video.upload(on.take_upload, video, taken, **QUIET)
    video.clear(on.take_upload, video, taken, **QUIET)
    if examples:
        filled = [video, reference, prompts, taken_as, motion]
        chosen.click(on.take_example, chosen, filled, **QUIET)
    show.click(on.preview, [reference, *choices], answer, **QUIET)
    begun = fit.click(on.fit, [reference, prompts, *choices], answer, **QUIET)
    begun.then(None, js=SHOW_STATUS)
    return motion


def _options(preset: Choices) -> list[Any]:
    """Of `Choices`, in its order."""
    target = gr.Radio(
        ["latents", "positions"],
        value=preset.target,
        label="Optimise",
        info="Latents for the best video of one prompt; positions to reuse on others.",
    )
    with gr.Row():
        seed = gr.Number(preset.seed, label="Seed", precision=0, min_width=120)
        steps = gr.Number(
            preset.optimization_steps,
            label="Adam steps a guided step",
            precision=0,
            min_width=120,
            elem_id="adam-steps",
        )
    with gr.Row():
        start = gr.Number(preset.start_frame, label="First frame", precision=0, min_width=120)
        stride = gr.Number(preset.stride, label="Every so many frames", precision=0, min_width=120)
    injection = gr.Checkbox(
        preset.injection,
        label="KV injection",
        info="Lends the reference's keys and values for the first steps.",
    )
    return [target, seed, injection, steps, start, stride]


def _reuse_tab(on: Handlers) -> gr.Dropdown:
    """An embedding and prompts to put its motion into; the choice of embeddings."""
    embeddings = gr.Dropdown(
        label="Motion embedding",
        info="Of the fits in the output folder, also of earlier ones.",
        choices=[],
        elem_id="embeddings",
    )
    upload = gr.File(
        label="Or upload a motion.safetensors",
        file_types=[".safetensors"],
        height=120,
        elem_id="embedding-upload",
    )
    prompts = gr.Textbox(label="Prompts", lines=3, placeholder="One a line", elem_id="new-prompts")
    seeds = gr.Textbox(
        label="Seeds", placeholder="The fit's own; or several, such as 0 1 2", elem_id="seeds"
    )
    predict = gr.Button("Predict", variant="primary", elem_id="predict")
    answer = gr.HTML(elem_id="predict-answer", elem_classes="shown")
    upload.upload(on.take_embedding, upload, [embeddings, upload, answer], **QUIET)
    begun = predict.click(on.predict, [embeddings, prompts, seeds], answer, **QUIET)
    begun.then(None, js=SHOW_STATUS)
    return embeddings
