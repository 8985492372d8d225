"""`mdlib.views` beside torchvision, one image at a time, and its laws of drawing."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from mdlib import data
from mdlib.evaluation import probes
from mdlib.views import (
    BINARY,
    COLUMNS,
    Redrawn,
    SharedStyle,
    Views,
    apply,
    circular,
    render,
    style,
)

LEVELS = 2 / 255
EVERYTHING = dict(
    crop=(0.2, 1.0),
    hflip=0.5,
    vflip=0.5,
    rotation=30.0,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.2,
    jitter_p=0.8,
    grey=0.3,
    blur=(0.3, 1.5),
    blur_p=0.5,
    erase=0.5,
    noise=0.1,
)


def gen(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def photos(n: int = 6, height: int = 24, width: int = 32, channels: int = 3) -> torch.Tensor:
    """Random pixels, uint8: the hardest images for every step that does not interpolate."""
    return torch.randint(256, (n, channels, height, width), generator=gen(9), dtype=torch.uint8)


def smooth(n: int = 6, height: int = 48, width: int = 64) -> torch.Tensor:
    """Waves of long period, float: images on which interpolating twice costs little."""
    y = torch.linspace(0, 1, height)[:, None]
    x = torch.linspace(0, 1, width)[None, :]
    k = torch.arange(n * 3).reshape(n, 3, 1, 1)
    return 0.5 + 0.4 * torch.sin(3 * y * (1 + k % 3) / 2 + 2 * x + k)


def values(numbers) -> torch.Tensor:
    """Parameters [B, 1, k] from a number or a tuple per image."""
    numbers = torch.tensor(numbers, dtype=torch.float32)
    return numbers.reshape(len(numbers), 1, -1)


def each(function, images, numbers) -> torch.Tensor:
    return torch.stack([function(i, v) for i, v in zip(images, numbers, strict=True)])


# Each step beside torchvision


@pytest.mark.parametrize(
    ("name", "function", "numbers"),
    [
        ("brightness", TF.adjust_brightness, [0.0, 0.3, 0.9, 1.0, 1.4, 3.0]),
        ("contrast", TF.adjust_contrast, [0.0, 0.3, 0.9, 1.0, 1.4, 3.0]),
        ("saturation", TF.adjust_saturation, [0.0, 0.3, 0.9, 1.0, 1.4, 3.0]),
        ("hue", TF.adjust_hue, [-0.5, -0.21, 0.0, 0.1, 1 / 3, 0.5]),
    ],
)
def test_colour_agrees_with_torchvision(name, function, numbers):
    images = photos()
    got = apply(images, {name: values(numbers)})[:, 0]
    exact = each(function, images / 255, numbers)
    assert (got - exact).abs().max() < 1e-5
    rounded = each(function, images, numbers) / 255  # torchvision's own steps of uint8
    assert (got - rounded).abs().max() < LEVELS


def test_hue_of_grey_primary_and_nearly_grey_pixels():
    palette = torch.tensor([0.0, 0.5, 1.0, 0.5 + 1e-6])
    image = torch.cartesian_prod(palette, palette, palette).T.reshape(1, 3, 8, 8)
    numbers = torch.linspace(-0.5, 0.5, 13).tolist()
    got = apply(image.expand(13, -1, -1, -1), {"hue": values(numbers)})[:, 0]
    expected = each(TF.adjust_hue, image.expand(13, -1, -1, -1), numbers)
    assert (got - expected).abs().max() < 1e-5


def test_grey_agrees_with_torchvision():
    images = photos(2)
    got = apply(images, {"grey": values([1, 0])})[:, 0]
    expected = TF.rgb_to_grayscale(images[0] / 255, num_output_channels=3)
    torch.testing.assert_close(got[0], expected)
    assert torch.equal(got[1], images[1] / 255)


def test_flips_are_exact():
    images = photos(4)
    got = apply(images, {"hflip": values([0, 1, 0, 1]), "vflip": values([0, 0, 1, 1])})[:, 0]
    x = images / 255
    expected = [x[0], TF.hflip(x[1]), TF.vflip(x[2]), TF.vflip(TF.hflip(x[3]))]
    assert torch.equal(got, torch.stack(expected))


def test_crop_agrees_with_torchvision_on_whole_pixels():
    images = photos()
    boxes = [(0, 0, 24, 32), (3, 5, 12, 16), (10, 0, 14, 20), (7, 9, 8, 21), (1, 2, 23, 7)]
    boxes.append((0, 20, 5, 12))  # top, left, height, width in pixels
    fractions = [((t + h / 2) / 24, (s + w / 2) / 32, h / 24, w / 32) for t, s, h, w in boxes]
    got = apply(images, {"crop": values(fractions)})[:, 0]
    expected = each(lambda i, b: TF.resized_crop(i, *b, size=[24, 32]), images / 255, boxes)
    for i, (_, _, height, width) in enumerate(boxes):
        # The outermost half pixel of a crop differs: we see the neighbours beyond its edge.
        y, x = math.ceil(24 / height / 2), math.ceil(32 / width / 2)
        inner = (slice(None), slice(y, 24 - y), slice(x, 32 - x))
        assert (got[i][inner] - expected[i][inner]).abs().max() < LEVELS


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40), (41, 23)])
def test_rotation_agrees_with_torchvision(height, width):
    images = photos(7, height, width)
    angles = [0.0, 10.0, -10.0, 45.0, 90.0, -137.5, 180.0]
    got = apply(images, {"rotation": values(angles)}, padding="zeros")[:, 0]
    bilinear = TF.InterpolationMode.BILINEAR
    expected = each(lambda i, a: TF.rotate(i, a, bilinear), images / 255, angles)
    inside = each(lambda i, a: TF.rotate(i, a), torch.ones(7, 1, height, width), angles)
    inside = -torch.nn.functional.max_pool2d(-inside, 3, stride=1, padding=1) > 0.99
    assert inside.float().mean() > 0.5
    assert ((got - expected).abs() * inside).max() < LEVELS


def test_blur_agrees_with_torchvision_whatever_the_rest_of_the_batch():
    images = photos(5)
    sigmas = [0.0, 0.2, 0.7, 1.5, 2.4]
    got = apply(images, {"blur": values(sigmas)})[:, 0]
    assert torch.equal(got[0], images[0] / 255)
    for image, sigma, blurred in zip(images[1:] / 255, sigmas[1:], got[1:], strict=True):
        size = 2 * math.ceil(3 * sigma) + 1
        expected = TF.gaussian_blur(image, [size, size], [sigma, sigma])
        assert (blurred - expected).abs().max() < 1e-5
    alone = apply(images[2:3], {"blur": values(sigmas[2:3])})[:, 0]
    torch.testing.assert_close(alone[0], got[2])


def test_blur_wider_than_the_image_reaches_its_other_side():
    images = photos(1, 5, 9) / 255
    got = apply(images, {"blur": values([4.0])})[0, 0]
    expected = TF.gaussian_blur(images[0], [17, 9], [4.0, 4.0])  # width first, side less 1 each way
    assert (got - expected).abs().max() < 1e-5
    point = torch.full((1, 3, 1, 1), 0.3)
    torch.testing.assert_close(apply(point, {"blur": values([2.0])})[:, 0], point)


def test_blur_under_autocast():
    images = photos(2)
    p = {"blur": values([0.5, 2.0]), "rotation": values([10.0, 20.0])}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(apply(images, p), apply(images, p))
        inside = apply(images, p)
    torch.testing.assert_close(inside, apply(images, p))


def test_erase_agrees_with_torchvision_on_whole_pixels():
    images = photos(3)
    boxes = [(2, 3, 10, 8), (0, 0, 24, 32), (23, 31, 1, 1)]
    fractions = [((t + h / 2) / 24, (s + w / 2) / 32, h / 24, w / 32) for t, s, h, w in boxes]
    got = apply(images, {"erase": values(fractions)})[:, 0]
    expected = each(lambda i, b: TF.erase(i, *b, v=torch.zeros(1)), images / 255, boxes)
    assert torch.equal(got, expected)
    assert torch.equal(apply(images, {"erase": torch.zeros(3, 1, 4)})[:, 0], images / 255)


def test_noise_has_the_standard_deviation_asked_for():
    images = torch.full((3, 3, 64, 64), 0.5)
    p = {"noise": values([0.0, 0.02, 0.1])}
    got = apply(images, p, gen())[:, 0]
    assert torch.equal(got[0], images[0])
    spread = (got - 0.5).std(dim=(1, 2, 3))
    torch.testing.assert_close(spread[1:], torch.tensor([0.02, 0.1]), rtol=0.03, atol=0)
    assert torch.equal(got, apply(images, p, gen())[:, 0])
    assert not torch.equal(got, apply(images, p, gen(1))[:, 0])


# Steps together


def test_geometry_is_crop_then_flips_then_rotation():
    images = smooth()
    box, angles = (4, 8, 36, 44), [15.0, -20.0, 5.0, 30.0, -8.0, 0.0]
    flips = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 0), (0, 1)]
    top, left, height, width = box
    fraction = ((top + height / 2) / 48, (left + width / 2) / 64, height / 48, width / 64)
    p = {
        "crop": values([fraction] * 6),
        "hflip": values([h for h, _ in flips]),
        "vflip": values([v for _, v in flips]),
        "rotation": values(angles),
    }
    got = apply(images, p)[:, 0]
    for image, (h, v), angle, view in zip(images, flips, angles, got, strict=True):
        x = TF.resized_crop(image, *box, size=[48, 64])
        x = TF.hflip(x) if h else x
        x = TF.vflip(x) if v else x
        x = TF.rotate(x, angle, TF.InterpolationMode.BILINEAR)
        middle = (slice(None), slice(16, 32), slice(20, 44))
        assert (view[middle] - x[middle]).abs().max() < LEVELS


def test_colour_steps_come_in_the_documented_order():
    images = photos(1)
    p = {"brightness": 1.3, "contrast": 0.6, "saturation": 1.7, "hue": 0.2}
    x = images[0] / 255
    for function, value in zip(
        (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue),
        p.values(),
        strict=True,
    ):
        x = function(x, value)
    shuffled = {name: values([p[name]]) for name in reversed(p)}  # a dict's order means nothing
    torch.testing.assert_close(apply(images, shuffled)[0, 0], x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16])
def test_identity_parameters_give_the_image_back(dtype):
    images = photos() if dtype == torch.uint8 else (photos() / 255).to(dtype)
    before = images.clone()
    expected = images.float() / (255 if dtype == torch.uint8 else 1)
    one, zero = torch.ones(6, 1, 1), torch.zeros(6, 1, 1)
    p = dict.fromkeys(("brightness", "contrast", "saturation"), one)
    p |= dict.fromkeys(("hflip", "vflip", "hue", "grey", "blur", "noise"), zero)
    p["erase"] = torch.zeros(6, 1, 4)
    got = apply(images, p, gen())[:, 0]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    del p["hue"]
    assert torch.equal(apply(images, p, gen())[:, 0], expected)
    assert torch.equal(apply(images, {})[:, 0], expected)
    p |= {"crop": values([(0.5, 0.5, 1.0, 1.0)] * 6), "rotation": zero}
    got = apply(images, p, gen())[:, 0]  # the grid's coordinates are rounded to 1e-7 of the image
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    assert torch.equal(images, before) and images.dtype == before.dtype


@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (17, 9)])
@pytest.mark.parametrize("padding", ["border", "zeros", "reflection"])
def test_views_have_their_shape_type_and_range(shape, padding):
    law = Views(**EVERYTHING, padding=padding)
    for images in (photos(5, *shape), torch.full((5, 3, *shape), 1.0)):
        views, p = law(images, 3, gen())
        assert views.shape == (5, 3, 3, *shape)
        assert views.dtype == torch.float32 and views.is_contiguous()
        assert views.min() >= 0 and views.max() <= 1
        assert list(p) == list(COLUMNS)
    geometry = Views(crop=(0.1, 0.9), rotation=90.0, hue=0.5)
    views, _ = geometry(torch.ones(64, 3, *shape), 2, gen())
    assert views.max() <= 1


def test_one_channel_images():
    law = Views(crop=(0.3, 1), hflip=0.5, brightness=0.4, contrast=0.4, blur=(1, 2), noise=0.1)
    images = photos(4, channels=1)
    assert law(images, 2, gen())[0].shape == (4, 2, 1, 24, 32)
    numbers = [0.2, 0.8, 1.3, 2.0]
    got = apply(images, {"contrast": values(numbers)})[:, 0]
    expected = each(TF.adjust_contrast, images / 255, numbers)
    torch.testing.assert_close(got, expected)
    for field in ("saturation", "hue", "grey"):
        with pytest.raises(ValueError, match=f"{field} needs 3 channels, images have 1"):
            Views(**{field: 0.5}).draw(4, 2, (1, 8, 8), gen())
        with pytest.raises(ValueError, match=f"{field} needs 3 channels, images have 1"):
            apply(images, {field: torch.ones(4, 1, 1)})


def test_parameters_reproduce_the_views():
    law = Views(**{**EVERYTHING, "noise": 0.0})
    images = photos()
    views, p = law(images, 3, gen())
    assert torch.equal(apply(images, p), views)
    one = apply(images, {name: value[:, 1:2] for name, value in p.items()})
    torch.testing.assert_close(one[:, 0], views[:, 1])
    rows = {name: value.flatten(0, 1)[:, None] for name, value in p.items()}
    torch.testing.assert_close(
        apply(images.repeat_interleave(3, 0), rows)[:, 0], views.flatten(0, 1)
    )


def test_a_seed_decides_everything():
    law, images = Views(**EVERYTHING), photos()
    state = torch.get_rng_state()
    first, again, other = (law(images, 2, gen(seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone
    assert torch.equal(first[0], again[0]) and not torch.equal(first[0], other[0])
    for name in first[1]:
        assert torch.equal(first[1][name], again[1][name])
        assert not torch.equal(first[1][name], other[1][name])
    g = gen()
    assert not torch.equal(law(images, 2, g)[0], law(images, 2, g)[0])


# Laws of drawing


def test_there_is_an_entry_only_for_what_varies():
    shape = (3, 32, 32)
    assert Views().draw(2, 3, shape, gen()) == {}
    assert list(Views(hue=0.1, crop=(0.5, 1)).draw(2, 3, shape, gen())) == ["crop", "hue"]
    assert Views(hue=0.1, jitter_p=0, blur=(1, 2), blur_p=0).draw(2, 3, shape, gen()) == {}
    views, p = Views()(photos(), 3, gen())
    assert p == {}
    assert torch.equal(views, (photos() / 255)[:, None].expand(-1, 3, -1, -1, -1))
    views[:, 0] = 0  # and each is its own
    assert views[:, 1].max() > 0


def test_numbers_are_uniform_in_their_ranges():
    law = Views(
        rotation=30, brightness=0.4, contrast=1.5, saturation=0.2, hue=0.1, blur=(0.5, 2), noise=0.3
    )
    p = law.draw(1000, 4, (3, 32, 32), gen())
    ranges = {
        "rotation": (-30, 30),
        "brightness": (0.6, 1.4),
        "contrast": (0, 2.5),
        "saturation": (0.8, 1.2),
        "hue": (-0.1, 0.1),
        "blur": (0.5, 2),
        "noise": (0, 0.3),
    }
    assert p.keys() == ranges.keys()
    for name, (low, high) in ranges.items():
        assert p[name].shape == (1000, 4, 1) and p[name].dtype == torch.float32
        assert_uniform((p[name] - low) / (high - low))


def assert_uniform(u: torch.Tensor) -> None:
    """Kolmogorov and Smirnov's distance, at a level of about 1e-5."""
    u = u.flatten().double().sort().values
    assert u[0] >= -1e-6 and u[-1] <= 1 + 1e-6
    assert (u - torch.linspace(0, 1, len(u)).double()).abs().max() < 2.5 / len(u) ** 0.5


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 48), (20, 100)])
@pytest.mark.parametrize("kind", ["crop", "erase"])
def test_boxes_lie_inside_and_their_area_is_uniform(kind, height, width):
    area = (0.1, 1.0) if kind == "crop" else (0.1, 0.8)
    law = Views(crop=area) if kind == "crop" else Views(erase=1.0, erase_area=area)
    y, x, h, w = law.draw(2000, 2, (3, height, width), gen())[kind].unbind(-1)
    for centre, side in ((y, h), (x, w)):
        assert side.min() > 0 and side.max() <= 1
        assert (centre - side / 2).min() > -1e-6 and (centre + side / 2).max() < 1 + 1e-6
        assert_uniform(((centre - side / 2) / (1 - side))[side < 0.99])
    assert_uniform((h * w - area[0]) / (area[1] - area[0]))


def test_crop_ratio_is_log_uniform_where_there_is_room():
    law = Views(crop=(0.05, 0.2), crop_ratio=(0.5, 2.0))
    _, _, h, w = law.draw(2000, 2, (3, 40, 50), gen())["crop"].unbind(-1)
    ratio = (w * 50) / (h * 40)
    assert_uniform(ratio.log() / (2 * math.log(2)) + 0.5)


def test_probabilities_are_kept():
    law = Views(
        hflip=0.3, vflip=0.8, grey=0.2, brightness=0.5, hue=0.2, jitter_p=0.7, blur=(1, 2),
        blur_p=0.4, erase=0.6,
    )  # fmt: skip
    p = law.draw(2000, 2, (3, 32, 32), gen())
    for name, probability in (("hflip", 0.3), ("vflip", 0.8), ("grey", 0.2)):
        assert set(p[name].unique().tolist()) == {0.0, 1.0}
        assert abs(p[name].mean().item() - probability) < 0.04
    jittered = p["brightness"] != 1
    assert torch.equal(jittered, p["hue"] != 0)  # all of a view's jitter or none
    assert abs(jittered.float().mean().item() - 0.7) < 0.04
    assert abs((p["blur"] > 0).float().mean().item() - 0.4) < 0.04
    erased = p["erase"] != 0
    assert torch.equal(erased.any(-1), erased.all(-1))
    assert abs(erased.any(-1).float().mean().item() - 0.6) < 0.04
    always = Views(hflip=1.0, grey=1.0).draw(100, 2, (3, 8, 8), gen())
    assert all(value.min() == 1 for value in always.values())


def test_views_and_images_are_independent():
    columns = style(Views(**EVERYTHING).draw(4000, 2, (3, 32, 32), gen()))
    for name, column in columns.items():
        first, second = column.unbind(1)
        assert abs(torch.corrcoef(column.T)[0, 1]) < 0.08, name  # between two views of an image
        assert abs(torch.corrcoef(torch.stack([first[:-1], first[1:]]))[0, 1]) < 0.08, name
        if name not in BINARY:
            assert (first != second).float().mean() > 0.5, name


def test_style_names_every_number():
    p = Views(**EVERYTHING).draw(5, 2, (3, 32, 32), gen())
    columns = style(p)
    assert list(columns) == [column for name in COLUMNS for column in COLUMNS[name]]
    assert len(set(columns)) == sum(value.shape[-1] for value in p.values())
    assert all(column.shape == (5, 2) for column in columns.values())
    assert torch.equal(columns["crop width"], p["crop"][..., 3])
    assert {n for n, c in columns.items() if set(c.unique().tolist()) <= {0.0, 1.0}} == BINARY


@pytest.mark.parametrize(("axis", "flip"), [("y", "vflip"), ("x", "hflip")])
def test_style_gives_the_crop_centre_as_the_view_shows_it(axis, flip):
    p = Views(crop=(0.3, 0.6), **{flip: 0.5}).draw(400, 2, (1, 16, 16), gen())
    # A ramp along the axis: the mean grey level of a view tells where its crop was centred, and a
    # flip of the image, not only of the crop, is what makes the view's own frame.
    ramp = (torch.arange(16) + 0.5) / 16
    ramp = ramp[:, None] if axis == "y" else ramp[None, :]
    images = ramp.expand(400, 1, 16, 16)
    flipped = p[flip][..., 0] > 0.5
    level = apply(images, p).mean((2, 3, 4))
    centre = torch.where(flipped, 1 - level, level)
    torch.testing.assert_close(style(p)[f"crop {axis}"], centre, atol=0.01, rtol=0)
    assert flipped.any() and not torch.equal(style(p)[f"crop {axis}"], p["crop"][..., axis == "x"])


def test_shared_style_gives_partners_the_same_parameters_and_no_one_else():
    law = SharedStyle(**EVERYTHING)
    images = photos(6)
    views, p = law(images, 3, gen())
    assert list(p) == list(COLUMNS) and views.shape == (6, 3, 3, 24, 32)
    for value in p.values():
        assert value.shape[:2] == (6, 3) and torch.equal(value[:3], value[3:])
    columns = style(law.draw(2000, 2, (3, 32, 32), gen()))
    assert_uniform((columns["rotation"][:1000] + 30) / 60)
    own = columns["rotation"][:1000]
    assert (own[:, 0] != own[:, 1]).all() and len(own.unique()) == 2000
    quiet = SharedStyle(**{**EVERYTHING, "noise": 0.0})
    views, p = quiet(images, 3, gen())
    assert torch.equal(apply(images, p), views)


def test_shared_style_says_what_it_is_and_needs_an_even_batch():
    law = Views(crop=(0.5, 1), hue=0.5)
    shared = SharedStyle(**vars(law))
    assert repr(shared) == repr(law).replace("Views(", "SharedStyle(") and shared != law
    assert shared == SharedStyle(crop=(0.5, 1), hue=0.5)
    with pytest.raises(ValueError, match="batch is 5, expected an even number"):
        shared(photos(5), 2, gen())
    with pytest.raises(ValueError, match="at least 1"):
        shared.draw(0, 2, (3, 8, 8), gen())


def test_circular_columns_have_no_ends():
    columns = style(Views(hue=0.5, rotation=180, hflip=0.5).draw(50, 2, (3, 8, 8), gen()))
    both = circular(columns, "hue", "rotation")
    assert list(both) == [
        "horizontal flip", "rotation cos", "rotation sin", "hue cos", "hue sin",
    ]  # fmt: skip
    for name, turn in (("hue", 1), ("rotation", 360)):
        back = torch.atan2(both[f"{name} sin"], both[f"{name} cos"]) / (2 * math.pi) * turn
        torch.testing.assert_close(back, columns[name], atol=1e-4, rtol=1e-5)
    ends = circular({"hue": torch.tensor([-0.5, 0.5])}, "hue")
    for end in ends.values():
        torch.testing.assert_close(end[0], end[1])
    assert list(circular(columns, "hue")) == ["horizontal flip", "rotation", "hue cos", "hue sin"]
    assert circular({"noise": columns["hue"]}, "hue").keys() == {"noise"}
    with pytest.raises(ValueError, match="'grey' has no period, expected some of"):
        circular(columns, "grey")


def test_painted_digits_take_every_hue_and_show_it():
    digits = data.load("digits").painted()
    law = Views(crop=(0.7, 1.0), rotation=45, hue=0.5)
    views, p = law(digits.images, 1, gen())
    colour = views[:, 0].flatten(2).mean(2)  # of the whole image, black included
    shown = torch.atan2(
        3**0.5 * (colour[:, 1] - colour[:, 2]), 2 * colour[:, 0] - colour[:, 1] - colour[:, 2]
    ) / (2 * math.pi)
    off = (shown - p["hue"][:, 0, 0] + 0.5).remainder(1) - 0.5
    assert off.abs().max() < 0.02  # the hexagon of HSV is no circle
    assert torch.histc(shown, 6, -0.5, 0.5).min() > len(digits) / 12
    columns = circular(style(p), "hue")
    targets = torch.stack([columns["hue cos"], columns["hue sin"]], 2)[:, 0]
    pixels = torch.nn.functional.avg_pool2d(views[:, 0], 4).flatten(1)
    half = len(digits) // 2
    result = probes.knn_regression(pixels[:half], targets[:half], pixels[half:], targets[half:])
    assert result.per_target.min() > 0.9
    flat = probes.knn_regression(
        pixels[:half], p["hue"][:half, 0], pixels[half:], p["hue"][half:, 0]
    )
    assert flat.score < result.score


# What is refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crop", (0.0, 1.0)),
        ("crop", (0.9, 0.2)),
        ("crop", (0.5, 1.1)),
        ("crop", 0.5),
        ("crop", (0.1, 0.2, 0.3)),
        ("crop_ratio", (0.0, 1.0)),
        ("crop_ratio", None),
        ("hflip", 1.5),
        ("vflip", -0.1),
        ("vflip", "often"),
        ("rotation", 200.0),
        ("brightness", -0.1),
        ("contrast", math.inf),
        ("saturation", math.nan),
        ("hue", 0.6),
        ("jitter_p", 2),
        ("grey", None),
        ("blur", (0.0, 1.0)),
        ("blur", ("a", "b")),
        ("blur_p", -1),
        ("noise", -0.1),
        ("erase", 1.1),
        ("erase_area", (0.1, 1.5)),
        ("padding", "wrap"),
    ],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(ValueError, match=rf"{field}( is |=).*expected "):
        Views(**{field: value})


def test_lists_from_yaml_will_do():
    assert Views(crop=[0.2, 1], blur=[1, 2]) == Views(crop=(0.2, 1), blur=(1, 2))
    assert hash(Views(crop=[0.2, 1])) == hash(Views(crop=(0.2, 1)))


@pytest.mark.parametrize(
    ("images", "error", "says"),
    [
        ([[0]], TypeError, "expected a tensor"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), TypeError, "expected uint8 or floating"),
        (torch.zeros(3, 8, 8), ValueError, r"shape \[3, 8, 8\]"),
        (torch.zeros(0, 3, 8, 8), ValueError, "shape"),
        (torch.full((2, 3, 8, 8), 255.0), ValueError, r"lie in \[255, 255\], expected \[0, 1\]"),
        (torch.full((2, 3, 8, 8), math.nan), ValueError, r"expected \[0, 1\]"),
    ],
)
def test_bad_images_are_refused(images, error, says):
    with pytest.raises(error, match=says):
        Views(hflip=0.5)(images, 2, gen())
    with pytest.raises(error, match=says):
        apply(images, {})


def test_bad_requests_are_refused():
    images, shape = photos(), (3, 24, 32)
    law = Views(hflip=0.5)
    with pytest.raises(TypeError, match=r"expected a torch\.Generator"):
        law(images, 2, None)
    with pytest.raises(ValueError, match="views=0"):
        law(images, 0, gen())
    with pytest.raises(ValueError, match="image_shape"):
        law.draw(2, 2, (24, 32), gen())
    with pytest.raises(ValueError, match="generator is on cpu, images are on meta"):
        law(torch.zeros(2, *shape, dtype=torch.uint8, device="meta"), 2, gen())
    with pytest.raises(ValueError, match="unknown parameter 'tilt'"):
        apply(images, {"tilt": torch.zeros(6, 1, 1)})
    with pytest.raises(ValueError, match=r"crop has shape \[6, 1, 2\], expected \[6, 1, 4\]"):
        apply(images, {"crop": torch.zeros(6, 1, 2)})
    with pytest.raises(ValueError, match=r"hue has shape \[6, 3, 1\], expected \[6, 2, 1\]"):
        apply(images, {"hflip": torch.zeros(6, 2, 1), "hue": torch.zeros(6, 3, 1)})
    with pytest.raises(ValueError, match="hflip has shape"):
        apply(images, {"hflip": torch.zeros(6)})
    with pytest.raises(ValueError, match="need a generator"):
        apply(images, {"noise": torch.zeros(6, 1, 1)})
    with pytest.raises(ValueError, match="padding='wrap'"):
        apply(images, {}, padding="wrap")


# Other devices


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_other_devices_agree_with_the_cpu(device):
    if not getattr(torch, device).is_available():
        pytest.skip(f"no {device} here")
    images = photos(8)
    for padding in ("border", "zeros"):
        law = Views(**{**EVERYTHING, "noise": 0.0}, padding=padding)
        views, p = law(images.to(device), 2, gen(0, device))
        assert views.device.type == device
        on_cpu = apply(images, {name: value.cpu() for name, value in p.items()}, padding=padding)
        difference = (views.cpu() - on_cpu).abs()
        # A hue at a corner of the circle or a pixel at a box's edge may fall to either side.
        assert (difference > LEVELS).float().mean() < 1e-3
    noisy, _ = Views(noise=0.1)(images.to(device), 2, gen(0, device))
    assert noisy.device.type == device
    with pytest.raises(ValueError, match="generator is on cpu, images are on"):
        law(images.to(device), 2, gen())


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 9, 17), (2, 1, 5)])
def test_blur_without_a_look_at_its_values_is_the_other_blur(shape):
    images = torch.rand(6, *shape, generator=gen())
    sigma = torch.tensor([0.0, 0.2, 0.7, 1.5, 4.0, 30.0])
    expected = apply(images, {"blur": sigma[:, None, None]})[:, 0]
    got = torch.where(sigma[:, None, None, None] > 0, render._blurred(images, sigma), images)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)
    assert torch.equal(got[0], images[0])


# --- views that are other images


@pytest.fixture(scope="module")
def grid():
    """3 × 2 × 4 images of one pixel, which says which image it is."""
    factors = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4))
    pixels = torch.arange(24, dtype=torch.uint8).view(-1, 1, 1, 1)
    facts = {"factor_names": ("kind", "x", "y"), "factor_sizes": (3, 2, 4)}
    named = "toy", "Toy", "all"
    return data.Dataset(*named, pixels, factors[:, 0], ("a", "b", "c"), factors, **facts)


def test_redrawn_views_keep_content_and_draw_each_style_alike(grid):
    factors = grid.factors[torch.arange(6000) % 24]
    views, drawn = Redrawn(grid, ["x", "y"])(factors, 2, torch.Generator().manual_seed(0))
    assert views.shape == (6000, 2, 1, 1, 1)
    shown = grid.factors[(views.flatten(1) * 255).round().long()]  # [6000, 2, 3]
    assert torch.equal(shown[..., 0], factors[:, :1].expand(-1, 2))
    for j, name in enumerate(["x", "y"], 1):
        assert torch.equal(shown[..., j].float(), drawn[name][..., 0])
    both = shown[:, 0, 1:] @ torch.tensor([4, 1]), shown[:, 1, 1:] @ torch.tensor([4, 1])
    counts = torch.stack(both, 1) @ torch.tensor([8, 1])  # of 64 pairs of styles
    assert counts.bincount(minlength=64).sub(6000 / 64).abs().max() < 5 * (6000 / 64) ** 0.5


def test_redrawn_shared_gives_both_halves_one_style(grid):
    law = Redrawn(grid, ["y"], shared=True)
    views, drawn = law(grid.factors[:12], 3, torch.Generator().manual_seed(0))
    assert torch.equal(*drawn["y"].chunk(2)) and len(drawn["y"].unique()) > 1
    shown = grid.factors[(views.flatten(1) * 255).round().long()]
    assert torch.equal(shown[..., :2], grid.factors[:12, None, :2].expand(-1, 3, -1))
    with pytest.raises(ValueError, match="batch is 5, expected an even number"):
        law(grid.factors[:5], 2, torch.Generator().manual_seed(0))


def test_redrawn_refuses_what_is_no_grid(grid):
    with pytest.raises(ValueError, match="unknown factor 'z'"):
        Redrawn(grid, ["z"])
    with pytest.raises(ValueError, match="toy has 5 images, expected all 24: split 'all'"):
        Redrawn(grid.subset(torch.arange(5)), ["x"])
