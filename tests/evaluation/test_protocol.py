"""The protocol that chapters share, against the lines that they had before, and closed forms."""

import pytest
import torch

from mdlib import data
from mdlib.data.base import stratified
from mdlib.evaluation import probes, protocol
from mdlib.evaluation.views_classifier import ViewsClassifier
from mdlib.methods import create
from mdlib.views import Views, style

LAW = Views(crop=(0.4, 1.0), hflip=0.5, rotation=30, brightness=0.4)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", size=8)


def test_fresh_views_are_those_of_the_chapters_before(digits):
    """The lines that start_here and five more had: generator, rows and order of draws."""
    n, seed = len(digits) + 7, 3  # past the end: from the first image again
    rows = torch.arange(n) % len(digits)
    x, parameters = LAW(digits.images[rows], 1, torch.Generator().manual_seed(seed))
    asked = protocol.fresh_views(digits, LAW, n, seed)
    assert torch.equal(asked.images, x[:, 0]) and torch.equal(asked.labels, digits.labels[rows])
    assert torch.equal(asked.truth, torch.cat([*style(parameters).values()], 1))
    assert list(asked.styles) == list(style(parameters))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [0, 1, 2, 0, 1, 2]])
def test_fresh_views_of_few_images_are_of_all_classes_where_rows_stand_class_by_class(order):
    """As in a folder of images, CIFAR-10 or sprites; by the rows that `sample` draws."""
    labels = torch.tensor(order).repeat_interleave(180 // len(order))
    images = torch.arange(180, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    split = data.Dataset("mine", "mine", "train", images, labels, ("a", "b", "c"))
    for n in (50, 100, 180, 250):
        asked = protocol.fresh_views(split, LAW, n, 1000)
        shares = asked.labels.bincount(minlength=3) / n
        assert (shares - 1 / 3).abs().max() < 0.1
        assert torch.equal(asked.labels, labels[asked.rows])
        assert asked.rows.unique().numel() == min(n, 180)
    assert torch.equal(split.images[asked.rows[:50]], split.sample(50).images)


def test_shuffled_views_of_other_inputs_are_those_of_partitioned_before(digits):
    def law(factors, members, generator):
        noise = torch.rand(len(factors), members, generator=generator)
        images = factors[:, None].expand(-1, members, -1, -1, -1).float()
        return images, {"noise": noise[..., None]}

    factors, seed = torch.arange(len(digits)).view(-1, 1, 1, 1), 5
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(digits), generator=draw)[torch.arange(50) % len(digits)]
    noise = torch.rand(50, 1, generator=draw)
    asked = protocol.fresh_views(
        digits, law, 50, seed, columns=lambda p: {"noise": p["noise"][..., 0]},
        shuffled=True, inputs=factors,
    )  # fmt: skip
    assert torch.equal(asked.images.flatten().long(), rows) and torch.equal(asked.rows, rows)
    assert torch.equal(asked.labels, digits.labels[rows])
    assert torch.equal(asked.styles["noise"], noise[:, 0])


def test_the_held_out_part_is_a_fifth_of_each_class_and_the_same_each_time(digits):
    train, test = protocol.held_out(digits)
    kept, held = stratified(digits.labels.numpy(), test_fraction=0.2)
    assert torch.equal(train.images, digits.images[kept])
    assert torch.equal(test.images, digits.images[held])
    for c in digits.labels.unique():
        share = (test.labels == c).sum() / (digits.labels == c).sum()
        assert share == pytest.approx(0.2, abs=0.01)
    with pytest.raises(ValueError, match=r"fraction=1\.5"):
        protocol.held_out(digits, 1.5)


@pytest.mark.parametrize(
    ("trial", "lr", "option", "found"),
    [
        (None, 0.0, "", (2e-3, "")),
        ({"lr": 0.01, "option": "a=1"}, 0.0, "", (0.01, "a=1")),
        ({"lr": 0.01}, 0.0, "", (0.01, "")),  # `best` leaves out empty cells
        ({"lr": 0.01, "option": "a=1"}, 0.0, "b=2", (0.01, "b=2")),
        ({"lr": 0.01, "option": "a=1"}, 0.5, "", (0.5, "")),
    ],
)
def test_settings_are_given_or_tuned_or_usual(trial, lr, option, found):
    assert protocol.settings(trial, lr, option, default_lr=2e-3) == found


def test_style_is_read_by_a_regression_of_all_and_a_classifier_a_flip(digits):
    method = create("vae", image_shape=digits.image_shape, latent_dim=6, arch="mlp-small", seed=0)
    asked, answer = (protocol.fresh_views(digits, LAW, 300, s) for s in (1, 2))
    z, z_test = method.encode(asked.images), method.encode(answer.images)
    found = protocol.read_style(z, asked.styles, z_test, answer.styles, classify=probes.linear)
    flip = "horizontal flip"
    real = [name for name in asked.styles if name != flip]
    assert list(found) == [*real, flip]
    truth = [torch.stack([a.styles[n] for n in real], 1) for a in (asked, answer)]
    r2 = probes.knn_regression(z, truth[0], z_test, truth[1]).per_target.tolist()
    assert [found[name] for name in real] == r2
    flips = [a.styles[flip].long() for a in (asked, answer)]
    assert found[flip] == probes.linear(z, flips[0], z_test, flips[1]).score
    only_flips = {flip: asked.styles[flip]}, {flip: answer.styles[flip]}
    assert protocol.read_style(z, only_flips[0], z_test, only_flips[1], classify=probes.linear) == {
        flip: found[flip]
    }


def test_mean_style_puts_guessing_at_0():
    assert protocol.mean_style({"rotation": 0.0, "horizontal flip": 0.5, "grey": 0.5}) == 0
    assert protocol.mean_style({"rotation": 0.4, "vertical flip": 1.0}) == pytest.approx(0.7)


def test_within_share_is_the_analysis_of_variance():
    centres, moves = torch.randn(50, 1, 3).double(), torch.randn(50, 4, 3).double()
    assert protocol.within_share(centres.expand(-1, 4, -1))[0] == pytest.approx(0, abs=1e-12)
    same_images = moves - moves.mean(1, keepdim=True)
    assert protocol.within_share(same_images)[0] == pytest.approx(1)
    z = centres + moves
    share, total = protocol.within_share(z)
    between = (z.mean(1) - z.mean((0, 1))).square().sum() / 50
    assert total == pytest.approx(z.flatten(0, 1).var(0, correction=0).sum().item())
    assert share == pytest.approx(1 - between.item() / total)
    with pytest.raises(ValueError, match="two views an image"):
        protocol.within_share(z[:, :1])


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(torch.float32, 1e-40), (torch.float32, 1e-25), (torch.float32, 1e20),
     (torch.float64, 1e-200), (torch.float64, 1e200)],
)  # fmt: skip
def test_within_share_has_no_unit(dtype, scale):
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(50, 4, 8, generator=draw) * 0.3 + torch.randn(50, 1, 8, generator=draw)
    share, total = protocol.within_share(z.to(dtype))
    found, its_total = protocol.within_share(z.to(dtype) * scale)
    assert found == pytest.approx(share, rel=1e-4)
    assert its_total / scale / scale == pytest.approx(total, rel=1e-4) or scale in (1e-200, 1e200)


@pytest.mark.parametrize("at", [0.0, 0.1, 1.0, 1e30])
def test_codes_that_are_one_point_have_a_share_of_nothing(at):
    share, total = protocol.within_share(torch.full((50, 3, 8), at))
    assert share == 0 and total <= 1e-12 * at**2


def test_codes_of_views_keep_images_and_views_apart(digits):
    method = create("vae", image_shape=digits.image_shape, latent_dim=4, arch="mlp-small", seed=0)
    views, _ = LAW(digits.images[:6], 3, torch.Generator().manual_seed(9))
    z = protocol.codes_of_views(method, LAW, digits.images[:6], 3, seed=9)
    assert z.shape == (6, 3, 4)
    torch.testing.assert_close(z[4, 2], method.encode(views[4, 2:3])[0], rtol=1e-4, atol=1e-5)


def test_a_swap_takes_parts_where_there_are_some_and_else_moves_from_the_centre(digits):
    a, b, centre = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    shape = {"image_shape": digits.image_shape, "latent_dim": 8}
    plain = create("vae", **shape, arch="mlp-small", seed=0)
    torch.testing.assert_close(
        protocol.swapped(plain, a, b, centre), plain.decode(a + (b - centre)), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match="VAE has a code without parts: expected centre_b"):
        protocol.swapped(plain, a, b)
    split = create("gvae", **shape, arch="mlp-small", style_dim=3, seed=0)
    both = torch.cat([a[:, :5], b[:, 5:]], 1)
    assert torch.equal(protocol.swapped(split, a, b), split.decode(both))


def test_a_swap_sheet_has_contents_down_and_styles_along():
    contents = torch.full((2, 1, 3, 3), 0.1) * torch.tensor([1, 2]).view(2, 1, 1, 1)
    styles = torch.full((4, 1, 3, 3), 0.01) * torch.tensor([1, 2, 3, 4]).view(4, 1, 1, 1)
    sheet = protocol.swap_sheet(contents, styles, lambda c, s: c + s)
    assert sheet.shape == (3, 5, 1, 3, 3)
    assert (sheet[0, 0] == 1).all(), "the corner is white"
    torch.testing.assert_close(sheet[1:, 0], contents)
    torch.testing.assert_close(sheet[0, 1:], styles)
    assert sheet[2, 3].mean().item() == pytest.approx(0.23)


class Oracle(ViewsClassifier):
    """For images that spell out what they show: class, then style."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def predict(self, images):
        return images[:, 0, 0, 0].long(), images[:, 0, 0, 1:]


def test_verdicts_count_pairs_of_different_classes():
    class_a, class_b = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 2, 1, 0])
    truth = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    shown = torch.tensor([0.0, 1.0, 2.0, 0.0])  # A, A, A, B; the first pair is of one class
    images = torch.stack([shown, truth[:, 0]], 1)[:, None, None]
    shares, r2 = protocol.verdicts(Oracle(), images, class_a, class_b, truth)
    assert shares["swap: class A"] == pytest.approx(2 / 3)
    assert shares["swap: class B"] == pytest.approx(1 / 3)
    assert r2 == [1.0]
    with pytest.raises(ValueError, match="A and B of one class"):
        protocol.verdicts(Oracle(), images, class_a, class_a, truth)


def test_levels_are_the_parts_and_what_projectors_make_of_them(digits):
    images = digits.images[:9]
    shape = {"image_shape": digits.image_shape, "latent_dim": 6, "arch": "mlp-small"}
    vae = create("vae", **shape)
    found = protocol.levels(vae, images, 2)
    assert list(found) == ["c", "s", "both"]
    assert torch.equal(torch.cat([found["c"], found["s"]], 1), vae.encode(images))
    assert found["s"].shape == (9, 2)
    byol = create("byol", **shape)
    found = protocol.levels(byol, images, 2)
    with torch.no_grad(), byol.evaluating():
        assert torch.equal(found["z c"], byol.projector(found["both"]))
    parted = create("partitioned_byol", style_dim=1, **shape)
    found = protocol.levels(parted, images, 5)  # its own parts count
    assert found["s"].shape == (9, 1)
    content, styled = parted.project_parts(images)
    assert torch.equal(found["z c"], content) and torch.equal(found["z s"], styled)
