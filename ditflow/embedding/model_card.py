"""The model card of a published motion embedding."""

import re
import shlex

from huggingface_hub import ModelCard, ModelCardData

from ditflow.embedding.header import EmbeddingHeader
from ditflow.embedding.stored import StoredMotion
from ditflow.errors import shortened
from ditflow.utils.shipped import embedded_backbones, is_hub_name

TAGS = ("ditflow", "motion-transfer", "video", "cogvideox")


def model_card(
    embedding: StoredMotion,
    repo_id: str | None = None,
    license: str | None = None,
    picture: str | None = None,
) -> str:
    """A README.md in Markdown, its metadata in front, as the hub reads it.

    Args:
        embedding: as it is published.
        repo_id: `user/name` on the hub, if known.
        license: of the embedding, such as `cc-by-4.0`; without one the card says so.
        picture: name of a file beside it.
    """
    header = embedding.header
    on_hub = is_hub_name(header.backbone)
    data = ModelCardData(
        base_model=header.backbone if on_hub else None,
        base_model_relation="adapter" if on_hub else None,
        library_name="ditflow",
        license=license,
        pipeline_tag="text-to-video",
        tags=list(TAGS),
    )
    parts = [
        f"# {repo_id.rpartition('/')[2] if repo_id else 'Motion embedding'}",
        "" if picture is None else f"![Videos with this motion]({picture})",
        _summary(embedding),
        "## Prompts of the fit",
        "\n".join(f"- {_as_code(prompt)}" for prompt in header.prompts),
        "## Use",
        _use(header, repo_id or "FOLDER"),
        "## What it was fitted with",
        _table(embedding),
        "## Licence and rights",
        _rights(header, license),
    ]
    text = "\n\n".join(part for part in parts if part)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n"))


def _summary(embedding: StoredMotion) -> str:
    header = embedding.header
    if header.target == "latents":
        carried = (
            "It was fitted to latents: reused on another prompt it carries much of the fitted "
            "video's look over together with its motion."
        )
    else:
        carried = f"It was fitted to positions ({header.parameterization}), for reuse on prompts."
    injection = ""
    if "reference_latents" not in embedding.tensors:
        injection = (
            " The reference video's latents are left out, so that videos are made with no KV "
            "injection and their motion is weaker than in the fit."
        )
    return (
        "A motion embedding of [DiTFlow](https://arxiv.org/abs/2412.07776): the motion of a "
        f"reference video, for videos of {_as_code(header.backbone)} from other prompts, with no "
        f"training. {carried}{injection}"
    )


def _use(header: EmbeddingHeader, name: str) -> str:
    embedded = header.backbone in embedded_backbones()
    prompt = "a yellow circle on a navy background" if embedded else "a paper boat in a bathtub"
    if header.target == "latents":  # which carry its look to any other
        prompt = " ".join(header.prompts[0].split())
    command = ["ditflow", "predict", "--embedding", name, "--prompts", prompt, "--output", "out"]
    parts = [f"```bash\n{shlex.join(command)}\n```"]
    if is_hub_name(header.backbone) and not embedded:  # there a pipeline can be loaded from
        parts.append(f"```python\n{_python(header, name, prompt)}\n```")
    parts.append(f"The fit's seed, {header.seed}, carries the motion best, and is the default.")
    return "\n\n".join(parts)


def _python(header: EmbeddingHeader, name: str, prompt: str) -> str:
    options = header.model.get("backbone", {}).get("init_args", {})
    own_scheduler = options.get("scheduler", "own") == "own"
    exchanged = f"""\
pipe.scheduler = {_word(header.scheduler)}.from_config(
    pipe.scheduler.config, timestep_spacing="trailing"
)
"""
    several = header.target == "latents" and len(header.prompts) > 1
    whose = f", prompt={prompt!r}" if several else ""
    imported = ("" if own_scheduler else f"{_word(header.scheduler)}, ") + "CogVideoXPipeline"
    return f"""\
import torch
from diffusers import {imported}
from ditflow import StoredMotion

pipe = CogVideoXPipeline.from_pretrained(
    {header.backbone!r}, dtype=torch.{_word(str(options.get("dtype", "float32")))}
).to("cuda")
{"" if own_scheduler else exchanged}\
embedding = StoredMotion.from_pretrained({name!r})
with embedding.applied_to(pipe{whose}):
    video = pipe({prompt!r}, **embedding.call_arguments()).frames[0]"""


def _table(embedding: StoredMotion) -> str:
    header = embedding.header
    rows = {
        "backbone": f"{_as_code(header.backbone)}, configuration `{_word(header.fingerprint)}`",
        "video": f"{header.num_frames} frames of {header.height}x{header.width}, "
        f"{header.fps:g} a second",
        "sampler": f"{_word(header.scheduler)}, {len(header.timesteps)} steps, the first "
        f"{header.guided_steps} guided",
        "objective": f"{_word(header.objective)} at block {header.block}{_weighted(header)}",
        "seed": str(header.seed),
        "tensors": ", ".join(
            f"`{name}` {' x '.join(map(str, tensor.shape))}"
            for name, tensor in sorted(embedding.tensors.items())
        ),
        "reference": _as_code(header.reference) if header.reference else "not named",
        "written by": f"ditflow {_word(header.ditflow_version)}, format {header.format_version}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {v} |" for name, v in rows.items())])


def _weighted(header: EmbeddingHeader) -> str:
    """What of the reference counted, if not all of it alike."""
    kinds = {"a mask": header.masked, "confidence": header.confidence}
    used = [kind for kind, is_used in kinds.items() if is_used]
    return f", weighted by {' and '.join(used)}" if used else ""


def _rights(header: EmbeddingHeader, license: str | None) -> str:
    own = (
        f"The publisher gives this embedding under {_as_code(license)}."
        if license
        else "The publisher has named no licence for this embedding."
    )
    return (
        f"{own} Its motion comes from a reference video; whoever publishes it must have the rights "
        f"to do so. The backbone, {_as_code(header.backbone)}, has a licence of its own, which "
        "holds for the videos made with it."
    )


def _as_code(text: str) -> str:
    """Anybody's text as inline code, in which Markdown and HTML mean nothing."""
    line = shortened(text, 500).replace("|", "¦")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _word(text: str) -> str:
    """A name as nothing but a name."""
    return re.sub(r"[^\w.+-]", "?", shortened(text, 100))
