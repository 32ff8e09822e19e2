"""The motion flow of a 5B-shaped transformer at the paper's full grid, within 8 GiB."""

import json
import subprocess
import sys

import pytest

CHILD = """
import json, resource, torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from ditflow.backbones import CogVideoXBackbone, PassInput
from ditflow.functional import flow_loss, motion_flow

torch.set_default_dtype(torch.bfloat16)
transformer = CogVideoXTransformer3DModel(
    num_layers=2, num_attention_heads=48, use_rotary_positional_embeddings=True
)
torch.set_default_dtype(torch.float32)
pipeline = CogVideoXPipeline(None, None, None, transformer, CogVideoXDDIMScheduler())
backbone = CogVideoXBackbone(pipeline, "random")
shape = (1, 6, 16, 60, 90)
latents = torch.randn(shape).requires_grad_()
prompt = torch.randn(1, 226, 4096).bfloat16()
outputs = backbone.query_key(PassInput(latents, 0, prompt, backbone.positions(shape)), block=1)
query, key, grid = outputs.query, outputs.key, outputs.grid
hard = motion_flow(query.detach(), key.detach(), grid, hard=True)
loss = flow_loss(motion_flow(query, key, grid), hard)
loss.backward()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({
    "grid": grid, "flow": list(hard.shape), "finite": bool(latents.grad.isfinite().all()),
    "moved": float(latents.grad.abs().max()) > 0, "GiB": peak / 2**30,
}))
"""


@pytest.mark.slow
def test_flow_and_its_gradient_at_30_by_45_by_6():
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["grid"] == [6, 30, 45]
    assert result["flow"] == [6, 6, 1350, 2]
    assert result["finite"]
    assert result["moved"]
    assert result["GiB"] < 8
    print(result)
