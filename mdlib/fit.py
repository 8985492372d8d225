"""The one training loop: device, precision, seeds, progress, checkpoint, exact resume.

It knows nothing of any method but its face: `loss(views, generator)`, `after_step(step, steps)`.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from mdlib._files import written_whole

SCHEDULES: dict[str, Callable[[float], float]] = {  # learning-rate factor at a share of the steps
    "constant": lambda share: 1.0,
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
}
CHECK_EVERY = 50  # steps between two looks at the recorded losses: each look waits for the device
ORDER, STEP = 0, 1  # the two streams of random numbers: the images' order, and all within a step


class TrainingDiverged(RuntimeError):
    """A loss or a weight became NaN or infinite."""


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes cuda, else mps, else cpu. ValueError if not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device={name!r}: expected auto, cpu, cuda, cuda:N or mps") from None
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= available:
        raise ValueError(f"device={name!r} is not on this machine: use 'auto' or 'cpu'")
    return device


def fit(
    method: nn.Module,
    images: Tensor,
    views: Callable[[Tensor, int, torch.Generator], tuple[Tensor, dict]],
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 128,
    members: int = 2,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    schedule: str = "cosine",
    clip: float | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    progress: bool = True,
) -> pd.DataFrame:
    """Train `method` on `members` random views of each of `batch_size` images a step.

    Args:
        method: moved to `device`, and trained in place with AdamW.
        images: uint8 [N, C, H, W]; kept whole on the device.
        views: `views(images [B, C, H, W], members, generator)` → views [B, J, C, H, W] and the
            parameters that made them, which training has no use for.
        epochs, steps: the length of training; give one. An epoch is ⌊N / batch_size⌋ steps.
        members: views of each image, the J of a group.
        schedule: of the learning rate, "cosine" (to 0) or "constant".
        clip: the largest gradient norm; None does not clip.
        seed: decides the images' order and everything drawn within a step.
        device: "auto", "cpu", "cuda", "mps"; on CUDA the forward pass runs in bfloat16 autocast.
        checkpoint: a file to save to, every `checkpoint_every` steps, at the end, and at Ctrl-C. If
            it is there already, training goes on from it: on the CPU with the same bits as if it
            had never stopped.
        progress: a bar with the current loss.

    Returns:
        One row a step, indexed by step: the total "loss", then every named term (in nats, or as the
        method says). The method is left in training mode.

    Raises:
        ValueError: before any work, for settings that make no sense or a checkpoint that belongs to
            other settings, data or another method.
        TrainingDiverged: a loss or weight is NaN or infinite; names the step, the term and the last
            good checkpoint.
        KeyboardInterrupt: at Ctrl-C, after the step under way is finished and saved.
    """
    device = pick_device(str(device))
    steps = _checked_steps(
        images,
        epochs,
        steps,
        batch_size=batch_size,
        members=members,
        lr=lr,
        schedule=schedule,
        checkpoint_every=checkpoint_every,
    )
    images = images.to(device)
    method.to(device).train()
    weights = [p for p in method.parameters() if p.requires_grad]
    fused = device.type in ("cpu", "cuda")  # one pass over each weight instead of a dozen
    optimiser = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay, fused=fused)
    saved = None
    if checkpoint is not None:
        settings = {
            "method": f"{type(method).__name__}({method.extra_repr()})",
            "weights": sum(p.numel() for p in method.parameters()),
            "views": repr(views),
            "images": [*images.shape, int(images.sum(dtype=torch.int64))],
            "steps": steps,
            "batch_size": batch_size,
            "members": members,
            "lr": lr,
            "weight_decay": weight_decay,
            "schedule": schedule,
            "clip": clip,
            "seed": seed,
        }
        saved = Checkpoint(Path(checkpoint), settings, method, optimiser)
    history = saved.restore(device) if saved else _History()

    generator = torch.Generator(device)
    bar = tqdm(total=steps, initial=history.steps, disable=not progress, desc=type(method).__name__)
    with bar, _interruptible(saved is not None) as interrupted:
        order = _order(images, batch_size, seed, history.steps)
        for step, index in zip(range(history.steps, steps), order, strict=False):
            generator.manual_seed(_mixed(seed, STEP, step))
            for group in optimiser.param_groups:
                group["lr"] = lr * SCHEDULES[schedule](step / steps)
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                batch, _ = views(images[index], members, generator)
                loss, terms = method.loss(batch, generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(weights, clip)
            optimiser.step()
            method.after_step(step, steps)
            history.add(loss, terms)

            bar.update()
            last = step + 1 == steps or bool(interrupted)
            save = saved is not None and (last or (step + 1) % checkpoint_every == 0)
            if save or last or (step + 1) % CHECK_EVERY == 0:
                history.check(saved)
                bar.set_postfix(loss=f"{history.latest:.4g}")
            if save:
                saved.write(history)
            if interrupted:
                raise KeyboardInterrupt(f"stopped after step {step + 1} of {steps}, saved")
    return history.table()


def _checked_steps(images: Tensor, epochs: int | None, steps: int | None, **settings) -> int:
    """The number of steps; ValueError where a setting makes no sense."""
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise ValueError(
            f"images of {images.dtype} {tuple(images.shape)}: expected uint8 [N, C, H, W]"
        )
    for name in ("batch_size", "members", "lr", "checkpoint_every"):
        if not settings[name] > 0:
            raise ValueError(f"{name}={settings[name]}: expected a number above 0")
    if settings["schedule"] not in SCHEDULES:
        raise ValueError(f"schedule={settings['schedule']!r}: expected one of {list(SCHEDULES)}")
    if len(images) < settings["batch_size"]:
        raise ValueError(
            f"batch_size={settings['batch_size']} is more than the {len(images)} images there are"
        )
    if (epochs is None) == (steps is None):
        raise ValueError(f"epochs={epochs}, steps={steps}: give exactly one of them")
    if steps is None:
        steps = epochs * (len(images) // settings["batch_size"])
    if steps < 1:
        raise ValueError(f"epochs={epochs}, steps={steps}: expected at least one step")
    return steps


def _mixed(*numbers: int) -> int:
    """A 63-bit seed from some small integers, so that neighbouring steps share nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _order(images: Tensor, batch_size: int, seed: int, start: int) -> Iterator[Tensor]:
    """The indices of each step's images, from step `start` on: a new permutation an epoch.

    Each permutation, and each step's draws, come from a seed made of (seed, epoch or step) alone.
    So a run has no hidden random state, and resuming one needs to know nothing but the step.
    """
    per_epoch = len(images) // batch_size
    epoch, skip = divmod(start, per_epoch)
    while True:
        generator = torch.Generator().manual_seed(_mixed(seed, ORDER, epoch))
        permutation = torch.randperm(len(images), generator=generator).to(images.device)
        yield from permutation.split(batch_size)[skip:per_epoch]
        epoch, skip = epoch + 1, 0


class _History:
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

    def restore(self, device: torch.device) -> _History:
        """Load the file, if there is one, into method and optimiser, and return its losses."""
        if not self.path.exists():
            return _History()
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
        return _History(tuple(state["names"]), state["history"].cpu())

    def write(self, history: _History) -> None:
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
        with written_whole(self.path) as temporary:
            torch.save(state, temporary)
        self.step = history.steps


@contextmanager
def _interruptible(can_save: bool) -> Iterator[list]:
    """Inside, the first Ctrl-C only fills the yielded list; a second one interrupts at once.

    Where nothing can be saved, or outside the main thread (where Python takes no signal handlers),
    Ctrl-C interrupts at once as ever.
    """
    interrupted: list[int] = []
    if not can_save or threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number, frame):
        interrupted.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
