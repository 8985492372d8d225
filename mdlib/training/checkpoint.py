"""What training leaves behind: the losses of every step, and a file from which it goes on."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import io
import json
import os
import pickle
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from mdlib.checks import need
from mdlib.io import atomic_write
from mdlib.training.batches import digest, is_plain, told


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
        """ValueError for other terms than the first step's, which may come in any order."""
        if not self.names:
            self.names = ("loss", *terms)
            self.values = torch.empty(0, len(self.names))
        names = self.names[1:]
        need(
            len(terms) == len(names) and all(name in terms for name in names),
            f"step {self.steps + 1}: terms {[*terms]}, expected {[*names]}, as at the first step: "
            "a loss names all of its terms at each step, 0 where one counts for nothing",
        )
        values = [loss, *(terms[name] for name in names)]
        self.waiting.append(torch.stack(values).detach().float())

    def fetch(self) -> None:
        """Wait for what is still on the device."""
        if self.waiting:
            self.values = torch.cat([self.values, torch.stack(self.waiting).cpu()])
            self.waiting = []

    def check(self, saved: Checkpoint | None) -> None:
        """TrainingDiverged if a loss or a term of any step is not finite."""
        self.fetch()
        bad = ~torch.isfinite(self.values)
        if bad.any():
            row, _ = bad.nonzero()[0].tolist()
            terms = [n for n, is_bad in zip(self.names, bad[row].tolist(), strict=True) if is_bad]
            values = ", ".join(
                f"{name} = {self.values[row, self.names.index(name)]:g}" for name in terms
            )
            raise TrainingDiverged(f"step {row + 1}: {values}. {_advice(saved)}")

    def table(self) -> pd.DataFrame:
        """A row a step, indexed by step: the total "loss", then every named term."""
        self.fetch()
        table = pd.DataFrame(self.values.numpy(), columns=list(self.names))
        table.index = pd.RangeIndex(1, len(table) + 1, name="step")
        return table


def check_weights(method: nn.Module, step: int, saved: Checkpoint | None) -> None:
    """TrainingDiverged where a weight or a buffer is not finite."""
    for name, value in method.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise TrainingDiverged(f"step {step}: weight {name} is not finite. {_advice(saved)}")


def _advice(saved: Checkpoint | None) -> str:
    if saved is None:
        good = "No checkpoint was asked for"
    elif saved.step is None:
        good = "No checkpoint had been written yet"
    else:
        good = f"The last good checkpoint is {saved.path} (step {saved.step})"
    return f"{good}. Try a smaller lr, or clip=1.0."


class Checkpoint:
    """Weights, optimiser and losses after some step, in one file that is always whole.

    It belongs to one training: `settings`, by name, to which the versions of torch and of mdlib's
    code are added, and the weights and attributes that the method began with.
    """

    def __init__(
        self,
        path: Path,
        settings: dict[str, Any],
        method: nn.Module,
        optimiser: torch.optim.Optimizer,
    ):
        self.path, self.method, self.optimiser = path, method, optimiser
        settings = settings | {
            "torch": torch.__version__,
            "mdlib's code": code_digest(),
            "method's code": _own_code(method),
            "began": condition(method),
        }
        try:
            self.settings = json.loads(json.dumps(settings))
        except TypeError as error:
            raise ValueError(
                f"checkpoint: {error}, and it keeps the source's fingerprint() and the method's "
                f"seed so: make them plain numbers, words, lists and dicts"
            ) from error
        self.step: int | None = None  # of the file on disk

    def restore(self, device: torch.device) -> History:
        """Load the file, if there is one, into method and optimiser, and return its losses."""
        if not self.path.exists():
            return History()
        try:
            content = _checked(self.path.read_bytes())
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            theirs = json.loads(state["settings"])
            began, ended = theirs["began"], state["ended"]
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
            raise ValueError(
                f"{self.path} is no checkpoint of this version, or is damaged: delete it to train "
                f"from the start ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
            ) from error
        ours = dict(self.settings)
        if ours["began"] == ended:  # the very method it was saved of
            ours["began"] = began
        ours, theirs = ({**each, "began": None, **each["began"]} for each in (ours, theirs))
        if differ := [k for k in {**theirs, **ours} if ours.get(k) != theirs.get(k)]:
            detail = "; ".join(f"{k} was {theirs.get(k)}, now {ours.get(k)}" for k in differ)
            raise ValueError(
                f"{self.path} belongs to another run: {detail}. Use those settings again, or "
                f"another checkpoint file"
            )
        self.settings["began"] = began
        self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = len(state["history"])
        return History(tuple(state["names"]), state["history"].cpu())

    def check_place(self) -> None:
        """ValueError unless a file can be written there; now none is."""
        try:
            with suppress(InterruptedError), atomic_write(self.path):
                raise InterruptedError
        except OSError as error:
            raise ValueError(
                f"checkpoint={str(self.path)!r} can't be written ({error}): give the name of a "
                f"file where there is room for one"
            ) from error

    def write(self, history: History) -> None:
        """Save, whole or not at all."""
        state = {
            "settings": json.dumps(self.settings),
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ended": condition(self.method),
            "names": list(history.names),
            "history": history.values,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with atomic_write(self.path) as temporary:
            temporary.write_bytes(_sealed(buffer.getvalue()))
        self.step = history.steps


def condition(method: nn.Module) -> dict[str, str]:
    """What a training finds and may change, by name: weights, and attributes that are plain.

    These are numbers, words, tensors and functions, alone or in containers, dataclasses, namespaces
    and partials, under names without underscore.
    """
    attributes = {
        f"method.{name}.{key}".replace("..", "."): re.sub(r" at 0x\w+", "", told(value))
        for name, module in method.named_modules()
        for key, value in vars(module).items()
        if not key.startswith("_") and key not in ("training", "seed") and is_plain(value)
    }
    return {"initial weights": digest(*method.state_dict().values()), **attributes}


# A checkpoint is a zip archive, and torch does not look at the checksums in it. So the archive's
# last field, a comment (two bytes for its length; otherwise none), holds one of all the rest.


def _sealed(archive: bytes) -> bytes:
    seal = hashlib.sha256(archive).hexdigest().encode()
    return archive[:-2] + len(seal).to_bytes(2, "little") + seal


def _checked(content: bytes) -> bytes:
    """The archive without its seal; ValueError where the two don't fit."""
    archive = content[:-66] + b"\0\0"
    if _sealed(archive) != content:
        raise ValueError("its checksum does not fit its content")
    return archive


def code_digest() -> str:
    """A checksum of the code that decides what a step does; comments don't count.

    In a run of a sweep it is the hash of the run's sources, which its folder is named after.
    """
    return os.environ.get("MDLIB_RUN_SOURCES") or _of_files()


@functools.cache
def _of_files() -> str:
    folder = Path(__file__).parents[1]
    parts = ("losses", "nets", "views", "methods", "training")
    files = [f for part in parts for f in ((folder / part), *(folder / part).rglob("*.py"))]
    code = [ast.dump(ast.parse(f.read_bytes())) for f in sorted(files) if f.is_file()]
    return hashlib.sha256("".join(code).encode()).hexdigest()[:16]


def _own_code(method: nn.Module) -> str | None:
    """A checksum of the text of the classes outside mdlib and torch that a method is made of.

    None where a run of a sweep counts it among its sources. A text that can't be had is left out;
    of a class that was typed into a notebook there are those of its functions.
    """
    if os.environ.get("MDLIB_RUN_SOURCES"):
        return None
    known = {"mdlib", "torch", *sys.stdlib_module_names}
    classes = {c: None for module in method.modules() for c in type(module).__mro__}
    own = [c for c in classes if c.__module__.partition(".")[0] not in known]
    texts = (_text(c) or "".join(map(_text, vars(c).values())) for c in own)
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


def _text(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # nobody kept it; it is no function
        return ""
