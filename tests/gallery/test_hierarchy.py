"""What `gallery/hierarchy` defines: the hierarchy and its drawing, the released loss and scores."""

import math

import pytest
import torch
from chapter_cells import broken, check, draws, tagged, text

from mdlib import losses

CHAPTER = "gallery/hierarchy"
RELEASE = "yukunchen113/compvae, 5d893b19"  # the commit whose formulas the frozen numbers are of


# --- the hierarchy (1) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "child", "sibling", "head"),  # the sheet's table, as shares of an entropy
    [(1, 0.519, 0.405, 0.09), (2, 0.343, 0.207, 0.0), (3, 0.089, 0.018, 0.0)],
)
def test_ties_of_the_three_variants(chapter, variant, child, sibling, head):
    factors = chapter["hierarchy"](variant, 20000, draws(7))
    M = chapter["shared"](chapter["labels"](factors).double(), factors, 12)
    assert M[2, 3:7] == pytest.approx([child] * 4, abs=0.04)
    assert M[3, 4] == pytest.approx(sibling, abs=0.04)
    assert M[0, 2] == pytest.approx(head, abs=0.04)
    assert M[[0, 1, 7, 8, 9]][:, [1, 7, 8, 9]].fill_diagonal_(0)[0].max() < 0.01, "independent"


def test_table_of_ties_holds_and_its_check_can_fail(chapter):
    (cell,) = tagged(text(CHAPTER), "hierarchy")
    check(cell, dict(chapter), "hierarchy", None)
    change = ("drawn = hierarchy(v, 20000", "drawn = hierarchy(1, 20000")
    check(broken(cell, change), dict(chapter), "hierarchy", change)


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_factors_are_on_the_released_grid(chapter, variant):
    factors = chapter["hierarchy"](variant, 4000, draws()).double()
    hues = factors[:, [0, *range(2, 9)]]
    assert hues.min() >= 0 and hues.max() < 1
    sizes = 16 if variant == 1 else 11
    for column, values in [(1, sizes), (9, 11), (0, 10), (7, 10), (8, 10)]:
        steps = factors[:, column].mul(values - (column in (1, 9))).round().unique()
        assert steps.tolist() == list(range(values)), f"factor {column}"
    step = {1: 0.2 / 7, 2: 0.1 / 7, 3: 0.2 / 7}[variant]
    apart = (factors[:, 3:7] - factors[:, [2]] + 0.5) % 1 - 0.5  # the way around the circle
    steps = (apart + 0.1) / step if variant == 1 else apart / step
    assert (steps - steps.round()).abs().max() < 1e-3
    # Rounded uniform steps have the variance of uniform ones: (7² + 2) / (12 · 7²) of the width's.
    spread = {1: 0.2 * (51 / (12 * 49)) ** 0.5, 2: 0.1, 3: 0.2}[variant]
    assert apart.std() == pytest.approx(spread, rel=0.05)


# --- the drawing ----------------------------------------------------------------------------------


def changed(chapter, column, value, factors):
    """Where images differ, [N, 64, 64], once one factor is set to a value."""
    moved = factors.clone()
    moved[:, column] = value
    return (chapter["render"](moved) != chapter["render"](factors)).any(1)


@pytest.fixture(scope="module")
def factors(chapter):
    drawn = chapter["hierarchy"](2, 40, draws(3))
    drawn[:, [0, 7, 8]] = torch.tensor([0.1, 0.5, 0.8])  # no surface looks like its neighbours
    drawn[:, 3:7] = torch.tensor([0.3, 0.4, 0.6, 0.9])
    return drawn


def test_the_parent_is_not_drawn(chapter, factors):
    assert not changed(chapter, 2, 0.77, factors).any()


@pytest.mark.parametrize(
    ("column", "surfaces"),  # places in what `shares` gives
    [(8, [0]), (7, [1]), (0, [2, 3]), (3, [4]), (4, [5]), (5, [6]), (6, [7])],
)
def test_a_hue_changes_its_own_surface_and_nothing_else(chapter, factors, column, surfaces):
    seen = changed(chapter, column, 0.21, factors)
    share = chapter["shares"](factors)[:, surfaces].sum(1)
    assert not seen[share < 1e-3].any(), "it changes what is not its own"
    assert seen[share > 0.05].all(), "it leaves some of its own as it was"
    assert seen.flatten(1).any(1).all()


@pytest.mark.parametrize(("column", "value"), [(1, 0.45), (9, 0.85)])
def test_size_and_azimuth_leave_the_background_alone(chapter, factors, column, value):
    moved = factors.clone()
    moved[:, column] = value
    seen = changed(chapter, column, value, factors)
    box = torch.stack([chapter["shares"](f)[:, 2:].sum(1) for f in (factors, moved)]).sum(0)
    assert not seen[box < 1e-3].any()
    assert seen.flatten(1).any(1).all()


def test_surfaces_share_out_every_pixel(chapter):
    share = chapter["shares"](chapter["hierarchy"](1, 50, draws(5)))
    assert share.min() > -1e-5
    assert (share.sum(1) - 1).abs().max() < 1e-5


def test_measures_of_the_box(chapter):
    """Half a side is 18 to 22.5 pixels, a child 3/7 of that wide; turned by 30° at most."""
    factors = torch.zeros(2, 10)
    factors[:, 1], factors[0, 9], factors[1, 9] = 0.8, 0.5, 1.0
    straight, turned = chapter["shares"](factors).sum((2, 3))
    a, cos = 18 + 4.5 * 0.8, math.cos(math.pi / 6)
    child = (3 / 7 * a) ** 2
    assert straight[4:].tolist() == pytest.approx([child] * 4, rel=1e-4)
    assert straight[2].item() == pytest.approx(0, abs=1e-3), "from the front one sees no side"
    assert straight[3].item() == pytest.approx(4 * a**2 - 4 * child, rel=1e-4)
    assert turned[4:].tolist() == pytest.approx([child * cos] * 4, rel=1e-4)
    assert turned[2].item() == pytest.approx(4 * a**2 / 2, rel=1e-4), "sin 30° of a side"
    below = chapter["shares"](factors)[:, 1]
    assert below[:, :40].max() == 0 and below[:, 58:].min() == 1


def test_hues_are_full_colours(chapter):
    found = chapter["colour"](torch.tensor([0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1]))
    wanted = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]]
    torch.testing.assert_close(found, torch.tensor(wanted).float(), atol=1e-5, rtol=0)


# --- the model ------------------------------------------------------------------------------------

LADDER = {"low": 4, "middle": 4, "top": 4}


def test_loss_is_the_released_formula(chapter):
    """Cross-entropy and β · KL of RELEASE (hsr/utils/loss.py, hsr/model/vae.py), with β = 3.

    It moves pixels by 1e-5 away from 0 and 1.
    """
    vae = chapter["Ladder"](LADDER, 3.0)
    k = torch.arange(96.0).reshape(2, 3, 4, 4)
    nll = vae.reconstruction_nll(2 * (0.7 * k).cos(), (1 + k.sin()) / 2).mean()
    assert nll.item() == pytest.approx(42.543714, rel=1e-4)
    vae.after_step(chapter["steps"] - 1, chapter["steps"])
    k = torch.arange(24.0).reshape(2, 1, 12)
    terms = vae.regularisers(((1.3 * k).sin(), 0.5 * (0.9 * k).cos()), None, None)
    found = sum(vae.term_weights[name] * term.item() for name, term in terms.items())
    assert found == pytest.approx(10.160226, rel=1e-5)


@pytest.mark.parametrize(
    ("sizes", "stages"), [({"low": 12}, 1), ({"middle": 12}, 2), ({"top": 12}, 3), (LADDER, 3)]
)
def test_total_loss_adds_its_terms(chapter, sizes, stages):
    vae = chapter["Ladder"](sizes, 3.0)
    for side in (vae.encoder, vae.decoder):
        assert len(side.stages) == stages, "what no latent needs is not there"
        assert side.ways.keys() == sizes.keys()
    vae.after_step(299, 300)
    images = torch.rand(4, 1, 3, 64, 64, generator=draws())
    total, _ = vae.loss(images, draws(1))
    mean, log_variance = vae.posterior(images[:, 0])
    assert mean.shape == log_variance.shape == (4, 12)
    noise = torch.empty(4, 1, 12).normal_(generator=draws(1))[:, 0]
    logits = vae.decoder(mean + (log_variance / 2).exp() * noise)
    nll = losses.bernoulli_nll(logits, images[:, 0]).mean()
    torch.testing.assert_close(total, nll + 3 * losses.gaussian_kl(mean, log_variance).mean())


def test_a_group_reads_no_higher_than_its_rung(chapter):
    """z_1 comes from h_1 alone: it stays where higher stages change, and the others do not."""
    ladder = chapter["Ladder"](LADDER, 1.0).eval()
    images = torch.rand(3, 3, 64, 64, generator=draws())
    before = ladder.posterior(images)[0]
    with torch.no_grad():
        ladder.encoder.stages["middle"][1].bias += 1
    after = ladder.posterior(images)[0]
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:8], after[:, 4:8])
    assert not torch.equal(before[:, 8:], after[:, 8:])


def test_a_group_enters_on_its_rung(chapter):
    """What goes into a stage changes with the groups of its rung and above, and no other."""
    ladder = chapter["Ladder"](LADDER, 1.0).eval()
    ladder.decoder.fade = 1.0
    z = torch.randn(3, 12, generator=draws())
    low, middle = z.clone(), z.clone()
    low[:, :4] += 1
    middle[:, 4:8] += 1
    seen = {}
    for rung, stage in ladder.decoder.stages.items():
        stage.register_forward_hook(lambda _, got, __, rung=rung: seen.update({rung: got[0]}))
    ladder.decoder(z)
    before = dict(seen)
    ladder.decoder(low)
    assert torch.equal(seen["middle"], before["middle"])
    assert not torch.equal(seen["low"], before["low"])
    ladder.decoder(middle)
    assert torch.equal(seen["top"], before["top"])
    assert not torch.equal(seen["middle"], before["middle"])


def test_schedule_in_thirds(chapter):
    """β rises first, with the lower groups shut out; then these fade in. Otherwise α is 1."""
    ladder = chapter["Ladder"](LADDER, 2.0, one_by_one=True).eval()
    plain = chapter["Ladder"](LADDER, 2.0)
    z = torch.randn(3, 12, generator=draws())
    other = z.clone()
    other[:, :8] += 1
    assert torch.equal(ladder.decoder(z), ladder.decoder(other)), "shut out at first"
    for step, kl, fade in [(49, 1, 0), (99, 2, 0), (149, 2, 0.5), (199, 2, 1), (299, 2, 1)]:
        for vae, alpha in ((ladder, fade), (plain, 1)):
            vae.after_step(step, 300)
            assert vae.term_weights["kl"] == pytest.approx(kl)
            assert vae.decoder.fade == pytest.approx(alpha)
    assert not torch.equal(ladder.decoder(z), ladder.decoder(other))


# --- scores ---------------------------------------------------------------------------------------


def matrix(shift, power, children):
    """Numbers in [0, 1) that need no generator."""
    i, j = torch.meshgrid(torch.arange(1, 13), torch.arange(1, 11), indexing="ij")
    M = ((12.9898 * i.double() + 78.233 * j.double() + shift).sin() * 43758.5453).abs() % 1
    M = M**power
    M[:, 3:7] *= children
    return M


@pytest.mark.parametrize(
    ("shift", "power", "children", "parent", "child"),  # of RELEASE, metrics.py
    [
        (0, 1, 1.0, 0.94109153, 0.25958991),
        (1, 4, 1.0, 0.98689007, 0.17390886),
        (2, 4, 0.4, 0.14142015, 0.23024123),
        (3, 4, 1.0, 0.02640046, 0.41143214),
        (5, 8, 0.2, 0.56895696, 0.05027477),
        (6, 2, 0.6, 0.05468819, 0.0),
    ],
)
def test_scores_are_the_released_ones(chapter, shift, power, children, parent, child):
    found = chapter["scores"](matrix(shift, power, children))
    assert found == pytest.approx({"parent": parent, "child": child}, abs=1e-6)


def test_scores_of_codes_that_are_factors(chapter):
    """Without a latent for the parent its score is 0, and without children theirs."""
    factors = chapter["hierarchy"](2, 4000, draws()).double()
    full = chapter["scores"](chapter["shared"](factors, factors))
    assert full["parent"] > 0.99
    seen = chapter["scores"](chapter["shared"](factors[:, [0, 1, *range(3, 10)]], factors))
    assert seen["parent"] == 0 and seen["child"] == pytest.approx(full["child"], abs=1e-9)
    told = chapter["scores"](chapter["shared"](factors[:, [0, 1, 2, 7, 8, 9]], factors))
    assert told["child"] == 0 and told["parent"] == pytest.approx(full["parent"], abs=1e-9)


def test_explained_is_one_for_what_is_known_and_none_for_noise(chapter):
    factors = chapter["hierarchy"](3, 1500, draws()).double()
    assert chapter["explained"](factors[:, [3, 7]], factors[:, 3]) > 0.98
    assert chapter["explained"](factors[:, [7, 8]], factors[:, 3]) < 0.05
