"""Time `mdlib.views` beside torchvision (image by image) and kornia (batchwise), same law, one run.

    python benchmarks/views.py --batch 256 --side 32 --repeats 15

On a CPU read the ratios, not the times: the machine is shared. Kornia is in the extra `bench`.
"""

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import torch
import torchvision
from torchvision.transforms import v2

from mdlib.views import Views

# One law in three dialects: crop, flip, jitter of all four, grey.
LAW = Views(
    crop=(0.2, 1.0),
    hflip=0.5,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    jitter_p=0.8,
    grey=0.2,
)


def ours(images: torch.Tensor) -> Callable[[], object]:
    generator = torch.Generator(images.device).manual_seed(0)
    return lambda: LAW(images, 1, generator)


def by_torchvision(images: torch.Tensor, uint8: bool) -> Callable[[], object]:
    """One image at a time; colour on uint8 (rounds after each step) or on float, as ours does."""
    to_float = v2.ToDtype(torch.float32, scale=True)
    law = v2.Compose(
        [
            *([] if uint8 else [to_float]),
            v2.RandomResizedCrop(images.shape[-2:], scale=LAW.crop, ratio=LAW.crop_ratio),
            v2.RandomHorizontalFlip(LAW.hflip),
            v2.RandomApply(
                [v2.ColorJitter(LAW.brightness, LAW.contrast, LAW.saturation, LAW.hue)],
                LAW.jitter_p,
            ),
            v2.RandomGrayscale(LAW.grey),
            *([to_float] if uint8 else []),
        ]
    )
    return lambda: torch.stack([law(image) for image in images])


def by_kornia(images: torch.Tensor) -> tuple[Callable[[], object], str] | None:
    try:
        with warnings.catch_warnings():  # its import is not what we measure
            warnings.simplefilter("ignore")
            import kornia
            import kornia.augmentation as K
    except ImportError:
        return None
    law = K.AugmentationSequential(
        K.RandomResizedCrop(tuple(images.shape[-2:]), scale=LAW.crop, ratio=LAW.crop_ratio),
        K.RandomHorizontalFlip(p=LAW.hflip),
        K.ColorJitter(LAW.brightness, LAW.contrast, LAW.saturation, LAW.hue, p=LAW.jitter_p),
        K.RandomGrayscale(p=LAW.grey),
        data_keys=["input"],
    )
    return (lambda: law(images.float() / 255)), kornia.__version__


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256, help="images in the batch")
    parser.add_argument("--side", type=int, default=32, help="height and width in pixels")
    parser.add_argument("--repeats", type=int, default=15, help="timed runs of each; the median")
    parser.add_argument("--threads", type=int, default=1, help="torch threads on the CPU")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    images = torch.randint(256, (args.batch, 3, args.side, args.side), dtype=torch.uint8)
    images = images.to(device)

    runs = {"mdlib": ours(images)}
    runs["torchvision, uint8"] = by_torchvision(images, uint8=True)
    runs["torchvision, float"] = by_torchvision(images, uint8=False)
    found = by_kornia(images)
    if found:
        runs["kornia"] = found[0]

    def seconds(run: Callable[[], object]) -> float:
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        start = time.perf_counter()
        run()
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        return time.perf_counter() - start

    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(args.repeats + 2):
        for name, run in runs.items():  # interleaved: a busy moment hits all alike
            taken = seconds(run)
            if repeat >= 2:  # the first two warm up
                times[name].append(taken)

    print(f"{args.batch} x 3 x {args.side} x {args.side} on {device}, {args.threads} thread(s)")
    print(f"python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"torchvision {torchvision.__version__}, kornia {found[1] if found else 'not installed'}")
    base = statistics.median(times["mdlib"])
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"{name:20} {middle * 1e3:9.2f} ms  {middle / base:7.1f} x mdlib's time")


if __name__ == "__main__":
    main()
