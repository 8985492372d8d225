"""Random views of a whole batch at once, each with the parameters that made it.

`Views` is a law of augmentations. Called on a batch it draws parameters for every view of every
image and renders all of them together, on the batch's own device::

    law = Views(crop=(0.2, 1.0), hflip=0.5, brightness=0.4, hue=0.1)
    views, parameters = law(images, 2, generator)  # [B, 2, C, H, W], {"crop": [B, 2, 4], ...}

The parameters are the view's *style*, the part of it that the image does not determine; `style`
names them column by column, so that a probe can ask what a code knows of each.

The order is fixed: crop → horizontal flip → vertical flip → rotation (one affine map, pixels are
interpolated once) → brightness → contrast → saturation → hue → grey → blur → erase → noise. Values
are clamped to [0, 1] wherever they could have left it. Each step agrees with the function of that
name in `torchvision.transforms.v2.functional`; two things differ on purpose. Boxes are not rounded
to whole pixels. And as geometry is one map, a rotated crop shows what the image holds beyond the
crop's edge; `padding` is only for what lies beyond the image.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from mdlib.checks import check_one_of, check_partners, check_whole
from mdlib.views.render import PADDINGS, apply, check_colour, check_device, check_images

_ERASE_RATIO = (0.3, 3.3)  # width / height of an erased box, as in torchvision's RandomErasing


@dataclass(frozen=True)
class Views:
    """A law of random views. What is left at its default does not happen.

    Fields (a pair is a range, drawn from uniformly; a probability is in [0, 1]):
        crop: area of the crop as a fraction of the image, within (0, 1]. Resized to the image.
        crop_ratio: width / height of the crop in pixels, drawn uniformly in its logarithm. It
            gives way where the image has no room: the area is always as drawn.
        hflip, vflip: probability of a left-right, of an up-down flip.
        rotation: largest angle in degrees, in [0, 180]; uniform in ±rotation, counter-clockwise.
        brightness, contrast, saturation: b ≥ 0; the factor is uniform in [max(0, 1 - b), 1 + b].
        hue: largest shift in turns, in [0, 0.5]; uniform in ±hue.
        jitter_p: probability that a view gets these four at all; else factors are 1 and hue is 0.
        grey: probability of losing all colour.
        blur: standard deviation of the Gaussian kernel in pixels, above 0. See `apply`.
        blur_p: probability of a blur.
        noise: largest standard deviation of the pixels' noise; it is uniform in [0, noise].
        erase: probability that a black box is painted over the view.
        erase_area: its area as a fraction of the view, within (0, 1); width / height in 0.3 … 3.3.
        padding: what lies outside the image: "border", "zeros" or "reflection". With zeros, a crop
            at the image's edge fades over the outermost half pixel.

    Raises ValueError on construction for a field out of its range.
    """

    crop: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    hflip: float = 0.0
    vflip: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jitter_p: float = 1.0
    grey: float = 0.0
    blur: tuple[float, float] | None = None
    blur_p: float = 1.0
    noise: float = 0.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.2)
    padding: str = "border"

    def __post_init__(self) -> None:
        most = dict.fromkeys(("hflip", "vflip", "jitter_p", "grey", "blur_p", "erase"), 1.0)
        most |= dict.fromkeys(("brightness", "contrast", "saturation", "noise"), math.inf)
        for name, high in (most | {"rotation": 180.0, "hue": 0.5}).items():
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= high):
                raise ValueError(f"Views: {name} is {value!r}, expected a number in [0, {high:g}]")
        most = {"crop": 1.0, "crop_ratio": math.inf, "blur": math.inf, "erase_area": 1.0}
        for name, high in most.items():
            value = getattr(self, name)
            if value is None and name in ("crop", "blur"):
                continue
            pair = isinstance(value, list | tuple) and len(value) == 2
            if not (pair and all(map(_is_number, value)) and 0 < value[0] <= value[1] <= high):
                raise ValueError(
                    f"Views: {name} is {value!r}, expected low, high with 0 < low ≤ high ≤ {high:g}"
                )
            object.__setattr__(self, name, tuple(value))  # YAML has lists; laws stay hashable
        check_one_of(PADDINGS, padding=self.padding)

    def draw(
        self, batch: int, views: int, image_shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Draw the parameters of `views` views (J) of each of `batch` images (B).

        Every view of every image has its own. There is an entry only for what the law varies, in
        the order of application, float32 [B, J, k], on the generator's device:

            crop: centre y, centre x, height, width as fractions of the image; inside the image
            hflip, vflip, grey: 0 or 1
            rotation: degrees, counter-clockwise
            brightness, contrast, saturation: factors
            hue: turns
            blur: standard deviation in pixels, 0 for none
            erase: a box as for crop, all four 0 for none
            noise: standard deviation

        `image_shape` is (..., C, H, W). Raises ValueError where batch or views is below 1, or where
        the law has saturation, hue or grey and the images don't have 3 channels.
        """
        check_whole(1, batch=batch, views=views)
        if len(image_shape) < 3 or min(image_shape) < 1:
            raise ValueError(f"draw: image_shape is {tuple(image_shape)}, expected (C, H, W)")
        channels, height, width = image_shape[-3:]
        jitters = [n for n in ("brightness", "contrast", "saturation", "hue") if getattr(self, n)]
        if self.jitter_p == 0:
            jitters = []
        check_colour([*jitters, *(["grey"] if self.grey else [])], channels)

        def uniform(low: float, high: float) -> Tensor:
            noise = torch.rand(batch, views, 1, generator=generator, device=generator.device)
            return noise.mul_(high - low).add_(low)

        def happens(probability: float) -> Tensor:
            return (uniform(0, 1) < probability).float()

        p: dict[str, Tensor] = {}
        if self.crop is not None:
            p["crop"] = _boxes(uniform, self.crop, self.crop_ratio, width / height)
        for name in ("hflip", "vflip"):
            if getattr(self, name):
                p[name] = happens(getattr(self, name))
        if self.rotation:
            p["rotation"] = uniform(-self.rotation, self.rotation)
        if jitters:
            jittered = happens(self.jitter_p) > 0
            for name in jitters:
                size = getattr(self, name)
                low, neutral = (-size, 0.0) if name == "hue" else (max(0.0, 1 - size), 1.0)
                p[name] = torch.where(jittered, uniform(low, neutral + size), neutral)
        if self.grey:
            p["grey"] = happens(self.grey)
        if self.blur is not None and self.blur_p:
            p["blur"] = uniform(*self.blur) * happens(self.blur_p)
        if self.erase:
            box = _boxes(uniform, self.erase_area, _ERASE_RATIO, width / height)
            p["erase"] = box * happens(self.erase)
        if self.noise:
            p["noise"] = uniform(0, self.noise)
        return p

    def __call__(
        self,
        images: Shaped[Tensor, "image channels height width"],
        views: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "image views channels height width"], dict[str, Tensor]]:
        """`views` random views (J) of each image, and the parameters that made them.

        images: [B, C, H, W], uint8, or floating point in [0, 1]; not changed.
        Returns views, float32 [B, J, C, H, W] in [0, 1], and the dict of `draw`.

        Raises TypeError or ValueError as `draw` and `apply` do, and ValueError where the generator
        is on another device than the images.
        """
        check_images(images)
        if not isinstance(generator, torch.Generator):
            raise TypeError(f"generator is {generator!r}, expected a torch.Generator")
        check_device("generator", generator.device, images)
        parameters = self.draw(len(images), views, tuple(images.shape[1:]), generator)
        out = apply(images, parameters, generator, self.padding)
        return (out if parameters else out.repeat(1, views, 1, 1, 1)), parameters


class SharedStyle(Views):
    """A law whose views come in pairs: images b and b + B/2 of a batch get the same parameters.

    Nothing else differs from `Views`, and each of the two images still has its own noise. An even
    number of images is needed: ValueError for any other. `SharedStyle(**vars(law))` shares the
    style of another law.
    """

    def draw(
        self, batch: int, views: int, image_shape: tuple[int, ...], generator: torch.Generator
    ) -> dict[str, Tensor]:
        check_partners("draw", batch)
        half = super().draw(batch // 2, views, image_shape, generator)
        return {name: value.repeat(2, 1, 1) for name, value in half.items()}


def _boxes(uniform, area: tuple[float, float], ratio: tuple[float, float], shape: float) -> Tensor:
    """Boxes [B, J, 4] inside the image: centre y, centre x, height, width as fractions of it.

    `ratio` is the box's width / height in pixels, `shape` the image's. Instead of drawing until a
    box fits, the ratio is drawn among those that do: height ≤ 1 and width ≤ 1 bound its logarithm
    by ±log(area) around the image's own. So the area keeps its law exactly.
    """
    a = uniform(*area)
    low, high = (torch.minimum(a.log().clamp(min=math.log(r / shape)), -a.log()) for r in ratio)
    stretch = (low + (high - low) * uniform(0, 1)).exp()
    height, width = (a / stretch).sqrt().clamp(max=1), (a * stretch).sqrt().clamp(max=1)
    y = height / 2 + (1 - height) * uniform(0, 1)
    x = width / 2 + (1 - width) * uniform(0, 1)
    return torch.cat([y, x, height, width], dim=-1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
