"""Quantised loading as on a GPU: only bitsandbytes' layers, whether there is a GPU, and diffusers'
list of devices are replaced."""

import sys
from contextlib import nullcontext
from importlib import metadata
from types import ModuleType, SimpleNamespace

import diffusers.quantizers.bitsandbytes.bnb_quantizer as of_diffusers
import diffusers.quantizers.bitsandbytes.utils as diffusers_layers
import pytest
import torch
import transformers.integrations.bitsandbytes as transformers_layers
from diffusers import CogVideoXPipeline
from diffusers.pipelines import pipeline_utils
from transformers.quantizers import quantizer_bnb_4bit, quantizer_bnb_8bit

from ditflow import DitflowError
from ditflow.backbones.cogvideox.loading import load_pipeline

OPTIONS = {
    "name": "sprites-rope",
    "dtype": "bfloat16",
    "scheduler": "own",
    "vae_slicing": False,
    "vae_tiling": False,
    "flow_shift": None,
}


class Weight(torch.nn.Parameter):
    """Of a quantised layer: takes what bitsandbytes' do, and quantises nothing."""

    def __new__(cls, data=None, requires_grad=False, **kwargs):
        return torch.Tensor._make_subclass(cls, data, False)


class Linear(torch.nn.Linear):
    """A quantised layer."""

    def __init__(self, inputs, outputs, bias=True, compute_dtype=None, **kwargs):
        super().__init__(inputs, outputs, bias)
        self.compute_dtype = compute_dtype
        self.weight = Weight(self.weight.data)


@pytest.fixture
def gpu(monkeypatch):
    """A machine with bitsandbytes and a GPU, by what the libraries ask; yields what is asked of
    `from_pretrained` and which GPU is the current one then."""
    layers = SimpleNamespace(Linear4bit=Linear, Linear8bitLt=Linear)
    layers.Params4bit = layers.Int8Params = Weight
    package = ModuleType("bitsandbytes")
    package.nn, package.__spec__ = layers, SimpleNamespace(name="bitsandbytes")
    monkeypatch.setitem(sys.modules, "bitsandbytes", package)
    for module in (diffusers_layers, transformers_layers):
        monkeypatch.setattr(module, "bnb", package, raising=False)
    for kind in (
        of_diffusers.BnB4BitDiffusersQuantizer,
        of_diffusers.BnB8BitDiffusersQuantizer,
        quantizer_bnb_4bit.Bnb4BitHfQuantizer,
        quantizer_bnb_8bit.Bnb8BitHfQuantizer,
    ):
        monkeypatch.setattr(kind, "validate_environment", lambda *args, **kwargs: None)
    own_version = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "1" if name == "bitsandbytes" else own_version(name)
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = SimpleNamespace(current=None)

    def current(index):
        asked.current = index
        return nullcontext()

    monkeypatch.setattr(torch.cuda, "device", current)
    monkeypatch.setattr(pipeline_utils, "SUPPORTED_DEVICE_MAP", ["balanced", "cuda", "cpu"])
    own = CogVideoXPipeline.from_pretrained

    def here(name, **options):
        """What is no kind of device is refused as on a GPU; a kind is loaded without one."""
        asked.options = options
        if options["device_map"] == "cuda":
            options = options | {"device_map": "cpu"}
        return own(name, **options)

    monkeypatch.setattr(CogVideoXPipeline, "from_pretrained", here)
    return asked


@pytest.mark.parametrize("bits", [4, 8])
def test_linear_layers_are_quantised_on_the_gpu_that_is_asked_for(gpu, bits):
    options = OPTIONS | {"quantization": f"bitsandbytes-{bits}bit"}
    pipeline = load_pipeline(options, torch.device("cuda", 1))
    assert (gpu.options["device_map"], gpu.current) == ("cuda", 1)
    for part in (pipeline.transformer, pipeline.text_encoder):
        layers = [layer for layer in part.modules() if isinstance(layer, Linear)]
        assert layers
        # What 4-bit layers compute in is not float32, the libraries' own choice.
        assert {layer.compute_dtype for layer in layers} == {torch.bfloat16 if bits == 4 else None}
    assert not any(isinstance(layer, Linear) for layer in pipeline.vae.modules())


def test_what_the_libraries_refuse_is_one_line(gpu, monkeypatch):
    def refuse(name, **options):
        raise NotImplementedError("cuda not supported.\nSupported strategies are: balanced")

    monkeypatch.setattr(CogVideoXPipeline, "from_pretrained", refuse)
    options = OPTIONS | {"quantization": "bitsandbytes-8bit"}
    expected = r"quantization=bitsandbytes-8bit .*cuda not supported.*quantization=none"
    with pytest.raises(DitflowError, match=expected) as caught:
        load_pipeline(options, torch.device("cuda"))
    assert "\n" not in str(caught.value)
