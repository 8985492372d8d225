"""`estimate` on arrays whose information is known in closed form."""

import math
import warnings

import numpy as np
import pytest
import torch

from mdlib import mi
from mdlib.mi import classical

RHO = 0.8
TRUTH = -0.5 * math.log(1 - RHO**2)  # 0.511 nats
QUICK = {"steps": 150, "repeats": 2}


def pairs(n, dim=1, rho=RHO, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, dim))


@pytest.mark.parametrize("method", ["infonce", "nwj", "mine", "js", "smile-5", "interpolated-0.5"])
def test_neural_estimates_are_near_the_truth(method):
    result = mi.estimate(*pairs(4000), method, **QUICK)
    assert result.value == pytest.approx(TRUTH, abs=0.1) and 0 < result.spread < 0.1
    assert float(result) == result.value and result.n == 4000 and result.n_test == 1000
    assert result.ceiling == {"infonce": math.log(1000)}.get(
        method, 1 + math.log(2000) if method == "interpolated-0.5" else math.inf
    )


def test_the_critic_is_a_choice():
    x, y = pairs(4000, dim=2)
    separable = mi.estimate(x, y, critic="separable", **QUICK)
    assert separable.value == pytest.approx(2 * TRUTH, abs=0.2)
    # log r of a Gaussian has squares of x and of y, for which xᵀWy has no place.
    bilinear = mi.estimate(x, y, critic="bilinear", **QUICK)
    assert 0.5 * TRUTH < bilinear.value < separable.value - 0.1


def test_club_is_above():
    result = mi.estimate(*pairs(4000), "club", steps=400)
    assert result.kind == "upper" and result.value > 1.2 * TRUTH
    assert result.value == pytest.approx(RHO**2 / (1 - RHO**2), rel=0.15)


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


def test_several_methods_climb_together():
    x, y = pairs(4000)
    together = mi.climb(x, y, ["js", "infonce"], **QUICK)
    assert list(together) == ["js", "infonce"]
    for method, result in together.items():
        assert result.method == method and result.value == pytest.approx(TRUTH, abs=0.1)
        assert result.ceiling == (math.log(1000) if method == "infonce" else math.inf)
    with pytest.raises(ValueError, match="needs gaussian-conditional and to be alone"):
        mi.climb(x, y, ["infonce", "club"])
    with pytest.raises(ValueError, match="unknown method 'ksg'"):
        mi.climb(x, y, ["ksg"])


def test_independent_arrays_have_none():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2000, 3))
    assert abs(mi.estimate(x, y, **QUICK).value) < 0.05


def test_units_of_the_columns_do_not_matter():
    x, y = pairs(1000)
    scaled = mi.estimate(1e4 * x + 7, y / 1e3, **QUICK)
    assert scaled.value == pytest.approx(mi.estimate(x, y, **QUICK).value, abs=0.01)


def test_an_estimate_at_its_ceiling_warns():
    x, y = pairs(400, dim=8, rho=0.99)  # 15.7 nats, under a ceiling of log 100 = 4.6
    with pytest.warns(mi.CeilingWarning, match="within 1 nat of the largest value that infonce"):
        result = mi.estimate(x, y, critic="separable", **QUICK)
    assert result.at_ceiling and result.value <= math.log(100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not mi.estimate(x, y, "gaussian").at_ceiling


def test_the_seed_decides_everything():
    x, y = pairs(500)
    before = torch.random.get_rng_state()
    first, again = (mi.estimate(x, y, seed=1, **QUICK) for _ in range(2))
    assert first == again and first != mi.estimate(x, y, seed=2, **QUICK)
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_reads_like_a_result():
    text = str(mi.Estimate("infonce", 1.0, 0.02, math.log(64), False, "lower", 256, 64))
    assert text == "1.000 ± 0.020 nats (infonce, N = 256, ceiling 4.16)"


X = np.random.default_rng(0).normal(size=(100, 2))


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (X, X[:50], {}, "x has 100 samples and y 50"),
        (X[:20], X[:20], {}, "given 20 pairs and needs at least 40"),
        (X * np.nan, X, {}, "x holds nan in row 0, column 0"),
        (X, 0 * X, {}, "y is 0.0 in every row of column 0"),
        (X[:, :, None], X, {}, r"x has shape \[100, 2, 1\]"),
        (X, X, {"method": "infonec"}, "infonec.*infonce"),
        (X, X, {"critic": "gaussian-conditional"}, "infonce needs separable, concatenated"),
        (X, X, {"method": "club", "critic": "separable"}, "club needs gaussian-conditional"),
        (X, X, {"steps": 0}, "steps=0"),
        (X, X, {"method": "ksg", "k": 0}, "k is 0"),
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
