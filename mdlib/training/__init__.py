"""The one training loop, with checkpoints and exact resume."""

from mdlib.training.checkpoint import TrainingDiverged
from mdlib.training.loop import fit

__all__ = ["TrainingDiverged", "fit"]
