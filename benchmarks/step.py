"""What a training step costs over its bare forward and backward pass, side by side in one run.

    OMP_NUM_THREADS=2 .venv/bin/python benchmarks/step.py [--arch mlp] [--batch 128] [--device cpu]

For every method that learns from views alone, three loops over the same steps are timed, several
times:

- bare: forward and backward on one batch of views made beforehand; nothing else;
- plain: views, forward, backward and (fused) AdamW, written out as one would in a script;
- fit: `mdlib.training.fit`, which adds schedule, seeds for every step, losses kept, checks and
  progress.

Reported are the ratios of medians: fit / plain is what the loop itself costs, fit / bare is what
everything that is not forward and backward costs.
"""

import argparse
import io
import statistics
import time
from contextlib import redirect_stderr

import torch

from mdlib import methods
from mdlib.devices import pick_device
from mdlib.training import ImageViews, fit
from mdlib.views import Views

LAW = Views(crop=(0.4, 1.0), rotation=30, brightness=0.4)


def seconds(work, device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="mlp")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = pick_device(options.device)
    shape = (1, options.size, options.size)
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (4 * options.batch, *shape), dtype=torch.uint8, generator=draw)
    images = images.to(device)
    generator = torch.Generator(device).manual_seed(0)
    print(
        f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {options.arch}, "
        f"{options.batch} × 2 views of {shape}, median of {options.repeats} × {options.steps} steps"
    )
    print(f"{'method':14}{'fit / plain':>12}{'fit / bare':>12}")
    for name in methods.names():
        if name == "instance":  # needs to know how many images there are
            continue
        method = methods.create(name, image_shape=shape, latent_dim=16, arch=options.arch)
        if method.uses:
            continue
        method.to(device).train()
        weights = [p for p in method.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(weights, fused=device.type in ("cpu", "cuda"))
        fixed, _ = LAW(images[: options.batch], 2, generator)

        def forward_backward(views, method=method, optimiser=optimiser):
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                loss, _ = method.loss(views, generator)
            loss.backward()

        def bare(step=forward_backward, views=fixed):
            for _ in range(options.steps):
                step(views)

        def plain(step=forward_backward, method=method, optimiser=optimiser):
            for i in range(options.steps):
                index = torch.randint(len(images), (options.batch,), device=device)
                step(LAW(images[index], 2, generator)[0])
                optimiser.step()
                method.after_step(i, options.steps)

        def whole(method=method):
            with redirect_stderr(io.StringIO()):  # the bar is drawn, but nobody sees it
                fit(method, ImageViews(images, LAW), steps=options.steps,
                    batch_size=options.batch, device=device)  # fmt: skip

        loops = {"bare": bare, "plain": plain, "fit": whole}
        times = {loop: [] for loop in loops}
        for repeat in range(options.repeats + 1):
            for loop, work in loops.items():
                taken = seconds(work, device)
                if repeat:  # the first round warms up
                    times[loop].append(taken)
        median = {loop: statistics.median(values) for loop, values in times.items()}
        ratios = (median["fit"] / median[loop] for loop in ("plain", "bare"))
        print(f"{name:14}" + "".join(f"{ratio:12.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
