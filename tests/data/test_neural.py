"""mdlib.data.neural: the recording, verified, read and refused."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mdlib.data import CorruptData, neural

REAL = Path(os.environ.get("MDLIB_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A root with a file of the same format: 5 bins of 2 trials, 3 units; and the file's arrays."""
    rng = np.random.default_rng(0)
    arrays = {
        "spike_counts": rng.poisson(1, (5, 3)).astype(np.uint8),
        "target": np.array([3, 3, 3, 7, 7], np.int16),
        "trial": np.array([0, 0, 0, 1, 1], np.int16),
        "velocity": rng.normal(size=(5, 2)),
        "bin_s": np.float64(0.1),
    }
    path = tmp_path / neural.FILE.path
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    content = path.read_bytes()
    file = replace(
        neural.FILE, digest=hashlib.sha256(content).hexdigest(), size=len(content)
    )  # fmt: skip
    monkeypatch.setattr(neural, "FILE", file)
    return tmp_path, arrays


def test_a_small_file_is_read_as_it_is(small, monkeypatch):
    root, arrays = small
    found = neural.load(root)
    assert found.counts.dtype == torch.uint8 and found.velocity.dtype == torch.float32
    assert np.array_equal(found.counts, arrays["spike_counts"])
    np.testing.assert_allclose(found.velocity, arrays["velocity"], rtol=1e-6)
    for name in ("target", "trial"):
        assert getattr(found, name).dtype == torch.int64
        assert np.array_equal(getattr(found, name), arrays[name])
    monkeypatch.setenv("MDLIB_DATA", str(root))
    assert torch.equal(neural.load().counts, found.counts)


def test_a_missing_or_damaged_file_is_refused_with_what_to_do(small):
    root, _ = small
    path = root / neural.FILE.path
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-1])
    with pytest.raises(CorruptData, match=r"neural: .*truncated.*github\.com/nerdslab/myow"):
        neural.load(root)
    content[50] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptData, match="checksum"):
        neural.load(root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"is missing.*MDLIB_DATA") as told:
        neural.load(root)
    assert "download=True" not in str(told.value)


def test_the_real_recording():
    if not (REAL / neural.FILE.path).is_file():
        pytest.skip(f"no {neural.FILE.path} in {REAL}: set MDLIB_DATA")
    found = neural.load(REAL)
    assert found.counts.shape == (1640, 174) and found.trial[-1] == 158
    assert found.target.bincount().tolist() == [187, 229, 229, 219, 201, 186, 224, 165]
    lengths = found.trial.bincount()
    assert (lengths.min(), lengths.max()) == (9, 14) and (found.trial.diff() >= 0).all()
    alive = found.counts[:1332].float().std(0) > 1e-3
    assert alive.sum() == 163  # on the first 80 % of trials, as its page has it
