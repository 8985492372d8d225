"""What training leaves behind: the losses of every step, and a file from which it goes on."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from mdlib.io import atomic_write


class TrainingDiverged(RuntimeError):
    """A loss or a weight became NaN or infinite."""


class History:
    """The losses of every step; they stay on the device until somebody looks."""

    def __init__(self, names: tuple[str, ...] = (), values: Tensor | None = None):
        self.names = names
        self.values = torch.empty(0, len(names)) if values is None else values
        self.waiting: list[Tensor] = []

    @property
    def steps(self) -> int:
        return len(self.values) + len(self.waiting)

    @property
    def latest(self) -> float:
        return float(self.values[-1, 0])

    def add(self, loss: Tensor, terms: dict[str, Tensor]) -> None:
        if not self.names:
            self.names = ("loss", *terms)
            self.values = torch.empty(0, len(self.names))
        self.waiting.append(torch.stack([loss, *terms.values()]).detach().float())

    def check(self, saved: Checkpoint | None) -> None:
        """Fetch what waits on the device; TrainingDiverged if any of it is not finite."""
        if not self.waiting:
            return
        self.values = torch.cat([self.values, torch.stack(self.waiting).cpu()])
        first = len(self.values) - len(self.waiting)
        self.waiting = []
        bad = ~torch.isfinite(self.values[first:])
        if bad.any():
            row, _ = bad.nonzero()[0].tolist()
            terms = [n for n, is_bad in zip(self.names, bad[row].tolist(), strict=True) if is_bad]
            values = ", ".join(
                f"{name} = {self.values[first + row, self.names.index(name)]:g}" for name in terms
            )
            raise TrainingDiverged(f"step {first + row + 1}: {values}. {_advice(saved)}")

    def table(self) -> pd.DataFrame:
        table = pd.DataFrame(self.values.numpy(), columns=list(self.names))
        table.index = pd.RangeIndex(1, len(table) + 1, name="step")
        return table


def _advice(saved: Checkpoint | None) -> str:
    if saved is None:
        good = "No checkpoint was asked for"
    elif saved.step is None:
        good = "No checkpoint had been written yet"
    else:
        good = f"The last good checkpoint is {saved.path} (step {saved.step})"
    return f"{good}. Try a smaller lr, or clip=1.0."


class Checkpoint:
    """Weights, optimiser and losses after some step, in one file that is always whole."""

    def __init__(
        self, path: Path, settings: dict, method: nn.Module, optimiser: torch.optim.Optimizer
    ):
        self.path, self.settings = path, settings
        self.method, self.optimiser = method, optimiser
        self.step: int | None = None  # of the file on disk

    def restore(self, device: torch.device) -> History:
        """Load the file, if there is one, into method and optimiser, and return its losses."""
        if not self.path.exists():
            return History()
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
            theirs = json.loads(state["settings"])
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
            raise ValueError(
                f"{self.path} is no checkpoint of this version, or is damaged: delete it to train "
                f"from the start ({type(error).__name__})"
            ) from error
        ours = json.loads(json.dumps(self.settings))
        if differ := [k for k in ours if ours[k] != theirs.get(k)]:
            detail = "; ".join(f"{k} was {theirs.get(k)}, now {ours[k]}" for k in differ)
            raise ValueError(
                f"{self.path} belongs to another run: {detail}. Use those settings again, or "
                f"another checkpoint file"
            )
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = len(state["history"])
        return History(tuple(state["names"]), state["history"].cpu())

    def write(self, history: History) -> None:
        """Save, whole or not at all; TrainingDiverged where a weight is not finite."""
        for name, value in self.method.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise TrainingDiverged(
                    f"step {history.steps}: weight {name} is not finite. {_advice(self)}"
                )
        state = {
            "settings": json.dumps(self.settings),
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "names": list(history.names),
            "history": history.values,
        }
        with atomic_write(self.path) as temporary:
            torch.save(state, temporary)
        self.step = history.steps
