"""mdlib.data.neural: the recording, verified, read and refused; the simulation."""

import hashlib
import math
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
    found = neural.recorded(root)
    assert found.counts.dtype == torch.uint8 and found.trial.dtype == torch.int64
    assert np.array_equal(found.counts, arrays["spike_counts"])
    assert np.array_equal(found.trial, arrays["trial"])
    assert found.phase.tolist() == [0, 0.5, 1, 0, 1]
    assert found.angle.tolist() == pytest.approx([math.pi * t / 4 for t in arrays["target"]])
    some = found.subset(found.trial == 1)
    assert torch.equal(some.counts, found.counts[3:]) and some.direction.tolist() == [7, 7]
    assert some.phase.tolist() == [0, 1] and some.trial.tolist() == [1, 1]
    monkeypatch.setenv("MDLIB_DATA", str(root))
    assert torch.equal(neural.recorded().counts, found.counts)


def test_a_missing_or_damaged_file_is_refused_with_what_to_do(small):
    root, _ = small
    path = root / neural.FILE.path
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-1])
    with pytest.raises(CorruptData, match=r"neural: .*truncated.*github\.com/nerdslab/myow"):
        neural.recorded(root)
    content[50] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptData, match="checksum"):
        neural.recorded(root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"is missing.*MDLIB_DATA") as told:
        neural.recorded(root)
    assert "download=True" not in str(told.value)


def test_the_real_recording():
    if not (REAL / neural.FILE.path).is_file():
        pytest.skip(f"no {neural.FILE.path} in {REAL}: set MDLIB_DATA")
    found = neural.recorded(REAL)
    assert found.counts.shape == (1640, 174) and found.trial[-1] == 158
    assert found.direction.bincount().tolist() == [187, 229, 229, 219, 201, 186, 224, 165]
    lengths = found.trial.bincount()
    assert (lengths.min(), lengths.max()) == (9, 14) and (found.trial.diff() >= 0).all()
    alive = found.counts[:1332].float().std(0) > 1e-3
    assert alive.sum() == 163  # on the first 80 % of trials, as its page has it


def test_simulated_trials_are_four_bins_along_an_arc():
    neurons = neural.simulated(0, trials=300)
    assert neurons.counts.shape == (4800, 100) and neurons.trial.bincount().unique() == 4
    assert neurons.angle.unique().tolist() == pytest.approx(
        [0, math.pi / 2, math.pi, 1.5 * math.pi]
    )
    phase = neurons.phase.view(-1, 4)
    assert torch.equal((4 * phase).floor().long(), torch.arange(4).expand(1200, 4))
    assert (neurons.angle.view(-1, 4) == neurons.angle[::4, None]).all()
    low, high = math.exp(-2.2), math.exp(2.2)
    means = neurons.counts.double().mean(0)
    assert means.min() > 0.9 * low and means.max() < 1.1 * high and means.max() > 3 * means.min()
    same, other = (neural.simulated(seed, trials=3).counts for seed in (0, 1))
    assert not torch.equal(same, other)


def test_a_coupling_layer_can_be_inverted():
    z = np.random.default_rng(1).normal(size=(6, 8))
    out = neural.coupled(z, np.random.default_rng(2))
    kept, moved = z[:, :4], z[:, 4:]
    np.testing.assert_array_equal(out[:, 4:], kept)
    at_0 = neural.coupled(np.hstack([kept, 0 * moved]), np.random.default_rng(2))[:, :4]
    scale = (out[:, :4] - at_0) / moved  # exp(0.1 tanh) of the kept half
    assert (np.abs(np.log(scale)) < 0.1).all() and np.ptp(scale) > 1e-3
    at_1 = neural.coupled(np.hstack([kept, 0 * moved + 1]), np.random.default_rng(2))[:, :4]
    np.testing.assert_allclose(at_1 - at_0, scale)


def test_a_simulation_of_odd_size_is_refused():
    with pytest.raises(ValueError, match="units=7"):
        neural.simulated(units=7)
    with pytest.raises(ValueError, match="trials"):
        neural.simulated(trials=0)
