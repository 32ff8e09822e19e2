"""The plan that a fit prints of itself."""

from ditflow.cli import main
from ditflow.objectives import AttentionMotionFlow

PROMPT = "a blue square on a white background"


class Reads(AttentionMotionFlow):
    """An objective that cannot be followed by shapes alone: it looks at a number."""

    def loss(self, outputs, reference):
        loss = super().loss(outputs, reference)
        return loss if loss.item() > 0 else loss * 0


def fit(video, folder, *args):
    return main(["fit", "--video", str(video), "--prompt", PROMPT, "--output", str(folder), *args])


def test_a_fit_says_what_the_plan_command_says(reference_video, tmp_path, capsys):
    config = tmp_path / "few.yaml"
    config.write_text("model: {num_inference_steps: 3, optimization_steps: 1}\n")
    assert main(["plan", "--config", "sprites-rope", str(config)]) == 0
    *planned, verdict = capsys.readouterr().out.strip().splitlines()
    assert verdict.startswith("It fits")
    assert fit(reference_video, tmp_path / "out", "--config", str(config)) == 0
    printed = capsys.readouterr().out.strip().splitlines()
    assert printed[: len(planned)] == planned
    assert printed[len(planned)].startswith("It fits")


def test_a_fit_that_cannot_be_planned_goes_on(reference_video, tmp_path, capsys, caplog):
    options = ["--steps", "3", "--model.objective", "tests.plan.test_running.Reads"]
    assert fit(reference_video, tmp_path, *options) == 0
    assert "This fit cannot be planned" in caplog.text
    assert (tmp_path / "motion.safetensors").exists()
