"""Run a benchmark's jobs: fit, put into other prompts, score, and file the results."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any

import torch

from ditflow.assembly.loading import load
from ditflow.assembly.run import Run
from ditflow.backbones.base import Backbone
from ditflow.benchmark.jobs import Job, Key, Result, is_finished, twin, write_result
from ditflow.benchmark.record import flows_of
from ditflow.benchmark.references import References
from ditflow.data import MotionDataModule
from ditflow.metrics.scorer import Scorer
from ditflow.runs.claim import remove_results
from ditflow.settings.stacked import Settings
from ditflow.utils.files import atomic_write, is_full_disk
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

    def missing(self, job: Job) -> dict[Result, Key]:
        """Those results of a job that are not there, each with what it is to depend on."""
        measured = self.scorer.names()
        keys = {result: result.key(measured) for result in job.results()}
        return {r: key for r, key in keys.items() if not is_finished(r.path(self.folder), key)}

    def run(self, job: Job) -> str | None:
        """Make those results of a job that are not there; the error in one line if it failed."""
        try:
            wanted = {r: key for r, key in self.missing(job).items() if not self._taken(r, key)}
            if wanted:
                self._make(job, wanted)
        except Exception as error:  # whatever it was: it is filed, and the other jobs go on
            if is_full_disk(error):
                raise  # they would do their work for nothing
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            for result, key in self.missing(job).items():
                described = self._describe(result, key)
                write_result(result.path(self.folder), described | {"error": reason})
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
                with atomic_write(path.with_suffix(suffix)) as partial:
                    shutil.copyfile(other.with_suffix(suffix), partial)
        made = read_json(other, dict[str, Any])
        write_result(path, made | self._describe(result, key))
        return True

    def _make(self, job: Job, wanted: Mapping[Result, Key]) -> None:
        """Fit, and file each wanted result: the fit's own, and others made with its embedding."""
        backbone = self._backbone(job.settings)
        changes = {"seed": job.seed}
        run = Run.of(job.settings, backbone, _data(job), changes)
        run.data.begin_with_own(backbone)
        with _measured(backbone.device) as cost:
            fit = run.fit()
        for result, key in wanted.items():
            if not result.is_reused:
                found = {**cost, "losses": fit.losses}
                self._file(result, key, fit.videos[0], run.data, found, flows_of(run.module))
                continue
            module = job.settings.module(backbone, **changes)
            again = replace(run, module=module, data=MotionDataModule(prompts=[result.prompt]))
            again.data.motion, again.data.image = fit.embedding, run.data.image
            with _measured(backbone.device) as made:
                (video,) = again.predict()
            self._file(result, key, video, run.data, made)

    def _file(
        self,
        result: Result,
        key: Key,
        video: torch.Tensor,
        data: MotionDataModule,
        made: dict[str, Any],
        flows: torch.Tensor | None = None,
    ) -> None:
        """Score a result and write it.

        Args:
            result: what it is.
            key: what it depends on.
            video: as made, [T, 3, height, width] in [0, 1].
            data: with the reference as the model saw it.
            made: what making it was like.
            flows: a picture of a fit's motion flows, [3, height, width] in [0, 1].
        """
        scores = self.scorer.score(
            video, data.frames, result.prompt, reference_name=result.job.reference.name
        ) | self.references.extra(video, data.frames, result.prompt)
        if result.category == "scene":  # whose prompt has nothing of what the caption says
            scores["look"] = self.scorer.look(video, result.job.reference.caption)
        path = result.path(self.folder)
        self._remove(path)
        if flows is not None:
            with atomic_write(path.with_suffix(".png")) as partial:
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
        job, path = result.job, result.path(self.folder).with_suffix(".mp4")
        return {
            "key": key.settings,
            "content": key.content,
            "order": job.order,
            "file": path.relative_to(self.folder).as_posix(),
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
            self._loaded = wanted, load(settings)
        return self._loaded[1]


def _data(job: Job) -> dict[str, Any]:
    """What a job's fit is given, but for what its settings say."""
    reference = job.reference
    return {
        "video": reference.video,
        "mask": reference.mask,
        "prompts": [reference.prompt(job.category)],
        "start_frame": reference.start_frame,
        "num_frames": reference.num_frames or job.settings.data["num_frames"],
        "stride": reference.stride,
    }


@contextmanager
def _measured(device: torch.device) -> Iterator[dict[str, Any]]:
    """Context of a piece of work whose cost, by the names of `COST`, is known after it."""
    cost: dict[str, Any] = {}
    with peak_memory(device) as peak:
        started = time.monotonic()
        yield cost
        cost["seconds"] = time.monotonic() - started
    cost["peak_mib"] = peak.mib
