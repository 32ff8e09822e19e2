"""`ditflow fit` and `ditflow predict`: LightningCLI with everything in one folder."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ditflow.callbacks import (
    EmbeddingCheckpoint,
    GuidedProgressBar,
    KVInjection,
    StopNotice,
    VideoWriter,
)
from ditflow.callbacks.embedding_checkpoint import header_of
from ditflow.embedding.header import check_readable
from ditflow.errors import DitflowError
from ditflow.module import run_of
from ditflow.pages.run import CONFIG, PAGE, write_page_if_possible, write_run_page
from ditflow.plan.running import describe_run
from ditflow.runs.checkpoints import WholeCheckpoints
from ditflow.runs.claim import claim, refuse_results, remove_results
from ditflow.runs.history import COMMANDS, record_command
from ditflow.runs.resume import check_same_run, checkpoint_path, read_run
from ditflow.settings.lightning import MotionParsers, shown_parser
from ditflow.settings.options import expand
from ditflow.settings.unheeded import refuse_limits, refuse_unheeded
from ditflow.utils.files import whole

log = logging.getLogger(__name__)

FINISHED = "video.mp4"
"""Of a fit, what is there only once everything is computed."""

RESULTS = ("motion.safetensors", FINISHED, "checkpoints/last.ckpt")
"""Of a fit; where one of them is, there was an earlier run."""

MADE = (
    *RESULTS,
    # Numbered by prompt, up to 999: a user's own video-original.mp4 is none of them.
    *(f"video-{'[0-9]' * digits}-*.mp4" for digits in (1, 2, 3)),
    *("reference.mp4", "comparison.mp4", "tensorboard/events.out.*"),
    *(PAGE, COMMANDS),
)
"""All that a fit may leave, but for its config.yaml, which every run writes."""


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
        with whole(Path(trainer.default_root_dir) / self.config_filename) as path:
            self.parser.save(self.config, path, overwrite=True, multifile=self.multifile)


class MotionCLI(MotionParsers):
    """LightningCLI with ditflow's callbacks always on and all output in one folder.

    Args:
        args: the command line, as it was typed.
        held: what is let go of when the command ends, such as the output folder.
    """

    def __init__(self, args: list[str], held: ExitStack):
        self.typed, self.held = args, held
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
        """Refuse what needs no backbone to be refused."""
        config = self.config[self.subcommand]
        for name in ("video", "mask"):
            path = config.data[name]
            if self.subcommand == "fit" and path is not None and not Path(path).exists():
                raise DitflowError(f"{name}={path} does not exist; give a video file or a folder.")
        root = Path(config.trainer.default_root_dir)
        if self.subcommand != "fit" or self._goes_on_in(root):
            return
        if not config.overwrite:
            # A fit that was stopped in the writing of its first checkpoint has an embedding too.
            anew = self.begun_anew == root.resolve()
            refuse_results(root, (FINISHED,) if anew else RESULTS)
        written = {path.resolve() for pattern in MADE for path in root.glob(pattern)}
        for name, path in (("video", config.data.video), ("mask", config.data.mask)):
            if path is not None and Path(path).resolve() in written:
                raise DitflowError(
                    f"{name}={path} is in the output folder under a name that a run writes, and "
                    "would be lost; rename it, or give another folder."
                )

    def _goes_on_in(self, root: Path) -> bool:
        """Whether a checkpoint of this output folder is gone on from."""
        path = self.config[self.subcommand].ckpt_path
        return path is not None and root.resolve() in Path(path).resolve().parents

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self._get(self.config_init, "trainer")
        root = Path(config["default_root_dir"])
        if config["logger"] in (None, True):
            kwargs["logger"] = TensorBoardLogger(root, name="", version="tensorboard")
        if config["accelerator"] == "auto" and self.model.device.type == "cpu":
            kwargs["accelerator"] = "cpu"
        if self.model.device.type == "cuda" and config["devices"] == 1:
            kwargs["devices"] = [self.model.device.index or 0]
        given = config["plugins"] or []
        plugins = given if isinstance(given, list) else [given]
        kwargs["plugins"] = [*plugins, WholeCheckpoints()]
        self.writer = VideoWriter()
        callbacks = [
            EmbeddingCheckpoint(),
            self.writer,
            GuidedProgressBar(),
            StopNotice(self._write_page),
        ]
        if self.subcommand == "fit" and config["logger"] is not False:
            callbacks.append(LearningRateMonitor())
        if config["enable_checkpointing"] is not False:
            callbacks.append(
                ModelCheckpoint(root / "checkpoints", "last", enable_version_counter=False)
            )
        self.trainer_defaults["callbacks"] = callbacks
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

    def before_fit(self) -> None:
        """Everything that can be wrong with the input is found before anything is written."""
        self.model.objective.check_mask(self.datamodule.mask)
        self.datamodule.read_reference(self.model.backbone)
        injection = self._get(self.config_init, "kv_injection")
        injection.check(self.model.backbone)
        used = injection if injection.enabled else None
        check_readable(header_of(self.model, self.datamodule, used))
        if self.resumed is not None:
            check_same_run(self.resumed, run_of(self.model, self.datamodule, used))
        root = self._claim_output()
        overwrite = self.config[self.subcommand].overwrite and not self._goes_on_in(root)
        if overwrite and self.trainer.is_global_zero:  # others would remove what it has written
            remove_results(root, MADE)
        self._record_command(root)
        self._print_plan(injection)

    def _claim_output(self) -> Path:
        """Hold the output folder until the command ends; the first process does so for all."""
        root = Path(self.trainer.default_root_dir)
        if self.trainer.is_global_zero:
            self.held.enter_context(claim(root))
        return root

    def _record_command(self, root: Path) -> None:
        if self.trainer.is_global_zero:
            record_command(root, self.typed)

    def _print_plan(self, injection: KVInjection) -> None:
        frames = self.datamodule.frames
        size = len(frames), *frames.shape[-2:]
        try:
            print(describe_run(self.model, size, len(self.datamodule.prompts), injection) + "\n")
        except Exception as error:  # an objective of the user's own may not do without numbers
            log.warning("This fit cannot be planned (%s: %s).", type(error).__name__, error)

    def before_predict(self) -> None:
        motion = self.datamodule.load_motion(self.model)
        asked = [item.prompt for item in self.datamodule.items()]
        if (warning := motion.header.look_warning(asked)) is not None:
            log.warning(warning)
        injection = self._get(self.config_init, "kv_injection")
        injection.check(self.model.backbone)
        root, data = self._claim_output(), self.datamodule
        used = injection if injection.enabled else None
        self.predictions = data.predictions(root, self.model, used)
        if not self.config[self.subcommand].overwrite:
            data.finished = self.predictions.finished()
        elif any(root.glob("*-seed*.json")) and not (root / "motion.safetensors").exists():
            remove_results(root, ("reference.mp4",))  # an earlier predict's, of another motion
        missing = len(self.predictions.items) - len(data.finished)
        if data.finished:
            print(f"{len(data.finished)} videos are there already, {missing} are missing.")
        if 0 < missing < self.trainer.world_size:
            raise DitflowError(
                f"trainer.devices: {self.trainer.world_size} processes for {missing} videos to "
                f"make; use at most {missing}."
            )
        self._record_command(root)

    def after_fit(self) -> None:
        root = Path(self.trainer.default_root_dir)
        self._write_page(root)
        names = ("motion.safetensors", "config.yaml", "tensorboard", "checkpoints", PAGE)
        self._report([*self.writer.paths, *(root / name for name in names)])

    def after_predict(self) -> None:
        root = Path(self.trainer.default_root_dir)
        comparison = root / "comparison.mp4"
        if not self.writer.paths and self.trainer.is_global_zero and not comparison.exists():
            self.writer.compare(self.model, self.datamodule, self.predictions)
        self._write_page(root)
        self._report([*self.predictions.paths(), root / "reference.mp4", comparison, root / PAGE])

    def _write_page(self, root: Path) -> None:
        # A run that was stopped at its very beginning has nothing to show.
        if self.trainer.is_global_zero and (root / CONFIG).exists():
            write_page_if_possible(write_run_page, root)

    def _report(self, paths: Sequence[Path]) -> None:
        print(f"Wrote to {self.trainer.default_root_dir}:")
        for path in paths:
            if path.exists():
                print(f"  {path}")
