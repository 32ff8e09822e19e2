"""The conformance suite on a GPU."""

import pytest

from ditflow.backbones import CogVideoXBackbone
from tests.backbones.conformance import BackboneConformance
from tests.conftest import tiny_pipeline

pytestmark = pytest.mark.gpu


class TestOnGPU(BackboneConformance):
    """CogVideoX's three kinds, as on a CPU but for the order of sums."""

    rounding = 1e-4

    @pytest.fixture(scope="class", params=["2b", "5b", "1.5"])
    def kind(self, request):
        return request.param

    @pytest.fixture(scope="class")
    def backbone(self, kind, device):
        return CogVideoXBackbone(tiny_pipeline(kind).to(device), kind)

    @pytest.fixture(scope="class")
    def stock(self, kind, device):
        return tiny_pipeline(kind).to(device)

    def call_options(self, stock):
        return {"max_sequence_length": stock.transformer.config.max_text_seq_length}
