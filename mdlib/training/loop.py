"""The one training loop: device, precision, seeds, progress, checkpoint, exact resume.

It knows nothing of any method but its face: `loss(views, generator)`, `after_step(step, steps)`,
and `uses`, which names what else `loss` is to be handed.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from mdlib.devices import pick_device
from mdlib.training.checkpoint import Checkpoint, History, TrainingDiverged

__all__ = ["TrainingDiverged", "fit", "pick_device"]

SCHEDULES: dict[str, Callable[[float], float]] = {  # learning-rate factor at a share of the steps
    "constant": lambda share: 1.0,
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
}
CHECK_EVERY = 50  # steps between two looks at the recorded losses: each look waits for the device
ORDER, STEP = 0, 1  # the two streams of random numbers: the images' order, and all within a step


def fit(
    method: nn.Module,
    images: Tensor,
    views: Callable[[Tensor, int, torch.Generator], tuple[Tensor, dict]],
    *,
    labels: Tensor | None = None,
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
            parameters that made them, for the methods whose `uses` name "parameters".
        labels: integers [N], one an image, for the methods whose `uses` name "labels"; the others
            never see them.
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
        ValueError: before any work, for settings that make no sense, labels that are missing or
            don't fit images and method, more images than the method has room for, or a checkpoint
            that belongs to other settings, data or another method.
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
    uses = getattr(method, "uses", ())
    if "labels" in uses:
        labels = _checked_labels(labels, len(images), method).to(device)
    if "index" in uses:
        _check_index(len(images), method)
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
        if "labels" in uses:
            settings["labels"] = zlib.crc32(labels.cpu().numpy().tobytes())
        saved = Checkpoint(Path(checkpoint), settings, method, optimiser)
    history = saved.restore(device) if saved else History()

    generator = torch.Generator(device)
    bar = tqdm(total=steps, initial=history.steps, disable=not progress, desc=type(method).__name__)
    with bar, _interruptible(saved is not None) as interrupted:
        order = _order(images, batch_size, seed, history.steps)
        for step, index in zip(range(history.steps, steps), order, strict=False):
            generator.manual_seed(_mixed(seed, STEP, step))
            for group in optimiser.param_groups:
                group["lr"] = lr * SCHEDULES[schedule](step / steps)
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                batch, parameters = views(images[index], members, generator)
                extras = {"parameters": parameters} if "parameters" in uses else {}
                if "labels" in uses:
                    extras["labels"] = labels[index]
                if "index" in uses:
                    extras["index"] = index
                loss, terms = method.loss(batch, generator, **extras)
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


def _checked_labels(labels: Tensor | None, count: int, method: nn.Module) -> Tensor:
    """Labels as int64; ValueError where there are none, or they don't fit images or method."""
    name = type(method).__name__
    if labels is None:
        raise ValueError(f"{name} learns from labels: give fit(…, labels=one integer an image)")
    if labels.shape != (count,) or labels.is_floating_point():
        raise ValueError(
            f"labels of {labels.dtype} {tuple(labels.shape)}: expected integers, one for each of "
            f"the {count} images"
        )
    classes = getattr(method, "classes", None)
    if classes is not None and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()}: {name} was made for 0 to "
            f"{classes - 1}; see its option classes"
        )
    return labels.long()


def _check_index(count: int, method: nn.Module) -> None:
    """ValueError where the method, which knows images by their index, knows too few."""
    instances = getattr(method, "instances", None)
    if instances is not None and count > instances:
        raise ValueError(
            f"{count} images: {type(method).__name__} was made for {instances}; see its option "
            f"instances"
        )


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
