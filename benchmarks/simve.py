"""Images a second of SimVE's training step: mdlib beside a rendering of the released pipeline.

    OMP_NUM_THREADS=2 .venv/bin/python benchmarks/simve.py [--data-root DATA] [--batch 64]

Both train the same networks on Fashion-MNIST with the same law of two views and the same loss, as
in the released set-up (Bizeul et al. 2024: crop and vertical flip, Bernoulli likelihood, flat
p(y)):

- mdlib: `mdlib.training.fit` with views of whole batches on the device; bfloat16 on CUDA;
- pipeline: a DataLoader whose workers transform one PIL image at a time by torchvision, sums of
  per-sample losses, Adam; float32, as released. The rendering is ours; it logs and plots nothing.

A rate counts images, not views, and is the median over repeats. The start of `fit` counts; that of
the workers does not, and the batches that they had ready are used up before the clock starts. On
CUDA, `floor` is the time of the networks' matrix products alone, in bfloat16, as a share of mdlib's
step.
"""

import argparse
import io
import os
import statistics
import time
from contextlib import redirect_stderr

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from mdlib import data, methods
from mdlib.devices import pick_device
from mdlib.training import ImageViews, fit
from mdlib.views import Views

LAW = Views(crop=(0.4, 1.0), crop_ratio=(0.75, 1.3), vflip=0.5)
VARIANCE, WEIGHT = 0.15, 99.48  # of p(z|y), of reconstruction
MEMBERS, LR = 2, 8e-5


class TwoViews(Dataset):
    """Each image as a PIL image, transformed twice."""

    def __init__(self, images: torch.Tensor):
        self.images = [Image.fromarray(image.numpy()) for image in images[:, 0]]
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(28, scale=LAW.crop, ratio=LAW.crop_ratio),
                transforms.RandomVerticalFlip(LAW.vflip),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.stack([self.transform(self.images[i]) for _ in range(MEMBERS)])


def endless(loader):
    while True:
        yield from loader


def pipeline(networks: nn.ModuleDict, images, batch: int, workers: int, device):
    """A function that trains for some steps, whose workers stay alive between its calls."""
    loader = DataLoader(
        TwoViews(images), batch, shuffle=True, drop_last=True, num_workers=workers,
        persistent_workers=workers > 0, pin_memory=device.type == "cuda",
    )  # fmt: skip
    views = endless(loader)
    networks.to(device).train()
    optimiser = torch.optim.Adam(networks.parameters(), lr=LR, eps=1e-4)

    def train(steps: int) -> None:
        for _ in range(steps):
            x = next(views).flatten(0, 1).to(device, non_blocking=True)
            mean, log_variance = networks["encoder"](x).chunk(2, dim=1)
            z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            logits = networks["decoder"](z)
            groups = z.unflatten(0, (-1, MEMBERS))
            spread = (groups - groups.mean(1, keepdim=True)).square().sum()
            reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            entropy = 0.5 * (log_variance + 1).sum()
            loss = WEIGHT * reconstruction + spread / (2 * VARIANCE) - entropy
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return train


def seconds(work, device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def products(networks: nn.ModuleDict, rows: int, device):
    """A function that does the matrix products of one step, forward and backward, and no more."""
    layers = [m for m in networks.modules() if isinstance(m, nn.Linear)]
    first = layers[0]
    draw = [
        (torch.randn(rows, m.in_features), m.weight.detach(), torch.randn(rows, m.out_features))
        for m in layers
    ]
    draw = [[t.to(device, torch.bfloat16) for t in tensors] for tensors in draw]

    def work() -> None:
        for layer, (x, weight, gradient) in zip(layers, draw, strict=True):
            x @ weight.T  # the layer itself
            gradient.T @ x  # its weights' gradient
            if layer is not first:  # pixels need none
                gradient @ weight

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", default=None, help="else MDLIB_DATA, else the cache")
    parser.add_argument("--arch", nargs="+", default=["mlp-large", "mlp"])
    parser.add_argument("--batch", type=int, default=64, help="images a step, of two views each")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count()))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = pick_device(options.device)
    images = data.load("fashion-mnist", root=options.data_root).images
    print(
        f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, "
        f"{options.batch} × {MEMBERS} views a step, {options.workers} workers, "
        f"median of {options.repeats} × {options.steps} steps"
    )
    print(f"{'':12}{'images/s':^22}{'ratio':>8}{'floor':>8}")
    print(f"{'':12}{'mdlib':>11}{'pipeline':>11}")
    for arch in options.arch:

        def make(arch=arch):
            return methods.create(
                "simve", image_shape=(1, 28, 28), latent_dim=10, arch=arch,
                variance=VARIANCE, reconstruction_weight=WEIGHT,
            )  # fmt: skip

        method, other = make(), make()
        networks = nn.ModuleDict({"encoder": other.encoder, "decoder": other.decoder})
        train = pipeline(networks, images, options.batch, options.workers, device)

        def ours(method=method):
            with redirect_stderr(io.StringIO()):  # the bar is drawn, but nobody sees it
                fit(method, ImageViews(images, LAW, MEMBERS), steps=options.steps,
                    batch_size=options.batch, lr=LR, schedule="constant",
                    device=device)  # fmt: skip

        ready = 2 * options.workers + 1  # a DataLoader's workers run two batches ahead, each
        loops = {"mdlib": ours, "pipeline": lambda train=train: train(options.steps)}
        times = {name: [] for name in loops}
        for repeat in range(options.repeats + 1):
            for name, work in loops.items():
                if name == "pipeline":
                    train(ready)
                taken = seconds(work, device)
                if repeat:  # the first round warms up
                    times[name].append(taken)
        median = {name: statistics.median(values) for name, values in times.items()}
        rates = {name: options.batch * options.steps / t for name, t in median.items()}
        row = f"{arch:12}{rates['mdlib']:11.0f}{rates['pipeline']:11.0f}"
        row += f"{rates['mdlib'] / rates['pipeline']:8.2f}"
        if device.type == "cuda":
            work = products(networks, options.batch * MEMBERS, device)
            work()

            def all_steps(work=work):
                for _ in range(options.steps):
                    work()

            floor = statistics.median(seconds(all_steps, device) for _ in range(options.repeats))
            row += f"{floor / median['mdlib']:8.2f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
