"""The commands, as `ditflow --help` lists them, and where each is."""

USAGE = """\
ditflow: transfer the motion of a video to new videos, with no training of the model.

  ditflow demo --output demo
  ditflow fit --video ref.mp4 --prompt "..." --output DIR [--config PRESET]
  ditflow preview --video ref.mp4 --output DIR [--config PRESET]
  ditflow predict --embedding DIR/motion.safetensors --prompts "..." "..." --output DIR
  ditflow inspect DIR/motion.safetensors
  ditflow test --embedding DIR/motion.safetensors --video ref.mp4 --output DIR
  ditflow test --videos a.mp4 b.mp4 --video ref.mp4 --prompts "..." --output DIR
  ditflow benchmark --config MANIFEST --output DIR
  ditflow page DIR
  ditflow app [--config PRESET]
  ditflow rate make --results DIR --output DIR
  ditflow rate figure answers-*.json --key DIR/key.json --output DIR
  ditflow presets [NAME]
  ditflow plan --config PRESET [--memory GIB]
  ditflow selftest --config PRESET
  ditflow push DIR USER/NAME
  ditflow doctor
  ditflow completion bash

Every command has --help; `fit` and `predict` also have --print_config. `ditflow --version` tells
the versions of what matters.
"""

LIGHTNING = ("fit", "predict")
"""Commands that are LightningCLI's."""

COMMANDS = {
    "app": "ditflow.commands.app:app",
    "benchmark": "ditflow.commands.benchmark:benchmark",
    "completion": "ditflow.commands.completion:completion",
    "demo": "ditflow.commands.demo:demo",
    "doctor": "ditflow.commands.doctor:doctor",
    "inspect": "ditflow.commands.inspect_embedding:inspect",
    "page": "ditflow.commands.page:page",
    "plan": "ditflow.commands.plan:plan",
    "presets": "ditflow.commands.presets:presets",
    "preview": "ditflow.commands.preview:preview",
    "push": "ditflow.commands.push:push",
    "rate": "ditflow.commands.rate:rate",
    "selftest": "ditflow.commands.selftest:selftest",
    "test": "ditflow.commands.test:score",
}
"""The others; each takes its arguments and returns the exit status, and beside it is its parser, of
the same name with `_parser`, or if it does several things their parsers by name, `_parsers`."""
