"""The one training loop: device, precision, seeds, progress, callbacks, checkpoint, exact resume.

It knows nothing of any method but its face, `mdlib.types.Learner`, and nothing of the data but
that of `mdlib.training.batches.Source`.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from mdlib.checks import (
    check_above_zero,
    check_batch,
    check_not_negative,
    check_one_of,
    check_seed,
    check_whole,
    need,
)
from mdlib.devices import as_outside, pick_device
from mdlib.training.batches import Source
from mdlib.training.callbacks import Callback
from mdlib.training.checkpoint import Checkpoint, History, check_weights
from mdlib.types import Learner, Loss

SCHEDULES: dict[str, Callable[[float], float]] = {  # learning-rate factor at a share of the steps
    "constant": lambda share: 1.0,
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
}
_CHECK_EVERY = 50  # steps between two looks at the recorded losses: each look waits for the device
_ORDER, _STEP = 0, 1  # the two streams of random numbers: the images' order, and all within a step


@as_outside
def fit(
    method: Learner,
    source: Source,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    schedule: str = "cosine",
    clip: float | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    progress: bool = True,
) -> pd.DataFrame:
    """Train `method` on batches of `batch_size` samples that `source` draws anew each step.

    Args:
        method: moved to `device`, and trained in place with AdamW.
        source: usually `ImageViews(images, law, members=2, labels=None)`; see
            `mdlib.training.batches`. Labels, or what made the views, reach only the methods whose
            `uses` name them.
        epochs, steps: the length of training; give one. An epoch is ⌊N / batch_size⌋ steps.
        lr: the learning rate of all weights, but where `method.parameter_groups` has its own.
        schedule: of the learning rate, "cosine" (to 0) or "constant".
        clip: the largest gradient norm; None does not clip.
        seed: decides the samples' order and everything drawn within a step.
        device: "auto", "cpu", "cuda", "mps"; on CUDA the forward pass runs in bfloat16 autocast.
        callbacks: called after a step as `callback(step, method, history)`; see
            `mdlib.training.callbacks`.
        checkpoint: a file to save to, every `checkpoint_every` steps, at the end, and at Ctrl-C. If
            it is there already, training goes on from it: on the CPU with the same bits as if it
            had never stopped.
        progress: a bar with the current loss.

    Returns:
        One row a step, indexed by step: the total "loss", then every named term (in nats, or as the
        method says). The method is left in training mode.

    Raises:
        ValueError: before any weight moves, for settings that make no sense, batches that the
            method can't learn from, labels that are missing or don't fit it, more samples than it
            has room for, a source that can't say what it is where a checkpoint is asked for, or a
            checkpoint that is damaged, or of other settings, data, initial weights or versions.
        TrainingDiverged: a loss or weight is NaN or infinite; names the step, the term and the last
            good checkpoint.
        KeyboardInterrupt: at Ctrl-C, after the step under way is finished and saved.
    """
    device = pick_device(str(device))
    need(
        hasattr(source, "draw"),
        f"fit learns from a source of batches, not from a {type(source).__name__}: give it "
        f"ImageViews(images, law)",
    )
    if not (isinstance(method, nn.Module) and hasattr(method, "loss")):
        raise ValueError(
            f"fit trains a method, not a {type(method).__name__}: make one by "
            f"mdlib.methods.create, or see mdlib.types.Learner"
        )
    check_whole(1, batch_size=batch_size, checkpoint_every=checkpoint_every)
    check_seed(seed)
    check_above_zero(lr=lr)
    need(
        isinstance(callbacks, Sequence)
        and all(callable(one) and not isinstance(one, type) for one in callbacks),
        f"callbacks={callbacks!r}: expected a list of functions, [] for none",
    )
    for callback in callbacks:
        check_whole(1, every=getattr(callback, "every", 1))
    check_above_zero(**({} if clip is None else {"clip": clip}))
    check_not_negative(weight_decay=weight_decay)
    check_one_of(tuple(SCHEDULES), schedule=schedule)
    steps = _length(len(source), batch_size, epochs, steps)
    # NumPy's numbers become Python's, as JSON and torch take them.
    batch_size, seed, lr, weight_decay = int(batch_size), int(seed), float(lr), float(weight_decay)
    clip = None if clip is None else float(clip)
    check_batch(method, batch_size, source.members)
    need(
        not Path(checkpoint or "none").is_dir() and checkpoint != "",
        f"checkpoint={str(checkpoint)!r} is a folder, expected the name of a file",
    )
    _check_room(method, source)
    # Asked before the data are moved: a source that can't tell is refused before any work.
    settings = {} if checkpoint is None else _identity(method, source, device)

    source = source.to(device)
    method.to(device).train()
    weights = [p for p in method.parameters() if p.requires_grad]
    _check_weights(method, weights)
    groups = getattr(method, "parameter_groups", lambda: [{"params": weights}])()
    groups = [{"rate": lr, "schedule": schedule, **group} for group in groups]
    fused = device.type in ("cpu", "cuda")  # one pass over each weight instead of a dozen
    optimiser = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=fused)
    saved = None
    if checkpoint is not None:
        settings |= {
            "steps": steps, "batch_size": batch_size, "lr": lr, "weight_decay": weight_decay,
            "schedule": schedule, "clip": clip, "seed": seed,
        }  # fmt: skip
        saved = Checkpoint(Path(checkpoint), settings, method, optimiser)
    history = saved.restore(device) if saved else History()
    if saved and history.steps < steps:
        saved.check_place()

    generator = torch.Generator(device)
    bar = tqdm(total=steps, initial=history.steps, disable=not progress, desc=type(method).__name__)
    with bar, _interruptible(saved is not None) as interrupted:
        order = _order(len(source), batch_size, seed, history.steps, device)
        for step, index in zip(range(history.steps, steps), order, strict=False):
            generator.manual_seed(_mixed(seed, _STEP, step))
            for group in optimiser.param_groups:
                group["lr"] = group["rate"] * SCHEDULES[group["schedule"]](step / steps)
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                batch = source.draw(index, generator)
                _check_views(method, batch.views)
                found = method.loss(batch.views, generator, **batch.extras_for(method))
                loss, terms = _checked_loss(method, found)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(weights, clip)
            optimiser.step()
            method.after_step(step, steps)
            history.add(loss, terms)
            for callback in callbacks:
                if (step + 1) % getattr(callback, "every", 1) == 0:
                    callback(step + 1, method, history)

            bar.update()
            last = step + 1 == steps or bool(interrupted)
            save = saved is not None and (last or (step + 1) % checkpoint_every == 0)
            if save or last or (step + 1) % _CHECK_EVERY == 0:
                history.check(saved)
                bar.set_postfix(loss=f"{history.latest:.4g}")
            if save or last:
                check_weights(method, step + 1, saved)
            if save:
                saved.write(history)
            if interrupted:
                raise KeyboardInterrupt(f"stopped after step {step + 1} of {steps}, saved")
    return history.table()


def _length(samples: int, batch_size: int, epochs: int | None, steps: int | None) -> int:
    """The number of steps; ValueError where a setting makes no sense."""
    if batch_size > samples:
        raise ValueError(f"batch_size={batch_size} is more than the {samples} samples there are")
    if epochs is not None and steps is None:
        check_whole(1, epochs=epochs)
        return int(epochs) * (samples // batch_size)
    if steps is not None and epochs is None:
        check_whole(1, steps=steps)
        return int(steps)
    raise ValueError(f"epochs={epochs}, steps={steps}: give exactly one of them")


def _check_room(method: nn.Module, source: Source) -> None:
    """ValueError where labels are missing, or labels or rows are more than the method knows."""
    name, uses = type(method).__name__, getattr(method, "uses", ())
    if "labels" in uses:
        labels, classes = source.labels, getattr(method, "classes", None)
        if labels is None:
            raise ValueError(
                f"{name} learns from labels: give the source labels=one integer a sample"
            )
        need(
            classes is None or (labels.min() >= 0 and labels.max() < classes),
            f"labels from {labels.min()} to {labels.max()}: {name} was made for 0 to "
            f"{(classes or 0) - 1}; see its option classes",
        )
    instances = getattr(method, "instances", None)
    if "index" in uses and instances is not None:
        need(
            len(source) <= instances,
            f"{len(source)} images: {name} was made for {instances}; see its option instances",
        )


def _check_views(method: nn.Module, views: Tensor) -> None:
    """ValueError where a method of images is given others than it was made for."""
    shape = getattr(method, "image_shape", None)
    need(
        shape is None or (tuple(views.shape[2:]) == tuple(shape) and views.is_floating_point()),
        f"views are {views.dtype} {list(views.shape[2:])}: {type(method).__name__} was made for "
        f"floats {list(shape or ())}; see its option image_shape",
    )


def _checked_loss(method: nn.Module, found: Any) -> Loss:
    """ValueError unless it is a number and its named terms, as tensors."""
    whole = isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)
    numbers = [found[0], *found[1].values()] if whole else [None]
    if not all(isinstance(x, Tensor) and x.ndim == 0 for x in numbers) or "loss" in found[1]:
        raise ValueError(
            f"{type(method).__name__}.loss gave {found!r:.200}: expected (the total to minimise, "
            "{name: term, …}), each a tensor of no dimension, and no term called 'loss'"
        )
    return found


def _check_weights(method: nn.Module, weights: Sequence[Tensor]) -> None:
    """ValueError where there is nothing to train, or no step can be taken from where it is."""
    name = type(method).__name__
    need(len(weights) > 0, f"{name} has no weight with requires_grad: there is nothing to train")
    for key, value in method.named_parameters():
        need(
            value.dtype in (torch.float32, torch.complex64),
            f"weight {key} of {name} is {value.dtype}, expected float32: method.float(); on CUDA "
            f"fit uses bfloat16 by itself where that is safe",
        )
        need(
            bool(torch.isfinite(value).all()),
            f"weight {key} of {name} is not finite before the first step: make the method anew",
        )


def _identity(method: nn.Module, source: Source, device: torch.device) -> dict:
    """What a checkpoint of this method and these data keeps, to know them by."""
    need(
        hasattr(source, "fingerprint"),
        f"checkpoint: a {type(source).__name__} can't say what it is, so nobody could tell later "
        f"whether the file is of the same data: give it a method fingerprint(), see Source",
    )
    data = dict(source.fingerprint())
    if "labels" not in getattr(method, "uses", ()):
        data.pop("labels", None)
    return {
        "method": f"{type(method).__name__}({method.extra_repr()})",
        "initial seed": getattr(method, "seed", None),
        **data,
        "device": device.type,
        "precision": "bfloat16 autocast" if device.type == "cuda" else "float32",
    }


def _mixed(*numbers: int) -> int:
    """A 63-bit seed from some small integers, so that neighbouring steps share nothing."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _order(
    samples: int, batch_size: int, seed: int, start: int, device: torch.device
) -> Iterator[Tensor]:
    """The rows of each step's samples, from step `start` on: a new permutation an epoch.

    Each permutation, and each step's draws, come from a seed made of (seed, epoch or step) alone.
    So a run has no hidden random state, and resuming one needs to know nothing but the step.
    """
    per_epoch = samples // batch_size
    epoch, skip = divmod(start, per_epoch)
    while True:
        generator = torch.Generator().manual_seed(_mixed(seed, _ORDER, epoch))
        permutation = torch.randperm(samples, generator=generator).to(device)
        yield from permutation.split(batch_size)[skip:per_epoch]
        epoch, skip = epoch + 1, 0


@contextmanager
def _interruptible(can_save: bool) -> Generator[list]:
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
