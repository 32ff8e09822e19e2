"""Run a benchmark's jobs: fit, put into other prompts, score, and file the results."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from ditflow.backbones.base import Backbone
from ditflow.benchmark.jobs import Job, Key, Result, is_finished, twin, write_result
from ditflow.benchmark.record import Losses, flows_of
from ditflow.benchmark.references import References
from ditflow.callbacks import EmbeddingCheckpoint, KVInjection
from ditflow.data import MotionDataModule
from ditflow.metrics.scorer import Scorer
from ditflow.module import MotionTransfer
from ditflow.runs.claim import remove_results
from ditflow.runs.folder import EMBEDDING
from ditflow.runs.quiet import quiet_trainer
from ditflow.settings.stacked import Settings
from ditflow.utils.files import is_full_disk, whole
from ditflow.utils.memory import peak_memory
from ditflow.utils.untrusted import read_json
from ditflow.video.pictures import as_image
from ditflow.video.writing import write_video


class Runner:
    """Runs jobs one by one, keeping the backbone in use and the references' tracks.

    Args:
        folder: of the benchmark's output.
        references: where the videos come from, for their extra scores.
        scorer: the metrics.
    """

    def __init__(self, folder: Path, references: References, scorer: Scorer):
        self.folder, self.references, self.scorer = folder, references, scorer
        self._loaded: tuple[Any, Backbone] | None = None

    def run(self, job: Job) -> str | None:
        """Make those results of a job that are not there; the error in one line if it failed."""
        measured = self.scorer.names()
        keys = {result: result.key(measured) for result in job.results()}
        missing = [r for r, key in keys.items() if not is_finished(r.path(self.folder), key)]
        if not missing:
            return None
        try:
            missing = [result for result in missing if not self._taken(result, keys[result])]
            if missing:
                for result, video, data, made, flows in self._make(job, missing):
                    self._file(result, video, data, made, flows, keys[result])
        except Exception as error:  # whatever it was: it is filed, and the other jobs go on
            if is_full_disk(error):
                raise  # they would do their work for nothing
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            for result in missing:
                path = result.path(self.folder)
                if not is_finished(path, keys[result]):
                    described = self._describe(result, keys[result])
                    write_result(path, described | {"error": reason})
            return reason
        return None

    def _taken(self, result: Result, key: Key) -> bool:
        """Whether a result could be copied from its twin."""
        path = result.path(self.folder)
        other = twin(path, key)
        if other is None:
            return False
        self._remove(path)
        for suffix in (".mp4", ".png"):
            if other.with_suffix(suffix).exists():
                with whole(path.with_suffix(suffix)) as partial:
                    shutil.copyfile(other.with_suffix(suffix), partial)
        made = read_json(other, dict[str, Any])
        write_result(path, made | self._describe(result, key))
        return True

    def _make(
        self, job: Job, wanted: list[Result]
    ) -> Iterator[
        tuple[Result, torch.Tensor, MotionDataModule, dict[str, Any], torch.Tensor | None]
    ]:
        """Wanted results' videos with the reference as the model saw it, what making them was like,
        and of a fit the picture of its motion flows."""
        backbone = self._backbone(job.settings)
        reference = job.reference
        data = MotionDataModule(
            **job.settings.data
            | {
                "video": reference.video,
                "mask": reference.mask,
                "prompts": [reference.prompt(job.category)],
                "start_frame": reference.start_frame,
                "num_frames": reference.num_frames or job.settings.data["num_frames"],
                "stride": reference.stride,
            }
        )
        with tempfile.TemporaryDirectory() as folder:
            module, losses = self._module(job, backbone), Losses()
            with peak_memory(backbone.device) as peak:
                started = time.monotonic()
                self._trainer(job, folder, backbone.device, losses).fit(module, data)
                seconds = time.monotonic() - started
            for result in wanted:
                if not result.is_reused:
                    made = {"seconds": seconds, "peak_mib": peak.mib, "losses": losses.values}
                    yield result, module.videos[0], data, made, flows_of(module)
                    continue
                again = MotionDataModule(
                    prompts=[result.prompt], embedding=Path(folder) / EMBEDDING
                )
                module = self._module(job, backbone)
                with peak_memory(backbone.device) as peak:
                    started = time.monotonic()
                    video = self._trainer(job, folder, backbone.device).predict(module, again)[0]
                    cost = {"seconds": time.monotonic() - started, "peak_mib": peak.mib}
                yield result, video, data, cost, None

    def _module(self, job: Job, backbone: Backbone) -> MotionTransfer:
        module = job.settings.module(backbone, seed=job.seed)
        module.progress = False
        return module

    def _trainer(
        self, job: Job, folder: str, device: torch.device, *callbacks: Callback
    ) -> Trainer:
        callbacks = [KVInjection(**job.settings.injection), *callbacks]
        if job.reused:
            callbacks.append(EmbeddingCheckpoint())
        return quiet_trainer(folder, callbacks, device)

    def _file(
        self,
        result: Result,
        video: torch.Tensor,
        data: MotionDataModule,
        made: dict[str, Any],
        flows: torch.Tensor | None,
        key: Key,
    ) -> None:
        scores = self.scorer.score(
            video, data.frames, result.prompt, reference_name=result.job.reference.name
        ) | self.references.extra(video, data.frames, result.prompt)
        path = result.path(self.folder)
        self._remove(path)
        if flows is not None:
            with whole(path.with_suffix(".png")) as partial:
                as_image(flows).save(partial)
        write_video(video, path.with_suffix(".mp4"), data.fps)
        shown = self.folder / "references" / f"{result.job.reference.name}.mp4"
        if not shown.exists():  # a drawn reference is there already, and is what was read
            write_video(data.frames, shown, data.fps)
        write_result(path, self._describe(result, key) | made | {"scores": scores})

    def _remove(self, path: Path) -> None:
        """Remove an old result before its video: beside a new one it would be taken for that of its
        settings, if this process were killed between the two."""
        path.unlink(missing_ok=True)
        # And what killed processes left of this one, which no other process makes.
        stem = escape(path.stem)
        remove_results(path.parent, [f"{stem}.png", f".{stem}.*.partial*"])

    def _describe(self, result: Result, key: Key) -> dict[str, Any]:
        job = result.job
        return {
            "key": key.settings,
            "content": key.content,
            "order": job.order,
            "file": str(result.path(self.folder).relative_to(self.folder).with_suffix(".mp4")),
            "backbone": job.backbone,
            "method": job.method,
            "video": job.reference.name,
            "fitted": job.category,
            "category": result.category,
            "prompt": result.prompt,
            "reused": result.is_reused,
            "seed": job.seed,
            **self.scorer.names(),
        }

    def _backbone(self, settings: Settings) -> Backbone:
        """The backbone of these settings; the one before is let go first."""
        wanted = settings.loader, settings.backbone
        if self._loaded is None or self._loaded[0] != wanted:
            self._loaded = None
            self._loaded = wanted, settings.load_backbone()
        return self._loaded[1]
