"""The page: what is on it, and which part of it calls what."""

from collections.abc import Sequence
from html import escape

import gradio as gr

from ditflow.app.handlers import Handlers
from ditflow.app.queue import Jobs
from ditflow.app.shipped_examples import Example
from ditflow.app.tabs import QUIET, fit_tab, reuse_tab
from ditflow.settings.stacked import Settings
from ditflow.utils.shipped import embedded_backbones

EVERY = 0.7
"""Seconds between two looks at what runs."""


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
        max_frames: of an uploaded reference or mask.
    """
    on = Handlers(jobs, configs, settings, examples, max_frames)
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
                    weighs = hasattr(settings.model["objective"], "confidence")
                    fit = fit_tab(on, embedded, weighs)
                with gr.Tab("Reuse it"):
                    reuse = reuse_tab(on, embedded)
            with gr.Column(scale=6, min_width=340):
                status = gr.HTML(elem_id="status", elem_classes="shown")
                with gr.Row():
                    cancel = gr.Button("Cancel", visible=False, scale=0, elem_id="cancel")
                    resume = gr.Button("Go on with it", visible=False, scale=0, elem_id="resume")
                answer = gr.HTML(elem_classes="shown")
                runs = gr.Dropdown(
                    label="Show",
                    info="Fits and predicts begun here, also in earlier starts of the app.",
                    choices=[],
                    visible=False,
                    elem_id="runs",
                )
                result = gr.HTML(elem_id="result", elem_classes="shown")
        cancel.click(on.cancel, None, answer, **QUIET)
        resume.click(on.resume, None, answer, **QUIET)
        runs.input(on.show, runs, answer, **QUIET)
        seen = gr.State({})
        asked = [seen, fit.reference, reuse.picked]
        chosen = [reuse.embeddings, runs, fit.listed]
        shown = [status, result, fit.motion, cancel, resume, *chosen, seen]
        page.load(on.restore, None, fit.restored, **QUIET)
        page.load(on.look, asked, shown, **QUIET)
        gr.Timer(EVERY).tick(on.look, asked, shown, **QUIET)
    return page
