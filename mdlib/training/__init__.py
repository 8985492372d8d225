"""The one training loop: a source of batches, callbacks, checkpoints with exact resume; and a small
one for networks that measure."""

from mdlib.training.batches import Batch, ImageViews, SampleViews, Source
from mdlib.training.callbacks import Probe, Rank, Watch
from mdlib.training.checkpoint import TrainingDiverged
from mdlib.training.loop import fit
from mdlib.training.regress import regress

__all__ = [
    "Batch",
    "ImageViews",
    "Probe",
    "Rank",
    "SampleViews",
    "Source",
    "TrainingDiverged",
    "Watch",
    "fit",
    "regress",
]
