"""The page's two forms: a fit, and a fitted motion's reuse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ditflow.app.command_lines import LABELS, Choices
from ditflow.app.handlers import Handlers
from ditflow.app.uploads import MASK_SUFFIXES
from ditflow.app.words import EXAMPLE, known_words

SHOW_STATUS = """() => {
  if (!document.querySelector("#fit-answer .bad, #predict-answer .bad"))
    document.getElementById("status").scrollIntoView({block: "nearest", behavior: "smooth"});
}"""
"""On a narrow page what has begun is shown below what began it."""

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
"""Of events: no veil over what they change, and nothing for other programs to call."""


@dataclass(frozen=True)
class FitTab:
    """What of a fit's form changes from elsewhere.

    Attributes:
        reference: the file, a state.
        motion: the place of its motion flow.
        listed: references to choose from.
        restored: all that `Handlers.restore` gives, in its order.
    """

    reference: gr.State
    motion: gr.HTML
    listed: gr.Dataset
    restored: Sequence[Any]


@dataclass(frozen=True)
class ReuseTab:
    """What of a reuse's form changes from elsewhere.

    Attributes:
        embeddings: to choose from.
        picked: the one that was chosen by hand, a state.
    """

    embeddings: gr.Dropdown
    picked: gr.State


def fit_tab(on: Handlers, embedded: bool, weighs: bool) -> FitTab:
    """Reference, prompts and options; the place of the reference's motion.

    Args:
        on: what its events call.
        embedded: whether the backbone is.
        weighs: whether the objective can count motion by its confidence.
    """
    reference = gr.State(None)
    video = gr.Video(
        label="Reference", sources=["upload"], height=240, elem_id="reference", autoplay=True
    )
    taken_as = gr.HTML(elem_id="reference-answer", elem_classes="shown")
    listed = gr.Dataset(
        label="Or one of these",
        components=[gr.Video(render=False)],
        samples=[],
        samples_per_page=24,
        visible=False,
        elem_id="examples",
    )
    show = gr.Button("Show its motion flow", elem_id="show-motion")
    motion = gr.HTML(elem_id="motion", elem_classes="shown")
    prompts = _prompts(embedded, lines=2, elem_id="prompts")
    target = gr.Radio(
        ["latents", "positions"],
        value=on.preset.target,
        label=LABELS["target"],
        info="Latents for the best video of one prompt; positions to reuse on others.",
        elem_id="target",
    )
    with gr.Accordion("Options", open=False, elem_id="options"):
        options = _options(on.preset, weighs)
        upload, mask, mask_answer = _mask(on)
    fit = gr.Button("Fit", variant="primary", elem_id="fit")
    answer = gr.HTML(elem_id="fit-answer", elem_classes="shown")
    choices = [target, *options, mask]
    # A mask is of one reference.
    unmask = {"fn": lambda: (None, None, ""), "outputs": [upload, mask, mask_answer], **QUIET}
    taken = [video, reference, taken_as]
    for change in (video.upload, video.clear):
        change(on.take_upload, video, taken, **QUIET).then(**unmask)
    listed.click(on.take_listed, listed, [*taken, prompts], **QUIET).then(**unmask)
    show.click(on.preview, [reference, *choices], answer, **QUIET)
    begun = fit.click(on.fit, [reference, prompts, *choices], answer, **QUIET)
    begun.then(None, js=SHOW_STATUS)
    return FitTab(reference, motion, listed, [video, reference, prompts, upload, *choices])


def reuse_tab(on: Handlers, embedded: bool) -> ReuseTab:
    """An embedding and prompts to put its motion into."""
    picked = gr.State(None)
    embeddings = gr.Dropdown(
        label="Motion embedding",
        info="Of the fits in the output folder, also of earlier ones.",
        choices=[],
        elem_id="embeddings",
    )
    about = gr.HTML(elem_id="about-embedding", elem_classes="shown")
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
    answer = gr.HTML(elem_id="predict-answer", elem_classes="shown")
    embeddings.input(lambda path: path, embeddings, picked, **QUIET)
    embeddings.change(on.about, embeddings, about, **QUIET)
    upload.upload(on.take_embedding, upload, [embeddings, picked, upload, answer], **QUIET)
    begun = predict.click(on.predict, [embeddings, prompts, seeds], answer, **QUIET)
    begun.then(None, js=SHOW_STATUS)
    return ReuseTab(embeddings, picked)


def _prompts(embedded: bool, lines: int, elem_id: str) -> gr.Textbox:
    """Of a form; what the embedded models know is said with it."""
    return gr.Textbox(
        label="Prompts",
        info=known_words() if embedded else None,
        lines=lines,
        placeholder=f"One a line, such as: {EXAMPLE}" if embedded else "One a line",
        elem_id=elem_id,
    )


def _options(preset: Choices, weighs: bool) -> list[Any]:
    """Of `Choices` in its order, but for the first, the target, and the last, the mask."""
    with gr.Row():
        seed = _number("seed", preset)
        steps = _number("optimization_steps", preset, elem_id="adam-steps")
    with gr.Row():
        start = _number("start_frame", preset)
        stride = _number("stride", preset)
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
        visible=weighs,
        elem_id="confidence",
    )
    return [seed, injection, steps, start, stride, frames, block, confidence]


def _number(name: str, preset: Choices, **look: Any) -> gr.Number:
    return gr.Number(getattr(preset, name), label=LABELS[name], precision=0, min_width=120, **look)


def _mask(on: Handlers) -> tuple[gr.File, gr.State, gr.HTML]:
    """The place of a mask, what is kept of it, and an answer."""
    mask = gr.State(on.preset.mask)
    upload = gr.File(
        label=f"{LABELS['mask']}: white where motion counts",
        file_types=list(MASK_SUFFIXES),
        height=150,
        elem_id="mask",
    )
    answer = gr.HTML(elem_id="mask-answer", elem_classes="shown")
    upload.upload(on.take_mask, upload, [upload, mask, answer], **QUIET)
    upload.clear(on.take_mask, upload, [upload, mask, answer], **QUIET)
    return upload, mask, answer
