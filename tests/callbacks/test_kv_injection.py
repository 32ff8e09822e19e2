"""When KV injection acts, and what it records."""

import pytest

from ditflow import MotionDataModule, MotionTransfer
from ditflow.callbacks import KVInjection
from ditflow.errors import DitflowError
from ditflow.module import LearningRates
from ditflow.runs.quiet import quiet_trainer

FOUR = {"num_inference_steps": 4, "guided_share": 0.75, "optimization_steps": 2, "block": 3}


class Noted(KVInjection):
    """KV injection that notes the steps it records at, and, if told, always records."""

    def __init__(self, always=False, **options):
        super().__init__(**options)
        self.always, self.steps = always, []

    def _key_values(self, module, sampler, step, positions):
        if self.always:
            self._recorded.clear()
        before = self._recorded.get(sampler)
        key_values = super()._key_values(module, sampler, step, positions)
        if self._recorded[sampler] is not before:
            self.steps.append(step)
        return key_values


def fit(backbone, folder, video, injection, **options):
    rates = LearningRates(latents=(0.1, 0.1), coordinates=(0.2, 0.2))
    module = MotionTransfer(backbone, **FOUR | {"learning_rates": rates} | options)
    module.progress = False
    data = MotionDataModule(video=video, prompts=["a red circle on a gray background"])
    quiet_trainer(str(folder), [injection], backbone.device).fit(module, data)
    return module.videos[0]


@pytest.mark.parametrize(("share", "steps"), [(0.25, [0]), (0.5, [0, 1]), (1.0, [0, 1, 2])])
def test_acts_in_its_share_of_the_steps_and_only_at_guided_ones(
    rope, tmp_path, reference_video, share, steps
):
    injection = Noted(share=share)
    fit(rope, tmp_path, reference_video, injection)
    assert injection.steps == steps


@pytest.mark.parametrize("target", ["latents", "positions"])
@pytest.mark.parametrize("block", [0, 2])
def test_records_anew_only_when_positions_changed(
    sprites, tmp_path, reference_video, target, block
):
    injection, always = Noted(block=block, share=0.5), Noted(True, block=block, share=0.5)
    kept = fit(sprites, tmp_path, reference_video, injection, target=target)
    assert (kept - fit(sprites, tmp_path, reference_video, always, target=target)).abs().max() == 0
    depends = target == "positions" and not (sprites.rotary and block == 0)
    # Before each of two Adam steps, and for the denoising step.
    assert injection.steps == ([0, 0, 0, 1, 1, 1] if depends else [0, 1])
    assert always.steps == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan")])
def test_refuses_a_share_that_is_none(share):
    with pytest.raises(DitflowError, match=r"kv_injection\.share=.* above 0 and at most 1"):
        KVInjection(share=share)
