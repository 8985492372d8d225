"""gallery/swap_vae: its loss against the released formulas, and its readings."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from chapter_cells import namespace, text

from mdlib.data import neural
from mdlib.evaluation import statistics

CHAPTER = "gallery/swap_vae"


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), steps=2, half=3, batch_size=20, device="cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def wave(frequency, *shape):
    """The inputs of tests/conformance.yaml: a sine, row after row."""
    return torch.sin(frequency * torch.arange(math.prod(shape)).double()).view(shape)


# vae_kits/model.py of nerdslab/SwapVAE: reconstruction_loss (poisson), l2 and kl_divergence of the
# same inputs, run once in float64
RELEASED = {"poisson": 10.136561505658, "cosine": 0.139522770858, "kl": 1.775349013248}


def test_terms_are_the_released_ones(chapter):
    x, rates = (3 * wave(0.4, 5, 6)).abs().round(), 0.2 + wave(0.3, 5, 6).square()
    found = chapter["poisson"](x, rates).mean().item()
    assert found == pytest.approx(RELEASED["poisson"], abs=1e-5)  # theirs adds no 1e-7
    a, b = wave(0.1, 5, 4), wave(0.17, 5, 4)
    found = chapter["losses"].cosine_regression(a, b).mean().item()
    assert found == pytest.approx(RELEASED["cosine"])
    assert chapter["losses"].gaussian_kl(a, b).mean().item() == pytest.approx(RELEASED["kl"])


@pytest.fixture
def frozen(chapter):
    """(variant → a method whose encoder knows 4 views by heart), views, means, log-variances."""
    views = (3 * wave(0.4, 2, 2, 5)).abs().round()
    mean, log_variance = wave(0.21, 4, 6), wave(0.33, 4, 6)

    class Encoder(torch.nn.Module):
        def forward(self, x):
            return torch.cat([mean, log_variance], 1)

    def make(**options):
        torch.manual_seed(0)
        method = chapter["SwapVAE"](5, 3, **options)
        method.encoder = Encoder()
        method.decoder = torch.nn.Linear(6, 5).double()
        return method

    return make, views, mean, log_variance


@pytest.mark.parametrize(
    ("variant", "alpha", "beta"),
    [("swap-vae", 10, 1), ("light", 1, 1), ("no-align", 10, 0)],
)
def test_loss_is_equation_1(chapter, frozen, variant, alpha, beta):
    make, views, mean, log_variance = frozen
    method = make(**chapter["VARIANTS"][variant])
    noise = torch.empty_like(mean).normal_(generator=seeded(3))
    style = mean[:, 3:] + (log_variance[:, 3:] / 2).exp() * noise[:, 3:]
    expected = 0.0
    for b in range(2):
        c, s = mean[2 * b : 2 * b + 2, :3], style[2 * b : 2 * b + 2]
        for i in range(2):
            for content in (c[i], c[1 - i]):
                r = (1 + method.decoder(torch.cat([content, s[i]])).exp()).log()
                expected += (r - views[b, i] * r.log()).sum() / 4
            row = slice(2 * b + i, 2 * b + i + 1)
            m, v = mean[row, 3:], log_variance[row, 3:]
            expected += alpha * 0.5 * (m**2 + v.exp() - 1 - v).sum() / 4
        cosine = c[0] @ c[1] / c[0].norm() / c[1].norm()
        expected += beta * (2 - 2 * cosine) / 2
    found, terms = method.loss(views, seeded(3))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert terms.keys() == {"own", "kl", "alignment"}


@pytest.mark.parametrize(("variant", "alpha"), [("vae", 1), ("beta-vae", 4), ("weak-vae", 0.25)])
def test_a_vae_is_gaussian_in_all_dimensions_and_swaps_nothing(chapter, frozen, variant, alpha):
    make, views, mean, log_variance = frozen
    method = make(**chapter["VARIANTS"][variant])
    noise = torch.empty_like(mean).normal_(generator=seeded(3))
    r = method.decoder(mean + (log_variance / 2).exp() * noise).view(2, 2, 5)
    r = (1 + r.exp()).log()
    own = (r - views * r.log()).sum(-1).mean()
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
    found, _ = method.loss(views, seeded(3))
    torch.testing.assert_close(found, own + alpha * kl, atol=1e-5, rtol=0)


def test_ablations_leave_out_one_term_each(chapter, frozen):
    make, views, _, _ = frozen
    total = {
        name: make(**chapter["VARIANTS"][name]).loss(views, seeded())[0].item()
        for name in ("swap-vae", "no-swap", "no-align", "neither")
    }
    swap = total["swap-vae"] - total["no-swap"]
    align = total["swap-vae"] - total["no-align"]
    assert swap > 0 and align > 0
    assert total["neither"] == pytest.approx(total["swap-vae"] - swap - align)


def test_parts_are_whole_trials_with_all_directions(chapter):
    neurons = neural.simulated(0, trials=10)
    parts = torch.stack(list(chapter["folds"](neurons, seed=3)))
    assert (parts.sum(0) == 1).all()
    assert (parts.view(5, -1, 4) == parts.view(5, -1, 4)[..., :1]).all()
    for part in parts:
        assert (neurons.angle[part] / math.pi * 2).round().long().bincount().tolist() == [8] * 4
    other = torch.stack(list(chapter["folds"](neurons, seed=4)))
    assert not torch.equal(parts, other)


def test_errors_of_angles_go_round_the_circle(chapter):
    angle = torch.tensor([0.1, 6.2, 3.0, -3.0])
    point = torch.stack([angle.cos(), angle.sin()], 1).numpy()
    found = chapter["apart"](3 * point, torch.tensor([6.2, 0.1, 3.0, 3.0]))
    assert found == pytest.approx([0.1 + math.tau - 6.2] * 2 + [0, math.tau - 6], abs=1e-5)


def test_ridge_reads_what_is_linear(chapter):
    neurons = neural.simulated(0, trials=20)
    target = chapter["targets"](neurons)
    assert np.array_equal(target[:, 0], neurons.angle.cos())
    assert np.array_equal(target[:, 2], neurons.phase)
    z = target @ np.random.default_rng(0).normal(size=(3, 4)) + 5
    np.testing.assert_allclose(chapter["ridge"](z, neurons)(z), target, atol=0.02)


def test_swap_costs_of_contents_that_know_the_trial_or_nothing(chapter):
    """Codes (content = the bin's counts, style): a decoder that rebuilds them from content, or
    from a constant."""

    class Method:
        def __init__(self, blind):
            self.blind = blind

        def encode(self, x):
            return torch.cat([x, 0 * x], 1)

        def rates(self, content, style):
            return content.clamp(min=0.1) if not self.blind else torch.ones_like(content)

    trial = torch.arange(400) // 4
    x = torch.poisson(torch.full((100, 3), 5.0), generator=seeded())[trial]
    for blind in (False, True):
        method = Method(blind)
        costs, rates, owner = chapter["swaps"](method, x, trial, method.encode(x))
        torch.testing.assert_close(costs["own"], costs["mate"])
        torch.testing.assert_close(costs["own"], chapter["poisson"](x, method.rates(x, x)))
        torch.testing.assert_close(costs["any"], chapter["poisson"](x, rates))
        assert torch.equal(rates, method.rates(x[owner], x))
        assert (costs["any"].mean() > costs["own"].mean() + 1) is not blind


def test_summary_of_made_bins(chapter):
    a = np.pi / 16
    bins = pd.DataFrame({
        "both": [a, 2.9 * a, 3.1 * a, 20 * a], "phase both": [0, 1, 0, 1], "phase": [0, 1, 0, 1],
        "content": [a] * 4, "phase content": [0.5] * 4, "style": [5 * a] * 4,
        "phase style": [1, 0, 1, 0], "own": [1.0] * 4, "mate": [2.0] * 4, "any": [3, 5, 4, 8],
        "follows content": [a, a, a, 9 * a],
    })  # fmt: skip
    row = chapter["summary"](bins)
    known = {
        "acc both": 0.25, "δ-acc both": 0.5, "phase both": 1, "acc content": 1, "phase content": 0,
        "acc style": 0, "δ-acc style": 0, "phase style": -3, "cost": 1, "gap, nats": 1,
        "swap gap": 0.25, "follows content": 0.75, "split": 1,
    }  # fmt: skip
    assert {key: row[key] for key in known} == pytest.approx(known)


def test_the_interval_over_trials_counts_trials_not_bins(chapter):
    trial = [0, 0, 0, 1, 1, 2]
    a = pd.Series([0.1, 0.1, 2, 0.1, 2, 0.1], trial)
    b = pd.Series([2, 0.1, 2, 2, 2, 0.1], trial)
    found = chapter["over_trials"](a, b)
    assert found == statistics.interval([1 / 3, 1 / 2, 0])


@pytest.mark.parametrize("variant", ["swap-vae", "raw"])
def test_all_readings_of_a_short_training(chapter, variant):
    neurons = neural.simulated(0, trials=30)
    chapter["neurons"], chapter["tested"] = neurons, 2
    bins, codes, held = chapter["examined"](variant)
    assert len(bins) == 2 * 96 and len(codes) == len(held.trial) == 96
    assert set(held.trial.tolist()) < set(bins["trial"]), "codes are of the last part tested"
    row = chapter["summary"](bins)
    assert all(math.isfinite(value) for value in row.values())
    assert ("swap gap" in row) is (variant != "raw")


def test_no_trial_is_on_both_sides(chapter, monkeypatch):
    neurons = neural.simulated(0, trials=10)
    seen = []

    def read(variant, train, test):
        seen.append((set(train.trial.tolist()), set(test.trial.tolist())))
        return pd.DataFrame({"trial": test.trial}), None

    for name, value in {"neurons": neurons, "tested": 5, "read": read}.items():
        monkeypatch.setitem(chapter, name, value)
    bins, _, _ = chapter["examined"]("raw")
    assert sorted(bins["trial"]) == neurons.trial.tolist(), "each bin is tested once"
    for train, test in seen:
        assert not train & test and len(train | test) == 40


def test_the_penalty_of_ridge_is_chosen_over_trials(chapter, monkeypatch):
    neurons, splits = neural.simulated(0, trials=5), []

    class Recorder(chapter["RidgeCV"]):
        def __init__(self, alphas, cv):
            splits.extend(cv)
            super().__init__(alphas, cv=cv)

    monkeypatch.setitem(chapter, "RidgeCV", Recorder)
    chapter["ridge"](neurons.counts.float(), neurons)
    assert len(splits) == 4
    for train, held in splits:
        trials = [set(neurons.trial[rows].tolist()) for rows in (train, held)]
        assert not trials[0] & trials[1]


def test_units_are_chosen_by_training_bins_alone(chapter, monkeypatch):
    neurons = neural.simulated(0, trials=5)
    train, test = (neurons.subset(neurons.trial % 2 == k) for k in (0, 1))
    train.counts[:, 3], test.counts[:, 4] = 0, 0  # silent there
    widths = []

    def ridge(codes, _):
        widths.append(codes.shape[1])
        return lambda z: np.zeros((len(z), 3))

    monkeypatch.setitem(chapter, "ridge", ridge)
    chapter["read"]("raw", train, test)
    assert set(widths) == {99}
    kept = chapter["read"]("raw", train, test)[1]
    assert (kept.std(0) == 0).sum() == 1, "silent in the test bins, and kept"
