"""Views with given parameters: a whole batch at once, on its own device. See `mdlib.views`.

`apply` knows no law and draws nothing but the pixels of the noise.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from mdlib.checks import check_one_of

# What each entry of the parameters holds, in the order of application.
COLUMNS: dict[str, tuple[str, ...]] = {
    "crop": ("crop y", "crop x", "crop height", "crop width"),
    "hflip": ("horizontal flip",),
    "vflip": ("vertical flip",),
    "rotation": ("rotation",),
    "brightness": ("brightness",),
    "contrast": ("contrast",),
    "saturation": ("saturation",),
    "hue": ("hue",),
    "grey": ("grey",),
    "blur": ("blur",),
    "erase": ("erase y", "erase x", "erase height", "erase width"),
    "noise": ("noise",),
}

_NEED_COLOUR = ("saturation", "hue", "grey")
PADDINGS = ("border", "zeros", "reflection")
_CACHED = 2**15  # pixels; on a CPU a step of many passes takes so many a thread at once
_LUMINANCE = (0.2989, 0.587, 0.114)  # of red, green, blue, as in torchvision's rgb_to_grayscale


@torch.no_grad()
def apply(
    images: Shaped[Tensor, "image channels height width"],
    parameters: Mapping[str, Tensor],
    generator: torch.Generator | None = None,
    padding: str = "border",
) -> Float[Tensor, "image views channels height width"]:
    """Render the views with the given parameters: float32 [B, J, C, H, W] in [0, 1].

    Args:
        images: [B, C, H, W], uint8, or floating point in [0, 1], which is checked; not changed.
        parameters: [B, J, k] each, as `Views.draw` returns them; any subset of its entries. With
            none the result is the images themselves as one view.
        generator: only for the pixels of the noise; needed where parameters have "noise".
        padding: what lies outside the image: "border", "zeros" or "reflection".

    Flips alone are exact. Where there is a crop or a rotation, pixels are interpolated bilinearly.
    A blur's kernel reaches 3 standard deviations, rounded up, but never beyond the image's side
    less 1; the image continues as its reflection. A view with no blur is not touched by it. An
    erased box takes the pixels whose centres it holds. No gradient flows through a view.

    Raises TypeError for images that are not a tensor of those types, ValueError for shapes, values,
    names, devices or a padding that don't fit, and for saturation, hue or grey without 3 channels.
    """
    check_images(images)
    check_one_of(PADDINGS, padding=padding)
    views = _check_parameters(parameters, images)
    if "noise" in parameters:
        if generator is None:
            raise ValueError("apply: parameters have noise, so its pixels need a generator")
        check_device("generator", generator.device, images)

    # From here on a view is a row: [N, C, H, W] with N = B · J.
    x = images[:, None].expand(-1, views, -1, -1, -1).flatten(0, 1)
    p = {name: value.flatten(0, 1).float() for name, value in parameters.items()}
    f = {name: value[:, 0, None, None, None] for name, value in p.items()}  # a number of each row
    if "crop" in p or "rotation" in p:
        x = _sample(_to_float(x), _grid(p, x), padding)
        if p.keys().isdisjoint(("brightness", "contrast", "saturation")):  # they clamp anyway
            x.clamp_(0, 1)  # interpolation rounds, by some 1e-7
    else:
        for name, axis in (("hflip", -1), ("vflip", -2)):
            if name in p:
                x = torch.where(f[name] > 0.5, x.flip(axis), x)
        x = _to_float(x)

    # x is our own now, and everything below writes into it.
    if "brightness" in p:
        x.mul_(f["brightness"]).clamp_(0, 1)
    if "contrast" in p:
        grey = _mean_luminance(x) * (1 - f["contrast"])
        x.mul_(f["contrast"]).add_(grey).clamp_(0, 1)
    if "saturation" in p:
        torch.lerp(_luminance(x), x, f["saturation"], out=x).clamp_(0, 1)
    if "hue" in p:
        rows = len(x)
        if x.device.type == "cpu":
            rows = max(1, _CACHED * torch.get_num_threads() // x[0, 0].numel())
        for part, shift in zip(x.split(rows), p["hue"].split(rows), strict=True):
            _shift_hue_(part, shift[:, :, None])
    if "grey" in p:
        x.lerp_(_luminance(x), f["grey"])  # exact where it is 0 or 1
    if "blur" in p:
        _blur_(x, p["blur"][:, 0])
    if "erase" in p:
        x.masked_fill_(_inside(p["erase"], x), 0)
    if "noise" in p:
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        x.addcmul_(noise, f["noise"]).clamp_(0, 1)
    return x.unflatten(0, (len(images), views))


def _grid(p: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Where each pixel of a view comes from: [N, H, W, 2] for `grid_sample`, which has the image
    span -1 … 1 from edge to edge. From view to image, so the steps are undone last to first.

    Written out, not by `affine_grid`: that is a matrix product, which a GPU may round to 10 bits.
    """
    (n, _, height, width), device = x.shape, x.device
    v = (torch.arange(height, device=device) * 2 + 1)[:, None] / height - 1
    u = (torch.arange(width, device=device) * 2 + 1)[None, :] / width - 1
    sign = [1 - 2 * p[k][:, :, None] if k in p else 1.0 for k in ("vflip", "hflip")]
    if "crop" in p:
        centre_y, centre_x, size_y, size_x = p["crop"][:, :, None, None].unbind(1)
    else:
        centre_y = centre_x = 0.5
        size_y = size_x = 1.0
    scale_y, scale_x = size_y * sign[0], size_x * sign[1]
    if "rotation" in p:
        angle = torch.deg2rad(p["rotation"])[:, :, None]
        cos, sin = angle.cos(), angle.sin()  # in pixels, hence the ratio of the sides
        u, v = u * cos - v * (sin * (height / width)), u * (sin * (width / height)) + v * cos
    grid = torch.empty(n, height, width, 2, device=device)
    grid[..., 0] = u * scale_x + (2 * centre_x - 1)
    grid[..., 1] = v * scale_y + (2 * centre_y - 1)
    return grid


def _sample(x: Tensor, grid: Tensor, padding: str) -> Tensor:
    if padding == "border" and x.device.type == "mps":
        # Not in torch < 2.13 for MPS. No difference to hold the grid at the outermost centres.
        edge = 1 - 1 / torch.tensor([x.shape[3], x.shape[2]], device=x.device)
        grid, padding = grid.clamp(-edge, edge), "zeros"
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _to_float(x: Tensor) -> Tensor:
    """A copy of `x`, float32 in [0, 1]."""
    if x.is_floating_point():
        return x.to(torch.float32, copy=True)
    return x.to(torch.float32).div_(255)


def _luminance(x: Tensor) -> Tensor:
    """[N, 3, H, W] → [N, 1, H, W]."""
    red, green, blue = x.split(1, dim=1)
    out = red * _LUMINANCE[0]
    return out.add_(green, alpha=_LUMINANCE[1]).add_(blue, alpha=_LUMINANCE[2])


def _mean_luminance(x: Tensor) -> Tensor:
    """[N, C, H, W] → [N, 1, 1, 1]: of colour the luminance, of anything else the plain mean."""
    means = x.mean(dim=(2, 3), keepdim=True)
    return _luminance(means) if x.shape[1] == 3 else means.mean(dim=1, keepdim=True)


def _shift_hue_(x: Tensor, shift: Tensor) -> None:
    """Turn the hue of x [N, 3, H, W] by `shift` [N, 1, 1] turns, in place; value and chroma stay.

    Both ways in closed form, without the six cases of the textbook. With a = (high - red) / chroma
    and e = |green - blue| / chroma, the hue is e + a(3 - 2e) sixths of a turn from red, towards
    green or blue: if red is highest a = 0, if lowest a = 1, and between the two e = 1. Back, a
    channel is low + chroma · clamp(2 - 6d, 0, 1), where d ∈ [0, ½] is the hue's distance in turns
    from that channel's own: 0 for red, ⅓ for green, ⅔ for blue.
    """
    red, green, blue = x.unbind(1)
    low = torch.minimum(red, green)
    torch.minimum(low, blue, out=low)
    high = torch.maximum(red, green)
    torch.maximum(high, blue, out=high)
    chroma = high - low
    # A grey pixel has 0 / tiny: any hue will do, its chroma undoes it.
    scale = chroma.clamp_min(1e-12).reciprocal_()
    side = green - blue
    e = side.abs().mul_(scale)
    a = high.sub_(red).mul_(scale)
    sixths = torch.addcmul(e, a, e.mul(-2).add_(3)).copysign_(side)
    hue = torch.add(shift, sixths, alpha=1 / 6, out=sixths)
    d, whole = e, a  # memory that is free by now
    for i, channel in enumerate((red, green, blue)):
        torch.sub(hue, i / 3, out=d)
        d.sub_(torch.round(d, out=whole)).abs_().mul_(-6).add_(2).clamp_(0, 1)
        torch.addcmul(low, chroma, d, out=channel)


def _blur_(x: Tensor, sigma: Tensor) -> None:
    """Blur row i of x [N, C, H, W] by sigma[i] pixels, in place; 0 leaves it as it is."""
    if x.device.type != "cpu":
        x.copy_(torch.where(sigma[:, None, None, None] > 0, _blurred(x, sigma), x))
        return
    # Four times as fast on a CPU, but it looks at sigma's values, for which a GPU would be waited.
    rows = sigma.nonzero()[:, 0]
    if len(rows) == 0:
        return
    sigma, y = sigma[rows], x[rows]
    n, channels = y.shape[:2]
    y = y.flatten(0, 1)[None]  # one image of n · C channels: each a group with its own kernel
    for axis in (-1, -2):
        most = int((3 * sigma).ceil().clamp(max=y.shape[axis] - 1).max())
        kernel = _kernel(sigma, y.shape[axis], most).repeat_interleave(channels, dim=0)
        if axis == -1:
            pad, kernel = (most, most, 0, 0), kernel[:, None, None, :]
        else:
            pad, kernel = (0, 0, most, most), kernel[:, None, :, None]
        with torch.autocast(x.device.type, enabled=False):  # it would round to 8 bits
            y = F.conv2d(F.pad(y, pad, mode="reflect"), kernel, groups=n * channels)
    x[rows] = y[0].unflatten(0, (n, channels)).clamp_(0, 1)


def _blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Each row of x [N, C, H, W] blurred by sigma [N], as two products with a matrix.

    Shapes don't depend on sigma's values, so no device is waited for. Where sigma is 0 there is
    something finite.
    """
    sigma = sigma.clamp(min=1e-3)
    with torch.autocast(x.device.type, enabled=False):
        across = x.flatten(1, 2) @ _blur_matrix(sigma, x.shape[3]).mT
        down = _blur_matrix(sigma, x.shape[2])[:, None] @ across.view(x.shape)
    return down.clamp_(0, 1)


def _blur_matrix(sigma: Tensor, side: int) -> Tensor:
    """What each pixel of a blurred line takes from each of the line's, [N, side, side]."""
    kernel = _kernel(sigma, side, side - 1)
    to = torch.arange(side, device=sigma.device)[:, None]
    of = to.T
    # From the pixel itself, and from its reflections beyond the two ends, which ends don't have.
    there = torch.ones_like(of, dtype=torch.bool)
    total = torch.zeros(len(sigma), side, side, device=sigma.device)
    for at, real in ((of, there), (-of, of > 0), (2 * (side - 1) - of, of < side - 1)):
        tap = at - to + side - 1
        real = real & (tap >= 0) & (tap < kernel.shape[1])
        total += torch.where(real, kernel[:, tap.clamp(0, kernel.shape[1] - 1)], 0.0)
    return total


def _kernel(sigma: Tensor, side: int, most: int) -> Tensor:
    """Gaussian weights of the taps −most … most for each sigma, [N, 2·most + 1]; they sum to 1."""
    reach = (3 * sigma).ceil().clamp(max=side - 1)
    taps = torch.arange(-most, most + 1, device=sigma.device)
    # Zero beyond a row's own reach, so that a view does not depend on the rest of the batch.
    kernel = torch.exp(-0.5 * (taps / sigma[:, None]) ** 2) * (taps.abs() <= reach[:, None])
    return kernel / kernel.sum(1, keepdim=True)


def _inside(box: Tensor, x: Tensor) -> Tensor:
    """Which pixels [N, 1, H, W] have their centre in the box [N, 4]."""
    sides = []
    for axis in (0, 1):
        side = x.shape[2 + axis]
        at = (torch.arange(side, device=x.device) + 0.5) / side
        sides.append((at - box[:, axis, None]).abs() * 2 < box[:, axis + 2, None])
    return (sides[0][:, :, None] & sides[1][:, None, :])[:, None]


def check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor):
        raise TypeError(f"images are a {type(images).__name__}, expected a tensor [B, C, H, W]")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"images are {images.dtype}, expected uint8 or floating point")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images have shape {list(images.shape)}, expected [B, C, H, W]")
    if images.is_floating_point():
        low, high = (float(v) for v in images.aminmax())
        if not (low >= 0 and high <= 1):  # so written, nan is refused too
            raise ValueError(
                f"images lie in [{low:g}, {high:g}], expected [0, 1] for {images.dtype}; "
                "augment first, normalise after"
            )


def check_colour(names: list[str], channels: int) -> None:
    wrong = [name for name in names if name in _NEED_COLOUR]
    if wrong and channels != 3:
        raise ValueError(f"{', '.join(wrong)} needs 3 channels, images have {channels}")


def check_device(what: str, device: torch.device, images: Tensor) -> None:
    # "cuda" and "cuda:0" are the same device to us.
    if (device.type, device.index or 0) != (images.device.type, images.device.index or 0):
        raise ValueError(f"{what} is on {device}, images are on {images.device}; use one device")


def _check_parameters(parameters: Mapping[str, Tensor], images: Tensor) -> int:
    """The number of views that the parameters speak of."""
    views = 1
    for i, (name, value) in enumerate(parameters.items()):
        if name not in COLUMNS:
            raise ValueError(f"apply: unknown parameter {name!r}, expected {', '.join(COLUMNS)}")
        if i == 0 and value.ndim == 3:
            views = value.shape[1]
        expected = (len(images), views, len(COLUMNS[name]))
        if tuple(value.shape) != expected or views == 0:
            raise ValueError(
                f"apply: {name} has shape {list(value.shape)}, expected {list(expected)}"
            )
        check_device(name, value.device, images)
    check_colour(list(parameters), images.shape[1])
    return views
