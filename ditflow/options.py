"""Everyday short options and preset names, rewritten to LightningCLI's own before parsing."""

import json
from collections.abc import Sequence
from pathlib import Path

from ditflow.embedding import read_header
from ditflow.errors import DitflowError

SHORT = {
    "--video": "--data.video",
    "--start-frame": "--data.start_frame",
    "--num-frames": "--data.num_frames",
    "--stride": "--data.stride",
    "--height": "--data.height",
    "--width": "--data.width",
    "--fps": "--data.fps",
    "--embedding": "--data.embedding",
    "--prompt": "--data.prompts",
    "--prompts": "--data.prompts",
    "--prompts-file": "--data.prompts_file",
    "--seeds": "--data.seeds",
    "--seed": "--model.seed",
    "--backbone": "--model.backbone.name",
    "--dtype": "--model.backbone.dtype",
    "--device": "--model.backbone.device",
    "--offload": "--model.backbone.offload",
    "--target": "--model.target",
    "--parameterization": "--model.parameterization",
    "--block": "--model.block",
    "--learning-rate": "--model.learning_rate",
    "--steps": "--model.num_inference_steps",
    "--guidance-scale": "--model.guidance_scale",
    "--negative-prompt": "--model.negative_prompt",
    "--injection": "--kv_injection.enabled",
    "--resume": "--ckpt_path",
    "--output": "--trainer.default_root_dir",
}
"""Short name of each everyday option, and its full name."""

LISTS = ("--data.prompts", "--data.seeds")
"""Options that take every value up to the next option."""

DEFAULT_PRESET = "sprites-rope"


def expand(args: Sequence[str]) -> list[str]:
    """Rewrite a command line: short names, lists, preset names, and what an embedding says.

    A fit with no `--config` gets the default preset; a predict starts from the arguments of the
    fit that its embedding carries.
    """
    if not args or args[0] not in ("fit", "predict"):
        return list(args)
    subcommand, *rest = args
    expanded = _resolve_presets(_rewrite(rest))
    has_config = any(
        token in ("-c", "--config") or token.startswith("--config=") for token in expanded
    )
    if subcommand == "predict":
        embedding = _value(expanded, "--data.embedding")
        if embedding is not None:
            header = read_header(embedding)
            expanded = ["--config", json.dumps({"model": header.model}), *expanded]
    elif not has_config:
        expanded = ["--config", str(preset_path(DEFAULT_PRESET)), *expanded]
    return [subcommand, *expanded]


def preset_folder() -> Path:
    """Where presets are: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).parent / "presets"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "presets"


def preset_path(name: str) -> Path:
    """The file of a preset by bare name, or of a configuration by path.

    Raises:
        DitflowError: neither is there.
    """
    if Path(name).is_file():
        return Path(name)
    preset = preset_folder() / f"{name}.yaml"
    if preset.is_file():
        return preset
    known = ", ".join(sorted(path.stem for path in preset_folder().glob("*.yaml")))
    raise DitflowError(f"config={name} is neither a file nor a preset; presets are {known}.")


def _rewrite(args: Sequence[str]) -> list[str]:
    expanded: list[str] = []
    index = 0
    while index < len(args):
        name, equals, value = args[index].partition("=")
        full = SHORT.get(name, name)
        index += 1
        if full not in LISTS:
            expanded.append(f"{full}={value}" if equals else full)
            continue
        values = [value] if equals else []
        while not equals and index < len(args) and not args[index].startswith("--"):
            values.append(args[index])
            index += 1
        expanded.append(f"{full}={_as_list(full, values)}")
    return expanded


def _as_list(name: str, values: list[str]) -> str:
    """Values as one JSON list; a single value that already is a list stays."""
    if len(values) == 1 and values[0].startswith("["):
        return values[0]
    if name == "--data.prompts":
        return json.dumps(values)
    try:
        return json.dumps([int(value) for value in values])
    except ValueError as error:
        raise DitflowError(
            f"{name.removeprefix('--')}={' '.join(values)} must be whole numbers, such as 0 1 2."
        ) from error


def _resolve_presets(args: list[str]) -> list[str]:
    resolved = list(args)
    for index, token in enumerate(resolved):
        if token in ("-c", "--config") and index + 1 < len(resolved):
            if not resolved[index + 1].lstrip().startswith("{"):
                resolved[index + 1] = str(preset_path(resolved[index + 1]))
        elif token.startswith("--config="):
            resolved[index] = f"--config={preset_path(token.removeprefix('--config='))}"
    return resolved


def _value(args: list[str], name: str) -> str | None:
    for index, token in enumerate(args):
        if token == name and index + 1 < len(args):
            return args[index + 1]
        if token.startswith(f"{name}="):
            return token.removeprefix(f"{name}=")
    return None
