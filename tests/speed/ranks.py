"""Throughput of `ditflow benchmark` with one process and with two.

python tests/speed/ranks.py

The same jobs twice, each process of one thread; on a machine whose cores do nothing else.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jsonargparse import auto_cli
from tqdm import tqdm

MANIFEST = """
references:
  class_path: ditflow.sprites.references.SpritesReferences
  init_args: {{count: {count}}}
backbones: {{sprites-rope: [sprites-rope]}}
categories: [subject]
methods: {{ditflow-latents: [ditflow-latents]}}
"""


def seconds(ranks: int, manifest: Path, folder: Path) -> float:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
    command = ["-m", "ditflow.cli", "benchmark", "--config", str(manifest), "--output", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    subprocess.run([*launch, *command], check=True, capture_output=True, env=environment)
    return time.monotonic() - started


def main(count: int = 12):
    """Compare.

    Args:
        count: of references, one job each.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = folder / "manifest.yaml"
        manifest.write_text(MANIFEST.format(count=count))
        # The start of Python and the references' cache are not what is compared.
        (folder / "one.yaml").write_text(MANIFEST.format(count=1))
        start = seconds(1, folder / "one.yaml", folder / "start")
        bar = tqdm((1, 2), desc="Processes")
        one, two = (seconds(ranks, manifest, folder / str(ranks)) for ranks in bar)
    print(f"throughput with 2 ranks/with 1: {one / two:.2f} for {count} jobs, start included")
    print(f"one rank: {count / one:.3f} jobs a second; a single job with its start {start:.0f} s")


if __name__ == "__main__":
    auto_cli(main)
