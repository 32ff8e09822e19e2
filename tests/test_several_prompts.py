"""One fit of several prompts."""

import lightning
import torch

from ditflow import MotionDataModule, MotionEmbedding, MotionTransfer
from ditflow.module import LearningRates
from tests.test_module import OTHER, PROMPT, fit, make_trainer


def test_several_prompts_take_the_mean_step(rope, tmp_path, reference_video):
    """One Adam step over two prompts equals one over their mean gradient."""
    options = {"num_inference_steps": 2, "guided_share": 0.5, "optimization_steps": 1}
    options |= {"target": "positions", "parameterization": "coordinates", "block": 3}
    rates = LearningRates(coordinates=(0.1, 0.1))
    gradients = {}

    class Gradients(lightning.Callback):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            gradients[len(module.samplers), gradients.get("run")] = module.parameter.grad.clone()

    def run(name, prompts):
        gradients["run"] = name
        module = MotionTransfer(rope, learning_rates=rates, **options)
        data = MotionDataModule(video=reference_video, prompts=prompts)
        make_trainer(tmp_path / name, callbacks=[Gradients()]).fit(module, data)
        return module

    module = run("both", [PROMPT, OTHER])
    run("first", [PROMPT])
    run("second", [OTHER])
    mean = (gradients[1, "first"] + gradients[1, "second"]) / 2
    torch.testing.assert_close(gradients[2, "both"], mean, atol=1e-7, rtol=1e-4)
    assert len(module.videos) == 2
    embedding = MotionEmbedding.load(tmp_path / "both" / "motion.safetensors")
    assert embedding.header.prompts == (PROMPT, OTHER)
    assert embedding.tensors["positions"].shape == (1, 2, 448, 3)


def test_a_prompt_given_twice_has_two_videos(rope, tmp_path, reference_video):
    one = fit(rope, tmp_path / "one", reference_video, data={"num_frames": 9})
    two = fit(rope, tmp_path / "two", reference_video, [PROMPT] * 2, data={"num_frames": 9})
    assert len(two.videos) == 2
    assert two.parameter[0].equal(two.parameter[1])
    torch.testing.assert_close(two.parameter[:1], one.parameter, atol=1e-3, rtol=0)
