"""What a trainer tells of how far it is."""

from lightning import Callback

from ditflow import MotionDataModule, MotionTransfer
from ditflow.callbacks import EmbeddingCheckpoint, ProgressFile
from ditflow.runs.progress import Progress, RunProgress
from ditflow.runs.quiet import quiet_trainer


class Recorded(RunProgress):
    """Keeps all that it is told, in place of a file."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Progress] = []

    def update(self, **changes) -> None:
        super().update(**changes)
        self.told.append(self.now)


def test_a_fit_and_a_predict_tell_their_phases(rope, reference_video, tmp_path):
    def run(*callbacks: Callback):
        module = MotionTransfer(
            rope, target="positions", num_inference_steps=5, guided_share=0.4, optimization_steps=2
        )
        module.progress = False
        return module, quiet_trainer(tmp_path, callbacks, rope.device)

    data = MotionDataModule(reference_video, prompts=["a red ring"], num_frames=5)
    fitted, sampled = Recorded(), Recorded()
    module, trainer = run(EmbeddingCheckpoint(), ProgressFile(fitted))
    trainer.fit(module, data)
    assert module.follow is None
    told = [(each.phase, each.step, each.steps, each.fraction) for each in fitted.told]
    guided = [("guided step", 1, 2, share) for share in (0, 0.25, 0.5)]
    guided += [("guided step", 2, 2, share) for share in (0.5, 0.75, 1)]
    denoised = [("denoising", done, 3, done / 3) for done in range(3)]
    assert told == [*guided, *denoised, ("decoding", 0, 1, 0)]
    losses = [each.loss for each in fitted.told]
    assert losses[0] is None
    assert losses[1] > losses[-1] > 0

    again = MotionDataModule(
        prompts=["a red ring", "a cross"], embedding=tmp_path / "motion.safetensors"
    )
    module, trainer = run(ProgressFile(sampled))
    trainer.predict(module, again)
    told = [(each.video, each.videos, each.phase, each.step) for each in sampled.told]
    each = [("guided steps", 0), ("guided steps", 1), *(("denoising", n) for n in range(3))]
    each += [("decoding", 0)]
    for video in (1, 2):
        of_it = [(phase, step) for number, total, phase, step in told if number == video]
        assert of_it[1:] == each
    assert {total for _, total, *_ in told} == {2}
