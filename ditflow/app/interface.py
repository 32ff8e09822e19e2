"""The page: what is on it, and which part of it calls what."""

from html import escape
from typing import Any

import gradio as gr

from ditflow.app.command_lines import LABELS, Choices
from ditflow.app.handlers import Handlers
from ditflow.app.shipped_examples import PROMPT, known_words
from ditflow.app.uploads import MASK_SUFFIXES
from ditflow.app.view import about_embedding
from ditflow.utils.shipped import embedded_backbones

EVERY = 0.7
"""Seconds between two looks at what runs."""

SHOW_STATUS = """() => {
  if (!document.querySelector("#fit-answer .bad, #predict-answer .bad"))
    document.getElementById("status").scrollIntoView({block: "nearest", behavior: "smooth"});
}"""
"""On a narrow page what has begun is shown below what began it."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Of events: no veil over what they change, and nothing for other programs to call."""


def build(on: Handlers) -> gr.Blocks:
    """The page, whose events call the handlers."""
    settings = on.settings
    backbone = settings.backbone_name
    embedded = backbone in embedded_backbones()
    with gr.Blocks(title="ditflow", analytics_enabled=False) as page:
        gr.HTML(
            "<h1>ditflow</h1><p>New videos that move as a reference does, by "
            f"{escape(backbone)}.</p>",
            elem_id="title",
        )
        with gr.Row():
            with gr.Column(scale=5, min_width=340):
                with gr.Tab("Fit a motion"):
                    reference, motion, listed, restored = fit_form(on, embedded)
                with gr.Tab("Reuse it"):
                    embeddings, picked = reuse_form(on, embedded)
            with gr.Column(scale=6, min_width=340):
                status = _shown("status")
                with gr.Row():
                    cancel = gr.Button("Cancel", visible=False, scale=0, elem_id="cancel")
                    resume = gr.Button("Go on with it", visible=False, scale=0, elem_id="resume")
                answer = _shown("answer")
                runs = gr.Dropdown(
                    label="Show",
                    info="Fits and predicts begun here, also in earlier starts of the app.",
                    choices=[],
                    visible=False,
                    elem_id="runs",
                )
                result = _shown("result")
        cancel.click(on.cancel, None, answer, **QUIET)
        resume.click(on.resume, None, answer, **QUIET)
        runs.input(on.show, runs, answer, **QUIET)
        seen = gr.State({})
        asked = [seen, reference, picked]
        shown = [status, result, motion, cancel, resume, embeddings, runs, listed, seen]
        page.load(on.restore, None, restored, **QUIET)
        page.load(on.look, asked, shown, **QUIET)
        gr.Timer(EVERY).tick(on.look, asked, shown, **QUIET)
    return page


def fit_form(on: Handlers, embedded: bool) -> tuple[gr.State, gr.HTML, gr.Dataset, list[Any]]:
    """Reference, prompts and options; the place of the reference's motion.

    Args:
        on: what its events call.
        embedded: whether the backbone is.

    Returns:
        what changes from elsewhere: the reference's file, the place of its motion flow, references
        to choose from, and all that `Handlers.restore` gives, in its order.
    """
    reference = gr.State(None)
    video = gr.Video(
        label="Reference", sources=["upload"], height=240, elem_id="reference", autoplay=True
    )
    taken_as = _shown("reference-answer")
    listed = gr.Dataset(
        label="Or one of these",
        components=[gr.Video(render=False)],
        samples=[],
        samples_per_page=24,
        visible=False,
        elem_id="examples",
    )
    show = gr.Button("Show its motion flow", elem_id="show-motion")
    motion = _shown("motion")
    prompts = _prompts(embedded, lines=2, elem_id="prompts")
    target = gr.Radio(
        ["latents", "positions"],
        value=on.preset.target,
        label=LABELS["target"],
        info="Latents for the best video of one prompt; positions to reuse on others.",
        elem_id="target",
    )
    with gr.Accordion("Options", open=False, elem_id="options"):
        options = _options(on)
        mask = gr.State(on.preset.mask)
        upload = gr.File(
            label=f"{LABELS['mask']}: white where motion counts",
            file_types=list(MASK_SUFFIXES),
            height=150,
            elem_id="mask",
        )
        mask_answer = _shown("mask-answer")
    fit = gr.Button("Fit", variant="primary", elem_id="fit")
    answer = _shown("fit-answer")
    choices = [target, *options, mask]
    for change in (upload.upload, upload.clear):
        change(on.take_mask, upload, [upload, mask, mask_answer], **QUIET)
    # A mask is of one reference.
    unmask = {"fn": lambda: (None, None, ""), "outputs": [upload, mask, mask_answer], **QUIET}
    taken = [video, reference, taken_as]
    for change in (video.upload, video.clear):
        change(on.take_upload, video, taken, **QUIET).then(**unmask)
    listed.click(on.take_listed, listed, [*taken, prompts], **QUIET).then(**unmask)
    show.click(on.preview, [reference, *choices], answer, **QUIET)
    begun = fit.click(on.fit, [reference, prompts, *choices], answer, **QUIET)
    begun.then(None, js=SHOW_STATUS)
    return reference, motion, listed, [video, reference, prompts, upload, *choices]


def reuse_form(on: Handlers, embedded: bool) -> tuple[gr.Dropdown, gr.State]:
    """An embedding and prompts to put its motion into; arguments as of `fit_form`.

    Returns:
        embeddings to choose from, and the one that was chosen by hand.
    """
    picked = gr.State(None)
    embeddings = gr.Dropdown(
        label="Motion embedding",
        info="Of the fits in the output folder, also of earlier ones.",
        choices=[],
        elem_id="embeddings",
    )
    about = _shown("about-embedding")
    upload = gr.File(
        label="Or upload a motion.safetensors",
        file_types=[".safetensors"],
        height=150,
        elem_id="embedding-upload",
    )
    prompts = _prompts(embedded, lines=3, elem_id="new-prompts")
    seeds = gr.Textbox(
        label="Seeds", placeholder="The fit's own; or several, such as 0 1 2", elem_id="seeds"
    )
    predict = gr.Button("Predict", variant="primary", elem_id="predict")
    answer = _shown("predict-answer")
    embeddings.input(lambda path: path, embeddings, picked, **QUIET)
    embeddings.change(about_embedding, embeddings, about, **QUIET)
    upload.upload(on.take_embedding, upload, [embeddings, picked, upload, answer], **QUIET)
    begun = predict.click(on.predict, [embeddings, prompts, seeds], answer, **QUIET)
    begun.then(None, js=SHOW_STATUS)
    return embeddings, picked


def _shown(elem_id: str) -> gr.HTML:
    """The place of what `view` gives."""
    return gr.HTML(elem_id=elem_id, elem_classes="shown")


def _prompts(embedded: bool, lines: int, elem_id: str) -> gr.Textbox:
    return gr.Textbox(
        label="Prompts",
        info=known_words() if embedded else None,
        lines=lines,
        placeholder=f"One a line, such as: {PROMPT}" if embedded else "One a line",
        elem_id=elem_id,
    )


def _options(on: Handlers) -> list[Any]:
    """Of `Choices` in its order, but for the first, the target, and the last, the mask."""
    preset = on.preset
    with gr.Row():
        seed = _number("seed", preset)
        steps = _number("optimization_steps", preset, elem_id="adam-steps")
    with gr.Row():
        start = _number("start_frame", preset)
        stride = _number("stride", preset, placeholder="By the video's rate")
    with gr.Row():
        frames = _number("num_frames", preset, placeholder="The preset's")
        block = _number("block", preset, elem_id="block")
    injection = gr.Checkbox(
        preset.injection,
        label=LABELS["injection"],
        info="Lends the reference's keys and values for the first steps.",
    )
    confidence = gr.Checkbox(
        preset.confidence,
        label=LABELS["confidence"],
        info="Counts each patch's motion by how sure the attention is of it.",
        visible=hasattr(on.settings.model["objective"], "confidence"),
        elem_id="confidence",
    )
    return [seed, injection, steps, start, stride, frames, block, confidence]


def _number(name: str, preset: Choices, **look: Any) -> gr.Number:
    return gr.Number(getattr(preset, name), label=LABELS[name], precision=0, min_width=120, **look)
