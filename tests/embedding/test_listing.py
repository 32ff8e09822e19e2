"""The motion embeddings of a folder."""

from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file

from ditflow import DitflowError, list_embeddings
from tests.embedding.test_header import HEADER, write


def test_those_of_a_folder_and_of_folders_in_it(tmp_path):
    (tmp_path / "a").mkdir()
    first = write(tmp_path / "a" / "motion.safetensors", asdict(HEADER))
    second = write(tmp_path / "left.safetensors", asdict(HEADER) | {"seed": 3})
    save_file({"weight": torch.zeros(2)}, tmp_path / "a" / "model.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(first.read_bytes()[:99])
    write(tmp_path / ".motion.7.partial.safetensors", asdict(HEADER))
    (tmp_path / "notes.txt").write_text("none")
    found = list_embeddings(tmp_path)
    assert list(found) == [first, second]
    assert found[first] == HEADER
    assert found[second].seed == 3
    with pytest.raises(DitflowError, match="does not exist"):
        list_embeddings(tmp_path / "b")
