"""Whether the embedded pipelines run, and which of the presets' models fit into this machine."""

from collections.abc import Iterator

import torch

from ditflow.backbones.loading import load_backbone
from ditflow.doctor.finding import Finding
from ditflow.errors import DitflowError, reason_of
from ditflow.plan.machine import this_machine
from ditflow.plan.recipe import prepare
from ditflow.plan.report import GIB
from ditflow.sampling import Sampler, SamplerOptions
from ditflow.settings.stacked import read_settings
from ditflow.utils.shipped import embedded_backbones, shipped_files


def look_at_embedded() -> Iterator[Finding]:
    """Each embedded pipeline loaded and run for one step, from a prompt to pixels."""
    for name in embedded_backbones():
        amiss = run_embedded(name)
        remedy = "reinstall ditflow: its weights are part of the package" if amiss else ""
        yield Finding(name, amiss or "loads and runs", remedy, needed=True)


def run_embedded(name: str) -> str:
    """What is amiss with a pipeline; empty if nothing."""
    try:
        backbone = load_backbone(name, device="cpu")
        size = 5, *backbone.default_size()[1:]
        prompt, shape = "a red circle on a gray background", backbone.latent_shape(*size)
        sampler = Sampler(backbone, SamplerOptions(num_steps=1), prompt, 0, shape)
        with torch.no_grad():
            sampler.advance(0, sampler.predict(0, backbone.positions(shape)))
        made = backbone.decode_video(sampler.latents, size[0])
    except (DitflowError, OSError, RuntimeError) as error:
        return f"fails: {reason_of(error)}"
    return "" if torch.isfinite(made).all() else "gives values that are not finite"


def look_at_presets() -> Iterator[Finding]:
    """Whether a fit with each preset of a published model fits into this machine's memory."""
    for name in shipped_files("presets/models"):
        if name not in embedded_backbones():
            yield look_at_preset(name)


def look_at_preset(name: str) -> Finding:
    """As `ditflow plan` says, for the preset as it is."""
    settings = read_settings(name)
    try:
        machine = this_machine(settings.backbone["device"])
    except DitflowError as error:
        return Finding(name, str(error), f"ditflow plan --config {name} --memory GIB")
    peak = prepare(settings, cache=True).plan(machine).peak
    said = f"needs {peak / GIB:.1f} GiB, {machine.name} has {machine.memory / GIB:.1f} GiB"
    if peak <= machine.memory:
        return Finding(name, f"fits: {said}")
    return Finding(name, f"does not fit: {said}", f"see what helps: ditflow plan --config {name}")
