"""No test depends on those before it in the same process: each of these leaves things that the next one must not find."""

import os
from pathlib import Path

import pytest
import torch

LEFT = "DUO_LEFT_BY_A_TEST"
FOLDER = Path.cwd()


@pytest.mark.parametrize("place", range(2))
def test_what_a_test_leaves_set_is_taken_back(place, tmp_path):
    assert LEFT not in os.environ
    assert "OMP_NUM_THREADS" in os.environ
    assert Path.cwd() == FOLDER
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.rand(1).item() == torch.rand(1, generator=torch.Generator().manual_seed(0)).item()
    os.environ[LEFT] = str(place)
    del os.environ["OMP_NUM_THREADS"]
    os.chdir(tmp_path)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(mode=True)
