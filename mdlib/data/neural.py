"""A recording of neurons: spike counts of a monkey's motor cortex while its hand reaches.

Source: session 2013-10-03 of the monkey Chewie (laboratory of L. Miller; M. Perich), as released
with MYOW: `data/mihi-chewie/processed/full-chewie-10032013-0.10.pkl` of github.com/nerdslab/myow at
73f2b430d284 (Apache 2.0; sha256 4e34d754f07a249b26cbdaf66072ed377f2168e4c4c81ec2873b7f47d8b0241a).
Our file has its arrays without the pickle: trials one after another, counts = rates × 0.1 s.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mdlib.data.files import File, data_root

TARGETS = 8  # on a circle, 45° from one to the next
_FOLDER = "gallery/neural_chewie_mihi"
FILE = File(
    f"{_FOLDER}/chewie_2013-10-03_bin100ms.npz",
    "c122e2809c5bc05285f6af051de7b39a1bbb36c82e3a8d321ff3625274caacf1",
    146_215,
    hint="it is made from a file of github.com/nerdslab/myow, as mdlib.data.neural says, and is not"
    f" fetched; put it into {_FOLDER} of the data root: root=… in Python, MDLIB_DATA in the"
    " environment",
)


@dataclass(frozen=True, eq=False)
class Recording:
    """Bins of 100 ms, trial after trial, each trial a reach to one of eight targets.

    Attributes:
        counts: spikes of each unit in each bin.
        target: of the bin's trial, 0 … 7; target t lies in direction t · 45°.
        trial: number of the bin's trial, ascending from 0.
        velocity: of the hand, as recorded.
    """

    counts: UInt8[Tensor, "bins units"]
    target: Int64[Tensor, " bins"]
    trial: Int64[Tensor, " bins"]
    velocity: Float[Tensor, "bins 2"]


def load(root: str | os.PathLike | None = None) -> Recording:
    """The recording: 1 640 bins, 174 units, 159 trials of 9 to 14 bins.

    Raises FileNotFoundError where it is missing below `root` (by default $MDLIB_DATA), CorruptData
    for another size or checksum.
    """
    root = data_root(root)
    FILE.verify("neural", root)
    with np.load(root / FILE.path, allow_pickle=False) as file:
        return Recording(
            torch.from_numpy(file["spike_counts"]),
            torch.from_numpy(file["target"]).long(),
            torch.from_numpy(file["trial"]).long(),
            torch.from_numpy(file["velocity"]).float(),
        )
