"""Everyday short options and preset names, rewritten to LightningCLI's own before parsing."""

import codecs
import json
import locale
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ditflow.embedding.checks import LOADER
from ditflow.embedding.hub import embedding_file
from ditflow.embedding.reader import read_header
from ditflow.errors import DitflowError, shortened
from ditflow.settings.trust import check_backbone_is_known
from ditflow.settings.typed_paths import is_option, typed_values
from ditflow.utils.shipped import MANIFESTS, PRESETS, shipped_files
from ditflow.utils.untrusted import read_mapping

SHORT = {
    "--video": "--data.video",
    "--mask": "--data.mask",
    "--image": "--data.image",
    "--start-frame": "--data.start_frame",
    "--num-frames": "--data.num_frames",
    "--stride": "--data.stride",
    "--height": "--data.height",
    "--width": "--data.width",
    "--crop": "--data.crop",
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
    "--confidence": "--model.objective.confidence",
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

    A fit whose configurations name no backbone gets the default preset below them, and one that is
    resumed goes on in its folder; a predict starts from the arguments of the fit that its embedding
    carries.
    """
    if not args or args[0] not in ("fit", "predict"):
        return list(args)
    subcommand, *rest = args
    expanded = resolve_configs(_rewrite(rest, short_options(subcommand)), preset_path)
    if subcommand == "predict":
        embedding = _value(expanded, "--data.embedding")
        if embedding is not None:
            header = read_header(embedding_file(embedding))
            given, model = _given_backbones(expanded), dict(header.model)
            if any(backbone.get("class_path", LOADER) != LOADER for backbone in given):
                model.pop("backbone", None)  # code of the user's own, which no embedding names
            elif not any(map(_names_model, given)):
                check_backbone_is_known(header)
            fitted = {"model": model, "kv_injection": header.injection}
            expanded = ["--config", json.dumps(fitted, ensure_ascii=False), *expanded]
        return [subcommand, *expanded]
    resumed = _value(expanded, "--ckpt_path")
    if resumed is not None and Path(resumed).is_dir():  # by default it goes on where it was
        folder = {"trainer": {"default_root_dir": resumed}}
        expanded = ["--config", json.dumps(folder), *expanded]
    if not any(names_backbone(config) for config in _values(expanded, "--config", "-c")):
        expanded = ["--config", str(preset_path(DEFAULT_PRESET)), *expanded]
    return [subcommand, *expanded]


def short_options(subcommand: str) -> Mapping[str, str]:
    """Full names by short ones. A predict's seed is one of its seeds: the fit's own is in the
    embedding."""
    return SHORT if subcommand == "fit" else SHORT | {"--seed": "--data.seeds"}


def over_default(configs: Sequence[str]) -> list[str]:
    """Configurations by name, over the default preset if none of them names a backbone.

    Raises:
        DitflowError: one is not there, or cannot be read.
    """
    named = any(names_backbone(str(preset_path(config))) for config in configs)
    return list(configs) if named else [DEFAULT_PRESET, *configs]


def preset_path(name: str) -> Path:
    """The file of a preset by bare name, or of a configuration by path.

    Raises:
        DitflowError: neither is there.
    """
    return _path(name, PRESETS, "preset")


def manifest_path(name: str) -> Path:
    """The file of a benchmark manifest, by bare name or by path.

    Raises:
        DitflowError: neither is there.
    """
    return _path(name, MANIFESTS, "manifest")


def resolve_configs(args: Sequence[str], path_of: Callable[[str], Path]) -> list[str]:
    """Arguments with the names after `--config` made into paths of what can be read, or into the
    settings themselves where the parser would misread them."""

    def resolve(config: str) -> str:
        named = config if config.lstrip().startswith("{") else str(path_of(config))
        # Before the parser, which a hostile file would crash.
        read = read_mapping(named)
        if "config" in read:
            raise DitflowError(f"config={shortened(config)} names another; use --config for each.")
        # The parser reads files in the system's own encoding, ditflow writes UTF-8.
        foreign = codecs.lookup(locale.getencoding()).name != "utf-8"
        return json.dumps(read, default=str) if foreign else named

    resolved = list(args)
    for index, token in enumerate(resolved):
        if token in ("-c", "--config") and index + 1 < len(resolved):
            resolved[index + 1] = resolve(resolved[index + 1])
        elif token.startswith("--config="):
            resolved[index] = f"--config={resolve(token.removeprefix('--config='))}"
    return resolved


def _path(name: str, folder: str, kind: str) -> Path:
    files = shipped_files(folder)
    with suppress(OSError):  # such as a name too long for one
        if Path(name).is_file():
            return Path(name)
    if name not in files:
        raise DitflowError(
            f"config={shortened(name)} is neither a file nor a {kind}; {kind}s are "
            f"{', '.join(files)}."
        )
    return files[name]


def _rewrite(args: Sequence[str], short: Mapping[str, str]) -> list[str]:
    expanded: list[str] = []
    index = 0
    while index < len(args):
        name, equals, value = args[index].partition("=")
        full = short.get(name, name)
        index += 1
        if full not in LISTS:
            expanded.append(f"{full}={value}" if equals else full)
            continue
        values = [value] if equals else []
        while not equals and index < len(args) and not is_option(args[index]):
            values.append(args[index])
            index += 1
        expanded.append(f"{full}={_as_list(full, values)}")
    return expanded


def _given_backbones(args: Sequence[str]) -> list[dict[str, Any]]:
    """What the command line and its configurations say of the backbone, each by itself."""
    given: list[Any] = []
    for config in _values(args, "--config", "-c"):
        model = read_mapping(config).get("model")
        given.append(model.get("backbone") if isinstance(model, dict) else None)
    for value in _values(args, "--model.backbone", "--model.backbone.class_path"):
        given.append(read_mapping(value) if value.lstrip().startswith("{") else value)
    for value in _values(args, "--model.backbone.name", "--model.backbone.init_args.name"):
        given.append({"init_args": {"name": value}})
    given = [{"class_path": value} if isinstance(value, str) else value for value in given]
    return [value for value in given if isinstance(value, dict)]


def _names_model(backbone: Mapping[str, Any]) -> bool:
    arguments = backbone.get("init_args")
    return isinstance(arguments, dict) and arguments.get("name") is not None


def _as_list(name: str, values: list[str]) -> str:
    """Values as one JSON list; a single value that already is a list stays."""
    if len(values) == 1 and values[0].startswith("["):
        return values[0]
    if name == "--data.prompts":
        return json.dumps(values, ensure_ascii=False)
    try:
        return json.dumps([int(value) for value in values])
    except ValueError as error:
        raise DitflowError(
            f"{name.removeprefix('--')}={' '.join(values)} must be whole numbers, such as 0 1 2."
        ) from error


def names_backbone(config: str | Mapping[str, Any]) -> bool:
    """Whether a configuration (a file, text or mapping) says which backbone."""
    read = read_mapping(config) if isinstance(config, str) else config
    model = read.get("model")
    return isinstance(model, Mapping) and "backbone" in model


def _values(args: Sequence[str], *names: str) -> list[str]:
    """Every value of an option."""
    return [value for option, value in typed_values(args) if option in names]


def _value(args: Sequence[str], name: str) -> str | None:
    """The first value of an option."""
    return next(iter(_values(args, name)), None)
