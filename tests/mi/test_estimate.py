"""`estimate` on arrays whose information is known in closed form."""

import math
import sys
from functools import partial

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from mdlib import mi
from mdlib.mi import classical, tasks
from mdlib.mi import training as bounds_training
from mdlib.mi.inputs import heavy_columns, normal_scores, squashed_columns

RHO = 0.8
TRUTH = -0.5 * math.log(1 - RHO**2)  # 0.511 nats
QUICK = {"steps": 150, "repeats": 2}


def pairs(n, dim=1, rho=RHO, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, dim))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["infonce", "nwj", "mine", "js", "smile-5", "interpolated-0.5"])
def test_neural_estimates_are_near_the_truth(method):
    result = mi.estimate(*pairs(4000), method, **QUICK)
    assert result.value == pytest.approx(TRUTH, abs=0.1) and 0 < result.spread < 0.1
    assert float(result) == result.value and result.n == 4000 and result.n_test == 1000
    assert result.ceiling == {"infonce": math.log(1000)}.get(
        method, 1 + math.log(999 / 0.5) if method == "interpolated-0.5" else math.inf
    )
    assert result.reliable and result.half_rows == pytest.approx(TRUTH, abs=0.1)


def test_the_critic_is_a_choice():
    x, y = pairs(4000, dim=2)
    separable = mi.estimate(x, y, critic="separable", check=False, **QUICK)
    assert separable.value == pytest.approx(2 * TRUTH, abs=0.2)
    # log r of a Gaussian has squares of x and of y, for which xᵀWy has no place.
    bilinear = mi.estimate(x, y, critic="bilinear", check=False, **QUICK)
    assert 0.5 * TRUTH < bilinear.value < separable.value - 0.1


@pytest.mark.slow
def test_club_is_above_for_gaussians_and_below_where_its_family_is_blind():
    result = mi.estimate(*pairs(4000), "club", steps=400, check=False)
    assert result.value == pytest.approx(RHO**2 / (1 - RHO**2), rel=0.15) and result.value > TRUTH
    # y has mean 0 and variance 2 for both values of x, and is normal for one of them only.
    rng = np.random.default_rng(0)
    x, signs, noise = rng.integers(2, size=2000), rng.choice([-1, 1], 2000), rng.normal(size=2000)
    y = np.where(x, signs * math.sqrt(1.98) + math.sqrt(0.02) * noise, math.sqrt(2) * noise)
    blind = mi.estimate(x, y, "club", check=False)
    lower = mi.estimate(x, y, check=False)
    assert blind.value + 3 * blind.spread < lower.value - 3 * lower.spread
    assert result.kind == blind.kind == "neither"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gaussian", "ksg"])
def test_classical_estimates_come_with_a_standard_error(method):
    results = [mi.estimate(*pairs(1000, seed=s), method) for s in range(10)]
    values = [r.value for r in results]
    assert values[0] == getattr(classical, method)(*pairs(1000))
    assert np.mean(values) == pytest.approx(TRUTH, abs=0.03)
    spread = np.mean([r.spread for r in results])
    assert 0.6 < spread / np.std(values) < 1.6  # the jackknife tells what redrawing the data does


def test_options_reach_the_classical_method():
    x, y = pairs(500)
    assert mi.estimate(x, y, "ksg", k=3).value == classical.ksg(x, y, k=3)
    assert mi.estimate(x, y, "histogram", bins=5).value == classical.histogram(x, y, bins=5)
    unbiased = mi.estimate(x, y, "gaussian", unbiased=True).value
    assert unbiased == classical.gaussian(x, y, unbiased=True) < classical.gaussian(x, y)


@pytest.mark.slow
def test_several_methods_climb_together():
    x, y = pairs(4000)
    together = mi.climb(x, y, ["js", "infonce"], **QUICK)
    assert list(together) == ["js", "infonce"]
    for method, result in together.items():
        assert result.method == method and result.value == pytest.approx(TRUTH, abs=0.1)
        assert result.ceiling == (math.log(1000) if method == "infonce" else math.inf)
    with pytest.raises(ValueError, match="needs gaussian-conditional and to be alone"):
        mi.climb(x, y, ["infonce", "club"])
    with pytest.raises(ValueError, match="unknown neural method 'ksg'"):
        mi.climb(x, y, ["ksg"])


def test_independent_arrays_have_none():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2000, 3))
    assert abs(mi.estimate(x, y, **QUICK, check=False).value) < 0.05


@pytest.mark.slow
def test_units_of_the_columns_do_not_matter():
    x, y = pairs(1000)
    scaled = mi.estimate(1e4 * x + 7, y / 1e3, check=False, **QUICK)
    assert scaled.value == pytest.approx(mi.estimate(x, y, check=False, **QUICK).value, abs=0.01)


@pytest.mark.slow
def test_an_estimate_at_its_ceiling_warns():
    x, y = pairs(400, dim=8, rho=0.99)  # 15.7 nats, under a ceiling of log 100 = 4.6
    with pytest.warns(mi.CeilingWarning, match="near the largest value that infonce"):
        result = mi.estimate(x, y, critic="separable", **QUICK)
    assert result.at_ceiling and not result.reliable and result.value <= math.log(100)
    assert not mi.estimate(*pairs(1000), "gaussian").at_ceiling
    # The best that InfoNCE can give for 4 nats and 64 pairs.
    for cells, near, far in ((64, 3.07, 2.0), (5, 0.9, 0.5)):  # of 5, the upper half at least
        for value, is_near in ((near, True), (far, False)):
            found = mi.Estimate("infonce", value, None, math.log(cells), "lower", 256, 64)
            assert found.at_ceiling is is_near


def test_classical_methods_have_ceilings_too():
    x, _ = pairs(500)
    with pytest.warns(mi.CeilingWarning, match="ksg"):
        same = mi.estimate(x, x, "ksg")
    exact = scipy.special.digamma(500) - scipy.special.digamma(10)
    assert same.ceiling == pytest.approx(exact) and same.value == pytest.approx(exact)
    with pytest.warns(mi.CeilingWarning, match="histogram"):
        binned = mi.estimate(x, x, "histogram", bins=5)
    assert binned.ceiling == pytest.approx(math.log(5)) and binned.at_ceiling
    wide = mi.estimate(*pairs(5000, dim=2), "histogram", bins=5, check=False)
    assert wide.ceiling == pytest.approx(math.log(25)) and not wide.at_ceiling
    even = np.arange(500.0) % 5
    most = classical.histogram_ceiling(500, 1, 1, 5, miller_madow=True)
    found = classical.histogram(even, even, 5, miller_madow=True)
    assert found == pytest.approx(most) == math.log(5) + 4 / 1000


def test_x_with_itself_is_infinite_and_has_no_spread():
    x, _ = pairs(200, dim=2)
    result = mi.estimate(x, x, "gaussian")
    assert result.value == math.inf and result.spread is None and result.reliable
    assert str(result) == "inf nats (gaussian, N = 200)"


def test_one_repeat_has_no_spread():
    result = mi.estimate(*pairs(400), steps=20, repeats=1, check=False)
    assert result.spread is None and "±" not in str(result)


@pytest.mark.slow
def test_what_still_moves_is_said_to():
    # 20-dimensional Gaussians at 6 nats: far from the ceiling of log 500, and far too low.
    x, y = tasks.gaussian(6.0).sample(2000, torch.Generator().manual_seed(0))
    with pytest.warns(mi.ReliabilityWarning, match="with half the rows it is"):
        result = mi.estimate(x, y, steps=300, repeats=1)
    assert result.value < 4 and not result.at_ceiling and not result.reliable
    assert result.half_rows < result.value - 0.2
    fewer = mi.estimate(x, y, steps=300, repeats=1, check=False)
    assert fewer.value == result.value and fewer.half_rows is None and not fewer.reliable


def test_reliable_means_that_nothing_moves():
    fixed = partial(mi.Estimate, "dv", 2.0, 0.1, math.inf, "neither", 100, 25)
    assert fixed(1.9, 2.1).reliable and fixed(1.9, None).reliable
    assert not fixed(1.7, 2.0).reliable and not fixed(2.0, 2.3).reliable
    assert not fixed(math.nan, 2.0).reliable and not fixed(None, None).reliable


@pytest.mark.slow
def test_heavy_tails_warn_and_normal_scores_see_through_them():
    x, y = pairs(1000)
    for heavy in (np.exp(4 * x), np.r_[x[:-1], [[1e8]]], 1 / x):
        with pytest.warns(mi.ReliabilityWarning, match=r"x: one value makes up .*normal-scores"):
            mi.estimate(heavy, y, "gaussian", check=False)
    plain = mi.estimate(x, y, "ksg", transform="normal-scores")
    assert plain.value == pytest.approx(TRUTH, abs=0.08)
    for method in ("ksg", "gaussian", "histogram"):  # increasing functions change no rank
        scored = [
            mi.estimate(a, b, method, transform="normal-scores", check=False).value
            for a, b in ((x, y), (np.exp(4 * x), y**3))
        ]
        assert scored[0] == pytest.approx(scored[1], abs=1e-12)
    outlier = mi.estimate(
        np.r_[x[:-1], [[1e8]]], y, transform="normal-scores", check=False, **QUICK
    )
    assert outlier.value == pytest.approx(TRUTH, abs=0.15)
    with pytest.raises(ValueError, match="transform='ranks'"):
        mi.estimate(x, y, transform="ranks")


@pytest.mark.parametrize("n", [40, 300, 3000])
def test_ordinary_columns_are_not_called_heavy(n):
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=(n, 50)), rng.uniform(size=(n, 50)), rng.laplace(size=(n, 50))]
    assert heavy_columns(torch.tensor(np.hstack(columns))) == []
    heavy = heavy_columns(torch.tensor(np.hstack([columns[0], rng.standard_cauchy((n, 20))])))
    assert all(column >= 50 for column, _ in heavy) and len(heavy) >= 4


def test_normal_scores_are_quantiles():
    values = torch.tensor([[3.0, 1.0], [1.0, 1.0], [2.0, 5.0]])
    quantile = scipy.stats.norm.ppf([1 / 6, 0.5, 5 / 6, 1 / 3])
    expected = np.array([[2, 3], [0, 3], [1, 2]])
    assert np.allclose(normal_scores(values), quantile[expected], atol=1e-6)


def test_columns_are_standardised_by_the_rows_that_train():
    # The scale of the test rows must be no part of what is trained: with test rows moved away the
    # training rows, and so the critic's weights, see the same numbers.
    x, y = pairs(400)
    rows = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    test = rows[300:]
    seen = []

    class Spy(bounds_training.Ascent):
        def step(self, x, y):
            seen.append(x.clone())
            return super().step(x, y)

    moved = x.copy()
    moved[test] *= 50
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[mi.Estimate.__module__], "Ascent", Spy)
        for given in (x, moved):
            mi.climb(given, y, ["infonce"], steps=2, repeats=1)
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])


@pytest.mark.slow
def test_the_seed_decides_everything():
    x, y = pairs(500)
    before = torch.random.get_rng_state()
    first, again = (mi.estimate(x, y, seed=1, check=False, **QUICK) for _ in range(2))
    assert first == again and first != mi.estimate(x, y, seed=2, check=False, **QUICK)
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_reads_like_a_result():
    text = str(mi.Estimate("infonce", 1.0, 0.02, math.log(64), "lower", 256, 64))
    assert text == "1.000 ± 0.020 nats (infonce, N = 256, ceiling 4.16)"
    assert " ± 2e-05 " in str(mi.Estimate("dv", 1.0, 2e-5, math.inf, "neither", 8, 2))
    for value, said in ((4e-4, "4e-04"), (-1e-5, "-1e-05"), (0.0, "0.000"), (-0.12, "-0.120")):
        text = str(mi.Estimate("dv", value, 1e-4, math.inf, "neither", 8, 2))
        assert text == f"{said} ± 1e-04 nats (dv, N = 8)"


@pytest.mark.parametrize(("method", "lr"), [("infonce", 1e30), ("nwj", 1.0)])
def test_a_critic_that_diverged_gives_no_value(method, lr):
    """Its first weights were kept, and gave 0.02 nats without a word."""
    x, y = pairs(600)
    with pytest.raises(ValueError, match=f"{method}: a critic diverged.*lower lr="):
        mi.estimate(x, y, method, lr=lr, steps=50, check=False)


def test_columns_whose_squares_are_no_single_floats_keep_their_information():
    x, y = (torch.as_tensor(v).float() for v in pairs(200))
    few = {"steps": 20, "check": False, "repeats": 1}
    found, truth = mi.estimate(x * 1e-40, y, **few), mi.estimate(x, y, **few)
    assert found.value == pytest.approx(truth.value, abs=1e-2)


@pytest.mark.parametrize("method", ["gaussian", "infonce"])
def test_whole_numbers_that_floats_merge_are_refused(method):
    with pytest.raises(ValueError, match=r"y hold \d{16,} at .*within ±2\^53"):
        mi.estimate(X, np.arange(100) + 2**60, method)


X = np.random.default_rng(0).normal(size=(100, 2))


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (X, X[:50], {}, "x has 100 samples and y 50"),
        (X[:20], X[:20], {}, "given 20 pairs and needs at least 40"),
        (X * np.nan, X, {}, r"x hold nan at \[0, 0\]"),
        (X, 0 * X, {}, "y is 0.0 in every row of column 0"),
        (X[:, :, None], X, {}, r"x has shape \[100, 2, 1\]"),
        (X, X, {"method": "infonec"}, "infonec.*infonce"),
        (X, X, {"critic": "gaussian-conditional"}, "infonce needs separable, concatenated"),
        (X, X, {"method": "club", "critic": "separable"}, "club needs gaussian-conditional"),
        (X, X, {"steps": 0}, "steps=0"),
        (X, X, {"method": "ksg", "k": 0}, "k=0: expected a whole"),
    ],
)
def test_bad_input_is_refused(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        mi.estimate(x, y, **options)


def test_an_option_of_another_method_is_refused():
    with pytest.raises(ValueError, match=r"k=3.*infonce.*steps"):
        mi.estimate(X, X, "infonce", k=3)
    with pytest.raises(ValueError, match=r"steps=3.*ksg.*norm"):
        mi.estimate(X, X, "ksg", steps=3)


@pytest.mark.parametrize("method", ["gaussian", "ksg", "histogram", "infonce"])
@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-310])
def test_a_column_whose_squares_are_no_numbers_is_refused(method, scale):
    x = np.random.default_rng(0).normal(size=100)
    with pytest.raises(ValueError, match=r"x spreads over .* in column 0, expected 1e-100 to"):
        mi.estimate(x * scale, x, method)


def test_values_that_stand_for_missing_ones_are_warned_of():
    draw = np.random.default_rng(0)
    x = draw.normal(size=1000)
    y = x + 0.5 * draw.normal(size=1000)
    x[::30] = -999
    with pytest.warns(UserWarning, match="half of column 0 lies within"):
        assert float(mi.estimate(x, y, "gaussian", check=False)) < 0.1


@pytest.mark.parametrize("method", ["gaussian", "histogram"])
def test_a_column_that_varies_in_one_row_has_a_value_without_a_spread(method):
    x = np.r_[np.zeros(399), 1.0]
    with pytest.warns(UserWarning, match="one value makes up"):
        found = mi.estimate(x, np.random.default_rng(0).normal(size=400), method, check=False)
    assert found.spread is None and 0 <= found.value < 0.05


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1}, {"seed": 1.5}, {"lr": "x"}, {"lr": 0}, {"device": "gpu"},
        {"critic_options": {"foo": 1}}, {"critic_options": {"hidden": 0}},
        {"critic_options": {"layers": 1.5}},
    ],
)  # fmt: skip
def test_an_option_that_is_none_is_named(options):
    x = np.random.default_rng(0).normal(size=100)
    ((name, value),) = options.items()
    ((name, value),) = value.items() if isinstance(value, dict) else options.items()
    with pytest.raises(ValueError, match=rf"{name}"):
        mi.estimate(x, x, "infonce", steps=2, **options)


MODULE = sys.modules[mi.Estimate.__module__]


def test_which_rows_train_choose_and_give_the_value():
    x, y = pairs(400)
    draw = torch.Generator().manual_seed(3)
    train, held, test = torch.randperm(400, generator=draw).split([200, 100, 100])
    batch = torch.randint(200, (1, 64), generator=draw)[0]  # the seed's, too
    z = torch.tensor((x - x[train].mean(0)) / x[train].std(0)).float()
    trained, asked, first = [], [], []

    class Spy(bounds_training.Ascent):
        def step(self, x, y):
            trained.append(x[0])
            return super().step(x, y)

        def values(self, x, y, objective=False):
            asked.append((objective, x[0]))
            return super().values(x, y, objective)

        def __init__(self, critic, *given):
            first.append(next(critic.parameters()).detach().clone())
            super().__init__(critic, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "Ascent", Spy)
        for seed in (3, 4):
            mi.climb(x, y, ["js"], steps=1, repeats=1, seed=seed)
    torch.testing.assert_close(trained[0], z[train[batch]])
    (by_objective, choose), (by_value, give) = asked[:2]
    assert by_objective and not by_value
    torch.testing.assert_close(choose, z[held])
    torch.testing.assert_close(give, z[test])
    assert not torch.equal(*first)  # initial weights


@pytest.mark.slow
def test_half_the_steps_are_a_training_of_half_the_steps():
    x, y = pairs(400)
    whole, half = (
        mi.climb(x, y, ["nwj"], critic="separable", lr=1e-3, steps=n, check=n == 200)["nwj"]
        for n in (200, 100)
    )
    assert whole.half_steps == pytest.approx(half.value) != whole.value


def test_the_jackknife_of_a_mean_is_its_standard_error_over_blocks(monkeypatch):
    monkeypatch.setitem(MODULE.CLASSICAL, "gaussian", lambda x, y: x.mean().item())
    x, y = pairs(400)
    found = mi.estimate(x, y, "gaussian")
    block = (torch.arange(400) * 10 // 400)[
        torch.randperm(400, generator=torch.Generator().manual_seed(0))
    ]
    means = [x[(block == b).numpy()].mean() for b in range(10)]
    assert found.value == found.half_rows == pytest.approx(x.mean())
    assert found.spread == pytest.approx(np.std(means, ddof=1) / 10**0.5)


def test_squashed_is_half_of_a_column_within_a_tenth_of_its_deviation():
    def column(far):  # the median is 0, and half of the rest lie within 1
        return torch.tensor([0.0, far, -far] + [1.0, -1.0] * 49).double()[:, None]

    assert squashed_columns(column(35.0)) == []  # a reach of 0.198
    assert squashed_columns(column(100.0)) == [(0, pytest.approx(1 / math.sqrt(200.98)))]
