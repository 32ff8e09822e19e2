"""`ditflow.fit` and `ditflow.predict`: what the two commands do, for scripts and notebooks."""

from collections.abc import Mapping, Sequence
from glob import escape
from inspect import signature
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback

from ditflow.assembly.loading import Size, load
from ditflow.assembly.run import Fit, Run
from ditflow.backbones.base import Backbone
from ditflow.backbones.loading import load_backbone
from ditflow.embedding.motion_embedding import MotionEmbedding
from ditflow.errors import DitflowError, shortened
from ditflow.functional.parameterization import Target
from ditflow.runs.claim import claim, refuse_results
from ditflow.runs.folder import CONFIG, FitFolder, check_inputs, remove_reference
from ditflow.settings.keywords import as_settings
from ditflow.settings.options import DEFAULT_PRESET, names_backbone, preset_path
from ditflow.settings.stacked import Settings, read_settings
from ditflow.settings.trust import check_backbone_is_known
from ditflow.utils.files import write_text
from ditflow.utils.notices import notices_silenced
from ditflow.utils.prompts import read_prompts
from ditflow.utils.usual_torch import usual_torch
from ditflow.video.in_memory import Frames

Config = str | Path | Mapping[str, Any]
"""A preset's name, a configuration's path, or what one says."""


def fit(
    video: Path | str | Frames,
    prompts: str | Sequence[str],
    *,
    config: Config | Sequence[Config] = DEFAULT_PRESET,
    target: Target | None = None,
    backbone: Backbone | str | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Fit:
    """Learn the motion of a video, and make a new video with it for each prompt.

    >>> import ditflow, torch
    >>> frames = torch.rand(9, 3, 64, 64)
    >>> fit = ditflow.fit(frames, "a red ring on a black background", steps=2, progress=False)
    >>> fit.videos[0].shape, len(fit.losses)
    (torch.Size([9, 3, 64, 64]), 5)

    On a GPU, with positions, which carry the motion into prompts that were not fitted:

    >>> fit = ditflow.fit(  # doctest: +SKIP
    ...     "walk.mp4", "a fox runs through snow", config="cogvideox-5b", target="positions",
    ...     dtype="bfloat16", output="walk",
    ... )

    Args:
        video: the reference: a file, a folder of frames, or frames in memory, a tensor
            [T, 3, height, width] of floats in [0, 1] or an array [T, height, width, 3] of uint8.
        prompts: of the videos to make; several share one positional embedding.
        config: a preset, a path, settings as a mapping, or several of these, later ones over
            earlier ones; over the default preset if none names a backbone.
        target: what is optimised, by default what `config` says.
        backbone: a loaded one, to be used again between calls, or the name or folder of one.
        output: folder of what `ditflow fit` leaves, but for index.html (which `ditflow page`
            writes), commands.txt and progress.json; config.yaml says nothing of the trainer, of
            what was in memory, or of a given backbone that `load_backbone` has not loaded. Without
            a folder nothing is written.
        overwrite: replace what an earlier run left there.
        progress: show progress bars.
        callbacks: Lightning's, more of them.
        options: the command's short options by name (`seed`, `mask`, `num_frames`, `steps`,
            `guidance_scale`, `injection`, `dtype`, `device`, ...), and the arguments of
            `MotionTransfer` and `MotionDataModule`. A mask may be in memory, too,
            [T, height, width] or [height, width], and so may the `image` of an image-to-video
            model, [3, height, width] of floats or [height, width, 3] of uint8.

    Raises:
        DitflowError: something that was given cannot be used, in one line; found before anything
            is written.
    """
    given = {"video": video, **{name: options.pop(name, None) for name in ("mask", "image")}}
    files = {name: _path(value) for name, value in given.items()}
    stated = as_settings("fit", options | {"target": target} | files)
    stated.setdefault("data", {})["prompts"] = _prompts(prompts)
    if output is None:
        stated["data"].setdefault("cache", False)
    check_inputs(files)
    fit_folder = None
    if output is not None:
        fit_folder = FitFolder(Path(output).expanduser(), files, overwrite, resumable=False)
        fit_folder.check()
    with notices_silenced(), usual_torch():
        settings, loaded = _loaded(_fit_configs(config, backbone), stated, backbone)
        run = Run.of(settings, loaded, {})
        _put_in_memory(run, given)
        run.check_fit()
        if fit_folder is None:
            return run.fit(None, callbacks, progress)
        with fit_folder.claim():
            _write_config(fit_folder.folder, settings, run)
            return run.fit(fit_folder.folder, callbacks, progress)


def predict(
    embedding: MotionEmbedding | Path | str,
    prompts: str | Sequence[str] | None = None,
    *,
    seeds: int | Sequence[int] | None = None,
    backbone: Backbone | str | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> list[torch.Tensor]:
    """Put a learned motion into new videos, with no optimisation and no reference video.

    >>> import ditflow, torch
    >>> frames = torch.rand(9, 3, 64, 64)
    >>> fit = ditflow.fit(
    ...     frames, "a red ring on a black background", target="positions", steps=2, progress=False
    ... )
    >>> prompt = "a pink cross on a teal background"
    >>> video, other = ditflow.predict(fit.embedding, prompt, seeds=[0, 1], progress=False)

    Args:
        embedding: of a fit, a file, the folder of one, or `user/name` on the Hugging Face hub, the
            only case that may download.
        prompts: of the videos to make; by default the fit's.
        seeds: one video each for every prompt; by default the fit's.
        backbone: a loaded one, to be used again between calls, or the name or folder of one; by
            default the one that was fitted on, if it is one of ditflow's own presets.
        output: folder of the videos, as `ditflow predict` writes them; without one nothing is
            written.
        overwrite: replace videos of the same names there.
        progress: show progress bars.
        callbacks: Lightning's, more of them.
        options: the command's short options by name (`injection`, `guidance_scale`, `dtype`, ...)
            and what of `MotionTransfer`'s arguments is of sampling. An `image` may be in memory.

    Returns:
        videos [T, 3, height, width] in [0, 1]: for each prompt those of all seeds, in the order
        given, none of them twice.

    Raises:
        DitflowError: something that was given cannot be used, in one line; found before anything
            is written.
    """
    with notices_silenced(), usual_torch():
        settings, run = prediction(embedding, prompts, seeds, backbone, **options)
        if output is None:
            return run.predict(None, callbacks, progress)
        folder = Path(output).expanduser()
        with claim(folder):
            if overwrite:
                remove_reference(folder)
            else:
                names = [escape(path.name) for path in run.predictions(folder).paths()]
                refuse_results(folder, names, resumable=False)
            _write_config(folder, settings, run)
            return run.predict(folder, callbacks, progress)


def prediction(
    embedding: MotionEmbedding | Path | str,
    prompts: str | Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    backbone: Backbone | str | None = None,
    **options: Any,
) -> tuple[Settings, Run]:
    """A predict as `predict` carries it out, checked; see there.

    Raises:
        DitflowError: something that was given cannot be used.
    """
    image = options.pop("image", None)
    files = {"image": _path(image), "embedding": None}
    if not isinstance(embedding, MotionEmbedding):
        files["embedding"] = Path(embedding)
        embedding = MotionEmbedding.from_pretrained(embedding)
    header = embedding.header
    stated = as_settings("predict", options | files)
    check_inputs({"image": files["image"]})
    data = stated.setdefault("data", {})
    data["prompts"] = list(header.prompts) if prompts is None else _prompts(prompts)
    if isinstance(seeds, int):
        seeds = [seeds]
    data["seeds"] = list(seeds or [header.seed])
    if backbone is None:
        check_backbone_is_known(header)
    model = dict(header.model)
    if isinstance(backbone, Backbone):
        model.pop("backbone", None)  # it may name another loader's options
    fitted = {"model": model, "kv_injection": header.injection}
    size = header.num_frames, header.height, header.width
    settings, loaded = _loaded([fitted], stated, backbone, size)
    run = Run.of(settings, loaded, {})
    run.data.motion = embedding
    _put_in_memory(run, {"image": image})
    run.check_predict()
    return settings, run


def _fit_configs(
    config: Config | Sequence[Config], backbone: Backbone | str | None
) -> list[str | Mapping[str, Any]]:
    """The configurations of a fit, the default preset below them where it is needed."""
    several = [config] if isinstance(config, str | Path | Mapping) else config
    configs = [str(one) if isinstance(one, Path) else one for one in several]
    if not isinstance(backbone, Backbone):
        files = [str(preset_path(one)) if isinstance(one, str) else one for one in configs]
        named = any(isinstance(one, str | Mapping) and names_backbone(one) for one in files)
        return configs if named else [DEFAULT_PRESET, *configs]
    if configs == [DEFAULT_PRESET] and backbone.name != DEFAULT_PRESET:
        raise DitflowError(
            f"config is not given, and {DEFAULT_PRESET} is not for {shortened(backbone.name)}; "
            "give a preset of that backbone's."
        )
    return configs


def _loaded(
    configs: Sequence[str | Mapping[str, Any]],
    stated: Mapping[str, Any],
    backbone: Backbone | str | None,
    size: Size = (None, None, None),
) -> tuple[Settings, Backbone]:
    """The settings, with what was stated over the configurations, and the backbone, loaded for
    videos of a size."""
    if not isinstance(backbone, Backbone):
        named = {} if backbone is None else {"init_args": {"name": backbone}}
        settings = read_settings(*configs, {"model": {"backbone": named}}, stated)
        return settings, load(settings, size)
    if options := stated.get("model", {}).get("backbone", {}).get("init_args"):
        raise DitflowError(
            f"{next(iter(options))} is of loading, and the backbone given is loaded; leave it out."
        )
    return read_settings(*configs, stated), backbone


def _write_config(folder: Path, settings: Settings, run: Run) -> None:
    """Write what `--config` takes, as the command does; what was in memory is left out, and so is
    a backbone that was given and that `load_backbone` has not loaded."""
    whole, backbone = settings.configuration(), run.module.backbone
    if not settings.own_loader:
        if backbone.options.keys() == signature(load_backbone).parameters.keys():
            whole["model"]["backbone"]["init_args"] = backbone.recorded_options
        else:
            del whole["model"]["backbone"]
    for name in ("video", "mask", "image"):
        if not isinstance(getattr(run.data, name), Path):
            whole["data"].pop(name, None)
    text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
    write_text(folder / CONFIG, text)


def _prompts(given: str | Sequence[str]) -> list[str]:
    prompts = [given] if isinstance(given, str) else list(given)
    for prompt in prompts:
        if not isinstance(prompt, str):
            raise DitflowError(f"prompts={shortened(prompt)} must be text.")
    return read_prompts(prompts, None)


def _put_in_memory(run: Run, given: Mapping[str, Path | str | Frames | None]) -> None:
    """Give a run what no file holds."""
    for name, value in given.items():
        if value is not None and not isinstance(value, str | Path):
            setattr(run.data, name, value)


def _path(given: Path | str | Frames | None) -> Path | None:
    """A path that was given; None for what is in memory, too."""
    return Path(given).expanduser() if isinstance(given, str | Path) else None
