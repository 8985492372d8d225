"""What was decoded once is read from its file, which may have come to harm since."""

import numpy as np
import pytest
import torch

from mdlib.data import CorruptData, decode


@pytest.mark.parametrize("left", [0, 5, 200])
def test_a_file_that_was_cut_short_is_named(tmp_path, left):
    cache, shape = tmp_path / "toy.npy", (3, 1, 16, 16)
    pixels = np.arange(3 * 256).reshape(shape) % 256

    def fill(array):
        array[:] = pixels

    for _ in range(2):  # decoded, then read
        assert torch.equal(decode.kept("toy", cache, shape, fill), torch.tensor(pixels).byte())
    cache.write_bytes(cache.read_bytes()[:left])
    with pytest.raises(CorruptData, match=r"^toy: .*toy\.npy can't be read .*: remove it"):
        decode.kept("toy", cache, shape, fill)
