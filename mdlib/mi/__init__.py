"""Mutual information: bounds, critics, classical estimators, and tasks whose true value is known.

    estimate(x, y, method="infonce")      # two arrays → nats, with spread, ceiling and check
    bounds.infonce(scores)                # scores [B, B], joint pairs on the diagonal → nats
    tasks.gaussian(4.0).sample(64)        # pairs whose information is 4 nats

Everything is in nats.
"""

from mdlib.mi.estimate import (
    METHODS,
    CeilingWarning,
    Estimate,
    ReliabilityWarning,
    climb,
    estimate,
)
from mdlib.mi.training import ESTIMATORS, evaluate, train

__all__ = [
    "ESTIMATORS",
    "METHODS",
    "CeilingWarning",
    "Estimate",
    "ReliabilityWarning",
    "climb",
    "estimate",
    "evaluate",
    "train",
]
