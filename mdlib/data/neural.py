"""Spike counts of neurons while a hand reaches: a recording of a monkey, and a simulation.

Source of the recording: session 2013-10-03 of the monkey Chewie (laboratory of L. Miller;
M. Perich), as released with MYOW: `data/mihi-chewie/processed/full-chewie-10032013-0.10.pkl` of
github.com/nerdslab/myow at 73f2b430d284 (Apache 2.0; sha256
4e34d754f07a249b26cbdaf66072ed377f2168e4c4c81ec2873b7f47d8b0241a). Our file has its arrays without
the pickle: trials one after another, counts = rates × 0.1 s.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor

from mdlib.checks import check_whole, need
from mdlib.data.files import File, by_hand, data_root

_PATH = "gallery/neural_chewie_mihi/chewie_2013-10-03_bin100ms.npz"
FILE = File(
    _PATH,
    "c122e2809c5bc05285f6af051de7b39a1bbb36c82e3a8d321ff3625274caacf1",
    146_215,
    by_hand=by_hand(_PATH, "made of a file of github.com/nerdslab/myow, as mdlib.data.neural says"),
)


@dataclass(frozen=True, eq=False)
class Recording:
    """Bins of time, trial after trial, each trial a reach in one of several directions.

    Attributes:
        counts: spikes of each unit in each bin.
        direction: number of the trial's direction, from 0; of `directions` around the circle.
        phase: where the bin is in its trial, 0 to 1.
        trial: number of the trial, ascending.
    """

    counts: Integer[Tensor, "bins units"]
    direction: Int64[Tensor, " bins"]
    phase: Float[Tensor, " bins"]
    trial: Int64[Tensor, " bins"]
    directions: int

    @property
    def angle(self) -> Float[Tensor, " bins"]:
        """Of the direction, in radians."""
        return self.direction * (2 * np.pi / self.directions)

    def subset(self, bins: Bool[Tensor, " bins"]) -> Recording:
        """The bins that are True."""
        parts = self.counts, self.direction, self.phase, self.trial
        return Recording(*(part[bins] for part in parts), self.directions)


def recorded(root: str | os.PathLike | None = None) -> Recording:
    """159 reaches of a monkey to eight targets: 1 640 bins of 100 ms, 174 units of motor cortex.

    Raises FileNotFoundError where the file is missing below `root` (by default $MDLIB_DATA),
    CorruptData for another size or checksum.
    """
    root = data_root(root)
    FILE.verify("neural", root)
    with np.load(root / FILE.path, allow_pickle=False) as file:
        counts, target, trial = (
            torch.from_numpy(file[name]) for name in ("spike_counts", "target", "trial")
        )
    first = torch.searchsorted(trial, trial)
    last = torch.searchsorted(trial, trial, right=True) - 1
    phase = (torch.arange(len(trial)) - first) / (last - first)
    return Recording(counts, target.long(), phase, trial.long(), 8)


def simulated(seed: int = 0, trials: int = 375, units: int = 100) -> Recording:
    """Neurons whose rates are a random invertible function of a noisy point on an arc.

    After Swap-VAE's simulation (Liu et al. 2021; from pi-VAE's, Zhou & Wei 2020). In direction k of
    four, u grows from kπ/2 through an eighth of the circle. A point has mean (5 sin u, 5 cos u),
    variance 0.1 |5 cos u| in the second coordinate and 0.6 less that in the first. Padded with
    zeros, it goes through four blocks of two RealNVP layers, with permutations between blocks; its
    tanh times 2.2 is the log-rate of each unit.

    Args:
        seed: of the network's weights, the points and the counts.
        trials: of each direction; each has four bins, one from each quarter of the arc.
        units: even, 4 or more.

    Raises ValueError for other numbers of trials or units.
    """
    check_whole(1, trials=trials)
    need(units >= 4 and units % 2 == 0, f"units={units}: expected an even number of 4 or more")
    rng = np.random.default_rng(seed)
    bins = 16 * trials
    direction = np.arange(4).repeat(4 * trials)
    phase = (np.tile(np.arange(4), bins // 4) + rng.random(bins)) / 4
    u = np.pi / 2 * direction + np.pi / 4 * phase
    mean = 5 * np.stack([np.sin(u), np.cos(u)], 1)
    variance = 0.1 * np.abs(mean)
    variance[:, 0] = 0.6 - variance[:, 1]
    z = np.zeros((bins, units))
    z[:, :2] = mean + np.sqrt(variance) * rng.normal(size=(bins, 2))
    for block in range(4):
        z = z[:, rng.permutation(units)] if block else z
        z = coupled(coupled(z, rng), rng)
    counts = rng.poisson(np.exp(2.2 * np.tanh(z)))
    arrays = counts, direction, phase.astype(np.float32), np.arange(bins) // 4
    return Recording(*map(torch.from_numpy, arrays), 4)


def coupled(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A layer of RealNVP, [N, D] → [N, D], with weights drawn as by Glorot & Bengio (2010).

    The second half is scaled and shifted by a function of the first; then they change places.
    """
    kept, moved = np.split(z, 2, axis=1)
    d, h = kept.shape[1], kept
    for fan_in, fan_out in ((d, d // 2), (d // 2, d // 2), (d // 2, 2 * d)):
        limit = (6 / (fan_in + fan_out)) ** 0.5
        h = h @ rng.uniform(-limit, limit, (fan_in, fan_out))
        h = np.maximum(h, 0) if fan_out < 2 * d else h
    scale, shift = np.split(h, 2, axis=1)
    return np.hstack([moved * np.exp(0.1 * np.tanh(scale)) + shift, kept])
