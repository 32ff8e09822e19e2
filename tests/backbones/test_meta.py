"""The big models at full size on the meta device: grids and shapes, no weights."""

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel

from ditflow.backbones.base import PassInput
from ditflow.backbones.cogvideox.positions import positions_at, stock_positions, token_grid
from ditflow.backbones.loading import empty_backbone

MODELS = {
    "2b": {"num_layers": 30, "num_attention_heads": 30},
    "5b": {
        "num_layers": 42,
        "num_attention_heads": 48,
        "use_rotary_positional_embeddings": True,
    },
    "1.5-5b": {
        "num_layers": 42,
        "num_attention_heads": 48,
        "use_rotary_positional_embeddings": True,
        "patch_size_t": 2,
        "patch_bias": False,
        "sample_height": 300,
        "sample_width": 300,
        "sample_frames": 81,
    },
}
CASES = {
    "2b": ((1, 6, 16, 60, 90), (6, 30, 45), (8100, 1920), 1),
    "5b": ((1, 6, 16, 60, 90), (6, 30, 45), (8100, 64), 2),
    "1.5-5b": ((1, 22, 16, 96, 170), (11, 48, 85), (44880, 64), 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_grids_and_position_shapes(name):
    with torch.device("meta"):
        transformer = CogVideoXTransformer3DModel(**MODELS[name])
    shape, grid, table, parts = CASES[name]
    assert token_grid(transformer, shape) == grid
    positions = stock_positions(transformer, shape, torch.device("cpu"))
    assert [tuple(part.shape) for part in positions] == [table] * parts


@pytest.mark.parametrize("name", MODELS)
def test_a_full_size_pass_fits_its_positions(name):
    """A whole forward on the meta device, at the real size of the paper's runs."""
    with torch.device("meta"):
        transformer = CogVideoXTransformer3DModel(**MODELS[name])
        shape, _, _, _ = CASES[name]
        latents = torch.empty(shape)
        prompt = torch.empty(1, 226, 4096)
        timestep = torch.empty(1, dtype=torch.long)
        positions = stock_positions(transformer, shape, torch.device("meta"))
        rotary = positions if transformer.config.use_rotary_positional_embeddings else None
        with torch.no_grad():
            output = transformer(latents, prompt, timestep, image_rotary_emb=rotary)[0]
    assert output.shape == latents.shape


@pytest.mark.parametrize("name", ["2b", "5b"])
def test_coordinates_at_full_size(name):
    from ditflow.backbones.cogvideox.positions import stock_coordinates

    with torch.device("meta"):
        transformer = CogVideoXTransformer3DModel(**MODELS[name])
    shape, grid, _, _ = CASES[name]
    coordinates = stock_coordinates(transformer, shape, torch.device("cpu"))
    assert coordinates.shape == (grid[0] * grid[1] * grid[2], 3)
    for ours, stock in zip(
        positions_at(transformer, coordinates),
        stock_positions(transformer, shape, torch.device("cpu")),
        strict=True,
    ):
        torch.testing.assert_close(ours, stock.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "shape", "grid"),
    [
        ("Wan2.1-T2V-1.3B", (1, 21, 16, 60, 104), (21, 30, 52)),
        ("Wan2.1-T2V-14B", (1, 21, 16, 60, 104), (21, 30, 52)),
        ("Wan2.2-TI2V-5B", (1, 31, 48, 44, 80), (31, 22, 40)),
        ("Wan2.2-T2V-A14B", (1, 21, 16, 60, 104), (21, 30, 52)),
    ],
)
def test_a_full_size_pass_of_wan(name, shape, grid):
    """At its default size, each weight in the dtype that its class keeps it in."""
    backbone = empty_backbone(f"Wan-AI/{name}-Diffusers", "bfloat16")
    assert backbone.latent_shape(*backbone.default_size()) == shape
    assert backbone.token_grid(shape) == grid
    positions = backbone.positions(shape)
    tokens = grid[0] * grid[1] * grid[2]
    assert [tuple(part.shape) for part in positions] == [(tokens, 128)] * 2
    with torch.device("meta"), torch.no_grad():
        prompt = torch.empty(1, backbone.prompt_length, 4096, dtype=torch.bfloat16)
        given = PassInput(torch.empty(shape), 500, prompt, positions)
        assert backbone.run(given).shape == shape
