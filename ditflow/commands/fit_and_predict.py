"""`ditflow fit` and `ditflow predict`: LightningCLI with everything in one folder."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ditflow.assembly.loading import Size, choose
from ditflow.assembly.run import Run, output_callbacks, tensorboard
from ditflow.backbones.loading import NOTHING_SAVED
from ditflow.callbacks import GuidedProgressBar, ProgressFile, StopNotice, VideoWriter
from ditflow.embedding.hub import embedding_file
from ditflow.embedding.reader import read_header
from ditflow.errors import DitflowError
from ditflow.pages.run import write_page_if_possible, write_run_page
from ditflow.plan.running import describe_run
from ditflow.runs.checkpoints import WholeCheckpoints
from ditflow.runs.claim import claim
from ditflow.runs.folder import (
    CHECKPOINTS,
    COMPARISON,
    CONFIG,
    EMBEDDING,
    PAGE,
    REFERENCE,
    TENSORBOARD,
    FitFolder,
    check_inputs,
    remove_reference,
)
from ditflow.runs.history import record_command
from ditflow.runs.progress import RunProgress
from ditflow.runs.resume import checkpoint_path, read_run
from ditflow.settings.lightning import MotionParsers, shown_parser
from ditflow.settings.options import expand
from ditflow.settings.stacked import SECTIONS, read_settings
from ditflow.settings.unheeded import refuse_limits, refuse_unheeded
from ditflow.utils.files import write_text

log = logging.getLogger(__name__)

FITTED = (EMBEDDING, CONFIG, TENSORBOARD, CHECKPOINTS, PAGE)


def fit(args: Sequence[str]) -> None:
    """Run `ditflow fit`."""
    with ExitStack() as held:
        MotionCLI(["fit", *args], held)


def predict(args: Sequence[str]) -> None:
    """Run `ditflow predict`."""
    with ExitStack() as held:
        MotionCLI(["predict", *args], held)


fit_parser, predict_parser = partial(shown_parser, "fit"), partial(shown_parser, "predict")


class RunConfig(SaveConfigCallback):
    """Writes the whole configuration beside the results as config.yaml."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        text = self.parser.dump(self.config)
        write_text(Path(trainer.default_root_dir) / self.config_filename, text)


class MotionCLI(MotionParsers):
    """LightningCLI with ditflow's callbacks always on and all output in one folder.

    Args:
        args: the command line, as it was typed.
        held: what is let go of when the command ends, such as the output folder.
    """

    def __init__(self, args: list[str], held: ExitStack):
        self.typed, self.held = args, held
        self.progress = held.enter_context(RunProgress())
        super().__init__(
            expand(args),
            save_config_callback=RunConfig,
            save_config_kwargs={"overwrite": True, "save_to_log_dir": False},
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)
        refuse_unheeded(args)
        config = self.config[self.config.subcommand]
        refuse_limits(self.config.subcommand, config.trainer)
        self.resumed, self.begun_anew = None, None
        if config.ckpt_path is not None:
            path = checkpoint_path(config.ckpt_path)
            if path is None:
                self.begun_anew = Path(config.ckpt_path).resolve()
            config.ckpt_path = None if path is None else str(path)
            self.resumed = None if path is None else read_run(path)

    def before_instantiate_classes(self) -> None:
        """Refuse what needs no backbone to be refused, and choose how that is loaded."""
        if self.subcommand == "fit":
            self._check_folder(self.config.fit)
        config = self.config[self.subcommand]
        self.loading = config.model.backbone.get("init_args", Namespace())
        self.chosen = {}
        if any(self.loading.get(name) == "auto" for name in NOTHING_SAVED):
            size: Size = (None, None, None)
            if self.subcommand == "predict" and config.data.embedding is not None:
                header = read_header(embedding_file(config.data.embedding))
                size = header.num_frames, header.height, header.width
            said = {name: config[name].as_dict() for name in SECTIONS}
            self.chosen = choose(read_settings(said), size)
        self.loading.update(Namespace(self.chosen))

    def _check_folder(self, config: Namespace) -> None:
        """Refuse inputs and an output folder that cannot be used."""
        inputs = {name: config.data[name] for name in ("video", "mask", "image")}
        check_inputs(inputs)
        root = Path(config.trainer.default_root_dir)
        path, here = config.ckpt_path, root.resolve()
        self.fit_folder = FitFolder(
            root,
            inputs,
            config.overwrite,
            anew=self.begun_anew == here,
            goes_on=path is not None and here in Path(path).resolve().parents,
        )
        self.fit_folder.check()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        # What is recorded is to be chosen anew on another machine.
        self.loading.update(Namespace(dict.fromkeys(self.chosen, "auto")))
        backbone = self.model.backbone
        backbone.chosen = backbone.chosen or tuple(self.chosen)
        config = self._get(self.config_init, "trainer")
        root = Path(config["default_root_dir"])
        if config["logger"] in (None, True):
            kwargs["logger"] = tensorboard(root)
        if config["accelerator"] == "auto" and self.model.device.type == "cpu":
            kwargs["accelerator"] = "cpu"
        if self.model.device.type == "cuda" and config["devices"] == 1:
            kwargs["devices"] = [self.model.device.index or 0]
        given = config["plugins"] or []
        plugins = given if isinstance(given, list) else [given]
        kwargs["plugins"] = [*plugins, WholeCheckpoints()]
        self.writer = VideoWriter()
        logs = self.subcommand == "fit" and config["logger"] is not False
        self.model.progress = config["enable_progress_bar"] is not False
        self.trainer_defaults["callbacks"] = [
            *output_callbacks(root, self.writer, logs, config["enable_checkpointing"] is not False),
            ProgressFile(self.progress),
            *([GuidedProgressBar()] if self.model.progress else []),
            StopNotice(self._write_page),
        ]
        try:
            return super().instantiate_trainer(**kwargs)
        except DitflowError:
            raise
        except (MisconfigurationException, ImportError, TypeError, ValueError) as error:
            given = [f"trainer.{name}={config[name]}" for name in ("accelerator", "devices")]
            reason = " ".join(str(error).split()).rstrip(".")
            raise DitflowError(
                f"{', '.join(given)}: no such trainer can be had ({reason}); leave options of the "
                "trainer out, or correct what is named."
            ) from error

    @property
    def run(self) -> Run:
        return Run(self.model, self.datamodule, self._get(self.config_init, "kv_injection"))

    @property
    def root(self) -> Path:
        """Of all output."""
        return Path(self.trainer.default_root_dir)

    def before_fit(self) -> None:
        """Everything that can be wrong with the input is found before anything is written."""
        self.run.check_fit(self.resumed)
        self._claim_output(self.fit_folder.claim())
        self._record_command()
        length, _, *size = self.datamodule.frames.shape
        prompts, injection = len(self.datamodule.prompts), self.run.injection
        try:
            print(f"{describe_run(self.model, (length, *size), prompts, injection)}\n")
        except Exception as error:  # an objective of the user's own may not do without numbers
            log.warning("This fit cannot be planned (%s: %s).", type(error).__name__, error)
        self.progress.update(phase="encoding the reference", steps=1)

    def before_predict(self) -> None:
        self.run.check_predict()
        self._claim_output(claim(self.root))
        self.predictions = self.run.predictions(self.root)
        finished = self.datamodule.finished
        if self.config.predict.overwrite:
            remove_reference(self.root)
        else:
            finished |= self.predictions.finished()
        missing = len(self.predictions.items) - len(finished)
        if finished:
            print(f"{len(finished)} videos are there already, {missing} are missing.")
        if 0 < missing < self.trainer.world_size:
            raise DitflowError(
                f"trainer.devices: {self.trainer.world_size} processes for {missing} videos to "
                f"make; use at most {missing}."
            )
        self._record_command()

    def _claim_output(self, claimed: AbstractContextManager[None]) -> None:
        """Hold the output folder until the command ends; the first process does so for all, and
        removes what is replaced: others would remove what it has written."""
        if self.trainer.is_global_zero:
            self.held.enter_context(claimed)
            self.progress.begin(self.root)

    def _record_command(self) -> None:
        if self.trainer.is_global_zero:
            record_command(self.root, self.typed)

    def after_fit(self) -> None:
        self._write_page(self.root)
        self._report([*self.writer.paths, *(self.root / name for name in FITTED)])

    def after_predict(self) -> None:
        comparison = self.root / COMPARISON
        if not self.writer.paths and self.trainer.is_global_zero and not comparison.exists():
            self.writer.compare(self.model, self.datamodule, self.predictions)
        self._write_page(self.root)
        others = self.root / REFERENCE, comparison, self.root / PAGE
        self._report([*self.predictions.paths(), *others])

    def _write_page(self, root: Path) -> None:
        # A run that was stopped at its very beginning has nothing to show.
        if self.trainer.is_global_zero and (root / CONFIG).exists():
            write_page_if_possible(write_run_page, root)

    def _report(self, paths: Sequence[Path]) -> None:
        there = [f"  {path}" for path in paths if path.exists()]
        print("\n".join([f"Wrote to {self.root}:", *there]))
