"""The model card of a published motion embedding."""

import re
import shlex

from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from ditflow.embedding.stored import StoredMotion
from ditflow.errors import shortened
from ditflow.utils.shipped import embedded_backbones, is_hub_name

TAGS = ("ditflow", "motion-transfer", "video")


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
        tags=[*TAGS, header.family],
    )
    embedded = header.backbone in embedded_backbones()
    prompt = "a yellow circle on a navy background" if embedded else "a paper boat in a bathtub"
    if header.target == "latents":  # which carry its look to any other
        prompt = " ".join(header.prompts[0].split())
    name = repo_id or "FOLDER"
    command = ["ditflow", "predict", "--embedding", name, "--prompts", prompt, "--output", "out"]
    options = header.model.get("backbone", {}).get("init_args", {})
    kinds = {"a mask": header.masked, "confidence": header.confidence}
    used = [kind for kind, is_used in kinds.items() if is_used]
    environment = Environment(
        loader=PackageLoader("ditflow.embedding"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _as_code, "word": _word, "python": repr}
    text = environment.get_template("model-card.md").render(
        title=repo_id.rpartition("/")[2] if repo_id else "Motion embedding",
        picture=picture,
        header=header,
        tensors={name: tuple(tensor.shape) for name, tensor in sorted(embedding.tensors.items())},
        command=shlex.join(command),
        on_hub=on_hub and not embedded,  # from there a pipeline can be loaded
        name=name,
        prompt=prompt,
        several_latents=header.target == "latents" and len(header.prompts) > 1,
        own_scheduler=options.get("scheduler", "own") == "own",
        dtype=str(options.get("dtype", "float32")),
        weighted=f", weighted by {' and '.join(used)}" if used else "",
        license=license,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n"))


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
