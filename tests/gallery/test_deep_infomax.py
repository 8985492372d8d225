"""gallery/deep_infomax: its objectives against the released formulas and the book's bounds; what
local and global critics see; the two theorems' cells."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chapter_cells import namespace, run, tagged, text
from torch import nn

CHAPTER = "gallery/deep_infomax"
BREAKS = {
    "bounds": [
        ("-F.softplus(-true).mean()", "-F.softplus(true).mean()"),
        ("+ math.log(others.numel())", ""),
        ("torch.logaddexp(true, rest)", "rest"),  # the true pair left out of the denominator
        ("torch.eye(B, dtype=torch.bool", "torch.ones(B, B, dtype=torch.bool"),
    ],
    "jsd": [
        ("-math.log1p(1 / n) - math.log1p(n) / n", "-math.log1p(1 / n) - math.log1p(n)"),
        ("S.fill_diagonal_(math.log(n))", "S.fill_diagonal_(math.log(n) + 1)"),
        ("torch.full((n, n), n**-2.0)", "torch.eye(n)"),
    ],
}
CASES = [(name, change) for name, changes in BREAKS.items() for change in (None, *changes)]


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), steps=2, device="cpu", batch_size=16, width=4)


@pytest.fixture(scope="module")
def S():
    return torch.randn(5, 5, 3, generator=torch.Generator().manual_seed(0)).double()


def test_objectives_are_the_released_formulas(chapter, S):
    """rdevon/DIM, cortex_DIM/functions/dim_losses.py, in loops; without JSD's shift by log 2."""
    B, _, L = S.shape
    sp = lambda t: math.log1p(math.exp(t))  # noqa: E731
    S_ = S.numpy()
    true = [S_[i, i, k] for i in range(B) for k in range(L)]
    others = [S_[i, j, k] for i in range(B) for j in range(B) for k in range(L) if i != j]
    jsd = -np.mean([sp(-t) for t in true]) - np.mean([sp(t) for t in others])
    dv = np.mean(true) - math.log(np.mean(np.exp(others)))
    nce = np.mean(
        [
            S_[i, i, k]
            - math.log(
                math.exp(S_[i, i, k])
                + sum(math.exp(S_[i, j, m]) for j in range(B) if j != i for m in range(L))
            )
            for i in range(B)
            for k in range(L)
        ]
    )
    for name, known in {"jsd": jsd, "dv": dv, "nce": nce}.items():
        assert chapter[name](S).item() == pytest.approx(known, abs=1e-9), name


def test_objectives_rise_with_true_pairs_and_fall_with_others(chapter, S):
    true = torch.eye(5)[..., None].double()
    for name in ("jsd", "dv", "nce"):
        value = chapter[name]
        assert value(S + true) > value(S) > value(S + (1 - true)), name


@pytest.mark.slow
@pytest.mark.parametrize(("name", "change"), CASES)
def test_the_theorems_cells_hold_and_can_fail(name, change):
    source = text(CHAPTER)
    if change:
        assert source.count(change[0]) == 1, change
        source = source.replace(*change)
    space = namespace(source)
    (cell,) = tagged(source, f"theorem:{name}")
    if change is None:
        run(cell, space, name)
        return
    with pytest.raises((AssertionError, RuntimeError)):
        run(cell, space, name)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_local_scores_have_a_place_each_and_global_ones_a_single(chapter, shape):
    images = torch.rand(6, *shape)
    for local in (True, False):
        net = chapter["DeepInfoMax"](shape, local)
        m, conv, fc, z = net(images)
        places = m.shape[2] * m.shape[3] if local else 1
        assert net.scores(m, z).shape == (6, 6, places)
        assert m.shape[2:] == ((4, 4) if shape[1] == 8 else (8, 8))
        assert (conv.shape[1], fc.shape[1], z.shape[1]) == (conv.shape[1], 128, 64)
    widths = [layer.out_channels for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert widths[: 2 if shape[1] == 8 else 3] == ([4, 4] if shape[1] == 8 else [4, 8, 16])


def test_a_local_score_reads_its_own_place_alone(chapter):
    net = chapter["DeepInfoMax"]((1, 8, 8), True).eval()  # else batch norm mixes them
    m, _, _, z = net(torch.rand(4, 1, 8, 8))
    moved = m.clone()
    moved[:, :, 0, 1] += 1
    changed = (net.scores(moved, z) - net.scores(m, z)).abs().amax((0, 1)) > 0
    assert changed.nonzero().flatten().tolist() == [1]


def test_the_critic_is_the_released_one(chapter):
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    for of_maps in (False, True):
        critic = chapter["Critic"](64, of_maps)
        given = x[:, :, None, None].expand(5, 64, 2, 3) if of_maps else x
        kinds = [type(layer).__name__ for layer in critic.modules()]
        assert ("BatchNorm2d" if of_maps else "BatchNorm1d") in kinds
        copied = critic.short(given)[:, :64]  # at first the shortcut is nearly the identity
        assert (copied - given).abs().max() < 0.7
        found = critic(given)
        assert found.shape == ((5, 128, 2, 3) if of_maps else (5, 128))
        if of_maps:  # the last norm is over the units of each place
            torch.testing.assert_close(found.mean(1), torch.zeros(5, 2, 3), atol=1e-5, rtol=0)


def test_the_prior_moves_the_encoder_only_where_it_has_weight(chapter):
    def weights(**options):
        net = chapter["learn"](bound=chapter["jsd"], **options)
        return torch.cat([p.flatten() for p in net.code.parameters()])

    free, again, heavy = weights(weight=0.0), weights(weight=0.0), weights(weight=1.0)
    assert torch.equal(free, again) and not torch.equal(free, heavy)


def test_probes_see_statistics_of_the_images_as_they_are(chapter, monkeypatch):
    net, seen = chapter["learn"](), []

    def probe(*asked, **_):
        seen.append([len(part) for part in asked])
        return SimpleNamespace(score=0.0)

    monkeypatch.setitem(chapter, "few_shot", probe)
    monkeypatch.setattr(chapter["probes"], "linear", probe)
    chapter["examine"](net)
    n, n_test = len(chapter["x"]), len(chapter["x_test"])
    assert seen == [[n, n, n_test, n_test]] * 6
    conv, norm, _ = net.map[0]
    batches = [conv(batch).mean((0, 2, 3)) for batch in chapter["x"].split(500)]
    torch.testing.assert_close(norm.running_mean, torch.stack(batches).mean(0))


def test_a_row_of_scores_is_of_one_code_and_a_column_of_one_image(chapter):
    net = chapter["DeepInfoMax"]((1, 8, 8), True).eval()  # else batch norm mixes them
    m, _, _, z = net(torch.rand(4, 1, 8, 8))
    other = z.clone()
    other[2] += 1
    changed = (net.scores(m, other) != net.scores(m, z)).flatten(1).any(1)
    assert changed.tolist() == [False, False, True, False]
    other = m.clone()
    other[1] += 1
    changed = (net.scores(other, z) != net.scores(m, z)).transpose(0, 1).flatten(1).any(1)
    assert changed.tolist() == [False, True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize(("bound", "local"), [("jsd", False), ("nce", True), ("dv", True)])
def test_training_climbs_its_objective(chapter, monkeypatch, bound, local):
    value, x = chapter[bound], chapter["x"][:64]

    def score(steps):
        monkeypatch.setitem(chapter, "steps", steps)
        net = chapter["learn"](bound=value, local=local)
        with torch.no_grad():
            m, _, _, z = net(x)
            return value(net.scores(m, z)).item()

    assert score(40) > score(0) + 0.1


@pytest.fixture
def nothing(chapter, monkeypatch):
    """An objective that is always 0: what is left is the game with the prior, for 40 steps."""
    monkeypatch.setitem(chapter, "steps", 40)
    return lambda S: 0 * S.sum()


def test_the_discriminator_learns_to_tell_codes_from_the_prior(chapter, nothing):
    net = chapter["learn"](bound=nothing)
    with torch.no_grad():
        made = net(chapter["x"][:200])[3].sigmoid()
        drawn = torch.rand(made.shape, generator=torch.Generator().manual_seed(0))
        assert net.d(drawn).mean() > 0.1 > -0.1 > net.d(made).mean()


@pytest.mark.slow
def test_the_encoder_is_paid_for_being_taken_for_the_prior(chapter, nothing, monkeypatch):
    class Fixed(nn.Module):
        """Takes large codes for the prior's, whatever it is told."""

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, u):
            return 9 * u.mean(1, keepdim=True) - 5 + 0 * self.unused

    class Net(chapter["DeepInfoMax"]):
        def __init__(self, *args):
            super().__init__(*args)
            self.d = Fixed()

    monkeypatch.setitem(chapter, "DeepInfoMax", Net)

    def size(weight):
        net = chapter["learn"](bound=nothing, weight=weight)
        with torch.no_grad():
            return net(chapter["x"][:200])[3].sigmoid().mean().item()

    assert size(1.0) > size(0.0) + 0.1


def test_no_weight_has_two_masters(chapter, nothing, monkeypatch):
    held, adam = [], torch.optim.Adam

    def recorded(parameters, **options):
        parameters = list(parameters)
        held.append({id(p) for p in parameters})
        return adam(parameters, **options)

    monkeypatch.setattr(torch.optim, "Adam", recorded)
    net = chapter["learn"](bound=nothing)
    assert held[0] | held[1] == {id(p) for p in net.parameters()}
    assert held[1] == {id(p) for p in net.d.parameters()} and not held[0] & held[1]


def test_variants_are_what_they_are_called(chapter):
    weights = {"heavy": 10 * chapter["prior_weight"], "free": 0.0}
    for name, options in chapter["VARIANTS"].items():
        place, *rest = name.split("-")
        if place == "untrained":
            assert options == {}
            continue
        assert options["bound"] is chapter[rest[0]]
        assert options.get("local", True) is (place == "local")
        assert options.get("weight") == (weights[rest[1]] if rest[1:] else None), name
