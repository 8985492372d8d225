"""Vector tasks against plain densities: integrals in one dimension, scipy's densities in more."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import integrate, linalg, special, stats

from mdlib.mi import maps
from mdlib.mi.tasks import TASKS, create, gaussian, names, staircase

# Read from the benchmark's package, in nats; "x" is its Monte-Carlo value, good to three digits.
SPARSE = "multinormal-sparse-{0}-{0}-2-2.0"
BENCHMARK = {
    **{
        name: 0.413339
        for name in (
            "1v1-normal-0.75",
            "normal_cdf-1v1-normal-0.75",
            "wiggly-1v1-normal-0.75",
            "half_cube-1v1-normal-0.75",
            "1v1-bimodal-0.75",
            "swissroll_x-normal_cdf-1v1-normal-0.75",
        )
    },
    "1v1-additive-0.1": 1.709438,
    "1v1-additive-0.75": 0.333333,
    "student-identity-1-1-1": 0.224171,
    "asinh-student-identity-1-1-1": 0.224171,
    "multinormal-dense-2-2-0.5": 0.293893,
    "multinormal-dense-3-3-0.5": 0.413339,
    "multinormal-dense-5-5-0.5": 0.592812,
    "multinormal-dense-25-25-0.5": 1.292184,
    "multinormal-dense-50-50-0.5": 1.624265,
    SPARSE.format(2): 1.021651,
    **{
        prefix + SPARSE.format(dim): 1.021651
        for prefix in ("", "normal_cdf-", "half_cube-", "spiral-", "spiral-normal_cdf-")
        for dim in (3, 5, 25)
    },
    "student-identity-2-2-1": 0.431946,
    "student-identity-2-2-2": 0.193147,
    "student-identity-3-3-2": 0.290922,
    "student-identity-3-3-3": 0.178712,
    "student-identity-5-5-2": 0.448151,
    "student-identity-5-5-3": 0.298544,
    "asinh-student-identity-2-2-1": 0.431946,
    "asinh-student-identity-3-3-2": 0.290922,
    "asinh-student-identity-5-5-2": 0.448151,
}
HIGHER = [name for name in BENCHMARK if "1v1" not in name and "-1-1-1" not in name]


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples(name: str, n: int, seed: int = 0):
    """A sample of the named task in float64, with its log ratios."""
    x, y = (values.double() for values in create(name).sample(n, draw(seed)))
    return x, y, create(name).log_ratio(x, y)


def agrees(values, expected: float, errors: float = 4) -> bool:
    """Whether a mean is within so many standard errors."""
    values = np.asarray(values)
    return abs(values.mean() - expected) < errors * values.std() / math.sqrt(len(values))


# ---------------------------------------------------------------------------- the truth


def test_registry_is_the_benchmark_and_x():
    assert set(names()) == set(TASKS) == {*BENCHMARK, "x"}
    assert len(names()) == 41
    assert all(create(name).name == name for name in names())
    assert len({task.title for task in TASKS.values()}) == 41  # people can tell them apart


@pytest.mark.parametrize("name", BENCHMARK)
def test_information_is_the_benchmarks(name):
    assert create(name).information == pytest.approx(BENCHMARK[name], abs=1e-5)


# Tasks of one dimension: (x, dx/dt, y, dy/dt, latent t) such that integrals over x and y become
# sums over a grid of t. Densities of x and y follow by hand, without any inverse.
T = np.linspace(-6, 6, 800)  # avoids 0, where the half-cube has no density


def wave(t, *waves):
    value = t + sum(a * np.sin(b * t + c) for a, b, c in waves)
    return value, 1 + sum(a * b * np.cos(b * t + c) for a, b, c in waves)


def swiss_roll(u):
    angle = 1.5 * np.pi * (1 + 2 * u)
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], -1) / 21


CDF = (stats.norm.cdf(T), stats.norm.pdf(T))
HALF_CUBE = (T * np.sqrt(np.abs(T)), 1.5 * np.sqrt(np.abs(T)))
OF_NORMAL = {
    "1v1-normal-0.75": ((T, np.ones_like(T)),) * 2,
    "normal_cdf-1v1-normal-0.75": (CDF, CDF),
    "swissroll_x-normal_cdf-1v1-normal-0.75": (CDF, CDF),
    "half_cube-1v1-normal-0.75": (HALF_CUBE, HALF_CUBE),
    "wiggly-1v1-normal-0.75": (
        wave(T, (0.4, 1, 0), (0.2, 1.7, 1), (0.03, 3.3, -2.5)),
        wave(T, (-0.4, 0.4, 0), (0.17, 1.3, 3.5), (0.02, 4.3, -2.5)),
    ),
}


def normal_pair(x, y, correlation):
    """The density of a bivariate normal on the grid x × y."""
    square = x[:, None] ** 2 - 2 * correlation * x[:, None] * y + y**2
    left = 1 - correlation**2
    return np.exp(-square / (2 * left)) / (2 * np.pi * np.sqrt(left))


def check_on_grid(name, x, y, density, of_x, of_y, weight_x, weight_y):
    """Log ratios at every grid point, and their integral over x × y, from plain densities."""
    area = weight_x[:, None] * weight_y
    assert (density * area).sum() == pytest.approx(1, abs=1e-6)
    log_ratio = np.log(density) - np.log(of_x)[:, None] - np.log(of_y)
    integral = (area * density * log_ratio).sum()
    assert create(name).information == pytest.approx(integral, abs=1e-5)
    x, y = (torch.from_numpy(v if v.ndim == 2 else v[:, None]) for v in (x, y))
    ours = create(name).scores(x, y).numpy()
    likely = density * area > 1e-10  # within 5.2σ: Φ⁻¹ is clamped beyond 5.4σ
    assert likely.sum() > 10_000
    np.testing.assert_allclose(ours[likely], log_ratio[likely], atol=1e-5)


@pytest.mark.parametrize("name", OF_NORMAL)
def test_maps_of_a_bivariate_normal(name):
    (x, slope_x), (y, slope_y) = OF_NORMAL[name]
    density = normal_pair(T, T, 0.75) / (slope_x[:, None] * slope_y)
    of_x, of_y = stats.norm.pdf(T) / slope_x, stats.norm.pdf(T) / slope_y
    step = T[1] - T[0]
    if name.startswith("swissroll"):
        x = swiss_roll(x)  # another chart for the same curve: densities along u serve
    check_on_grid(name, x, y, density, of_x, of_y, slope_x * step, slope_y * step)


def test_bimodal():
    def mixture(t, weight, first, second):
        pdf = weight * stats.norm.pdf(t - first) + (1 - weight) * stats.norm.pdf(t - second)
        cdf = weight * stats.norm.cdf(t - first) + (1 - weight) * stats.norm.cdf(t - second)
        return pdf, stats.norm.ppf(cdf)

    x, y = np.linspace(-5.2, 10, 900), np.linspace(-6.2, 8.2, 850)
    (of_x, u), (of_y, v) = mixture(x, 0.3, 0, 5), mixture(y, 0.5, -1, 3)
    copula = normal_pair(u, v, 0.75) / (stats.norm.pdf(u)[:, None] * stats.norm.pdf(v))
    density = copula * of_x[:, None] * of_y
    steps = [np.full_like(t, t[1] - t[0]) for t in (x, y)]
    check_on_grid("1v1-bimodal-0.75", x, y, density, of_x, of_y, *steps)


@pytest.mark.parametrize("name", ["student-identity-1-1-1", "asinh-student-identity-1-1-1"])
def test_student_in_one_dimension(name):
    s = np.linspace(-20, 20, 800)  # x = sinh s reaches the tails of a Cauchy
    x, stretch = np.sinh(s), np.cosh(s)
    density = 1 / (2 * np.pi) * (1 + x[:, None] ** 2 + x**2) ** -1.5
    of_x, weight = stats.cauchy.pdf(x), np.full_like(s, s[1] - s[0])
    if name.startswith("asinh"):
        density, of_x, x = density * stretch[:, None] * stretch, of_x * stretch, s
    else:
        weight = weight * stretch
    check_on_grid(name, x, x, density, of_x, of_x, weight, weight)


def test_crossed_normals():
    t = np.linspace(-7, 7, 700)
    density = (normal_pair(t, t, 0.9) + normal_pair(t, t, -0.9)) / 2
    of_t, step = stats.norm.pdf(t), np.full_like(t, t[1] - t[0])
    check_on_grid("x", t, t, density, of_t, of_t, step, step)
    assert create("x").information == pytest.approx(0.4088, abs=5e-3)  # 10⁵ samples: s.e. .0024


@pytest.mark.parametrize("epsilon", [0.1, 0.75])
def test_additive(epsilon):
    task = create(f"1v1-additive-{epsilon}")
    x, noise = stats.uniform(0, 1), stats.uniform(-epsilon, 2 * epsilon)

    def of_y(t):
        return (x.cdf(t + epsilon) - x.cdf(t - epsilon)) / (2 * epsilon)

    ends, kinks = (-epsilon, 1 + epsilon), [epsilon, 1 - epsilon]
    entropy, _ = integrate.quad(lambda t: special.entr(of_y(t)), *ends, points=kinks)
    assert task.information == pytest.approx(entropy - noise.entropy(), abs=1e-7)
    a, b = np.random.default_rng(0).uniform([0, -1], [1, 2], (2000, 2)).T
    with np.errstate(divide="ignore"):
        inside = of_y(b) > 0
        expected = np.log(noise.pdf(b - a)[inside] / of_y(b)[inside])
    ours = task.log_ratio(torch.tensor(a[:, None]), torch.tensor(b[:, None])).numpy()
    np.testing.assert_allclose(ours[inside], expected, atol=1e-9)
    assert (ours[~inside] == -math.inf).all()
    x = torch.linspace(0, 1, 1001)[:, None]  # pairs on the very edge, then rounded to float32
    assert task.log_ratio(x, (x.double() + epsilon).float()).isfinite().all()


def higher_log_ratio(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The log ratio by scipy's densities, maps undone by hand."""
    dim = x.shape[1]
    if name.startswith("spiral"):
        x, y = unspiral(x, 0, 1), unspiral(y, 1, 2)
    if "normal_cdf" in name:
        x, y = stats.norm.ppf(x), stats.norm.ppf(y)
    if "half_cube" in name:
        x, y = (np.sign(t) * np.abs(t) ** (2 / 3) for t in (x, y))
    if "asinh" in name:
        x, y = np.sinh(x), np.sinh(y)
    if "student" in name:
        dof = int(name[-1])
        both, one = (stats.multivariate_t(np.zeros(d), np.eye(d), df=dof) for d in (2 * dim, dim))
    else:
        if "dense" in name:
            covariance = 0.5 + 0.5 * np.eye(2 * dim)
        else:
            cross = np.zeros((dim, dim))
            cross[0, 0] = cross[1, 1] = 0.8
            covariance = np.block([[np.eye(dim), cross], [cross, np.eye(dim)]])
        both = stats.multivariate_normal(np.zeros(2 * dim), covariance)
        one = stats.multivariate_normal(np.zeros(dim), covariance[:dim, :dim])
    return both.logpdf(np.concatenate([x, y], 1)) - one.logpdf(x) - one.logpdf(y)


def unspiral(x, i, j):
    angle = (x**2).sum(1) / x.shape[1]
    z = (x[:, i] + 1j * x[:, j]) * np.exp(-1j * angle)
    x = x.copy()
    x[:, i], x[:, j] = z.real, z.imag
    return x


@pytest.mark.parametrize("name", HIGHER)
def test_more_dimensions(name):
    x, y, log_ratio = samples(name, 4000)
    expected = higher_log_ratio(name, x.numpy(), y.numpy())
    np.testing.assert_allclose(log_ratio.numpy(), expected, atol=1e-6, rtol=1e-6)
    assert agrees(expected, create(name).information)


CHI_SQUARE_IS_FINITE = [name for name in names() if "student" not in name]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHI_SQUARE_IS_FINITE)
def test_ratio_averages_to_one_over_unrelated_pairs(name):
    task = create(name)
    (x, _), (_, y) = task.sample(20_000, draw(1)), task.sample(20_000, draw(2))
    assert agrees(task.log_ratio(x, y).double().exp(), 1)


# ---------------------------------------------------------------------------- samples and maps


def ks(values, cdf) -> float:
    return stats.kstest(np.asarray(values).ravel(), cdf).pvalue


def test_margins():
    def mixture(weight, first, second):
        return lambda t: (
            weight * stats.norm.cdf(t - first) + (1 - weight) * stats.norm.cdf(t - second)
        )

    x, y, _ = samples("1v1-bimodal-0.75", 3000)
    assert min(ks(x, mixture(0.3, 0, 5)), ks(y, mixture(0.5, -1, 3))) > 1e-3
    x, y, _ = samples("normal_cdf-multinormal-sparse-3-3-2-2.0", 3000)
    assert min(ks(t[:, i], "uniform") for t in (x, y) for i in range(3)) > 1e-3
    for dof in (2, 3):
        x, y, _ = samples(f"student-identity-5-5-{dof}", 3000)
        assert min(ks(t[:, i], stats.t(dof).cdf) for t in (x, y) for i in range(5)) > 1e-3
    x, y, _ = samples("x", 3000)
    assert min(ks(x, "norm"), ks(y, "norm")) > 1e-3
    x, y, _ = samples("1v1-additive-0.1", 3000)
    assert min(ks(x, "uniform"), ks(y - x, stats.uniform(-0.1, 0.2).cdf)) > 1e-3


def test_covariances():
    x, y, _ = samples("multinormal-dense-3-3-0.5", 40_000)
    covariance = torch.cat([x, y], 1).T.cov()
    assert torch.allclose(covariance, 0.5 + 0.5 * torch.eye(6).double(), atol=0.03)
    x, y, _ = samples("multinormal-sparse-3-3-2-2.0", 40_000)
    expected = torch.eye(6).double()
    expected[[0, 1, 3, 4], [3, 4, 0, 1]] = 0.8
    assert torch.allclose(torch.cat([x, y], 1).T.cov(), expected, atol=0.03)
    x, y, _ = samples("x", 40_000)
    assert abs(torch.cat([x, y], 1).T.corrcoef()[0, 1]) < 0.03
    assert torch.cat([x.square(), y.square()], 1).T.corrcoef()[0, 1] == pytest.approx(
        0.81, abs=0.03
    )


def test_spiral_is_a_matrix_exponential():
    base, turned = (
        create("multinormal-sparse-5-5-2-2.0"),
        create("spiral-multinormal-sparse-5-5-2-2.0"),
    )
    for plain, spiralled, (i, j) in zip(
        base.sample(20, draw()), turned.sample(20, draw()), [(0, 1), (1, 2)], strict=True
    ):
        generator = np.zeros((5, 5))
        generator[j, i], generator[i, j] = 1 / 5, -1 / 5
        for x, y in zip(plain.double().numpy(), spiralled.numpy(), strict=True):
            np.testing.assert_allclose(linalg.expm(generator * (x @ x)) @ x, y, atol=1e-5)


MAPS = {
    "cube": (maps.CUBE, lambda t: t**3),
    "half-cube": (maps.HALF_CUBE, lambda t: t * t.abs().sqrt()),
    "asinh": (maps.ASINH, torch.asinh),
    "normal cdf": (maps.NORMAL_CDF, lambda t: torch.from_numpy(stats.norm.cdf(t))),
    "wiggly x": (
        maps.WIGGLY_X,
        lambda t: wave(t.numpy(), (0.4, 1, 0), (0.2, 1.7, 1), (0.03, 3.3, -2.5))[0],
    ),
    "wiggly y": (
        maps.WIGGLY_Y,
        lambda t: wave(t.numpy(), (-0.4, 0.4, 0), (0.17, 1.3, 3.5), (0.02, 4.3, -2.5))[0],
    ),
    "two modes": (maps.two_modes(0.3, 0, 5), None),
    "two modes, downwards": (maps.two_modes(0.5, 3, -1), None),
    "spiral": (maps.spiral(1, 2), None),
    "swiss roll": (maps.NORMAL_CDF.then(maps.SWISS_ROLL), None),
    "chain": (maps.ASINH.then(maps.CUBE), lambda t: torch.asinh(t) ** 3),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_and_their_inverses(name):
    mapping, formula = MAPS[name]
    t = torch.linspace(-5, 5, 1001, dtype=torch.float64)[:, None]
    if name == "spiral":
        t = torch.randn(1000, 4, generator=draw(), dtype=torch.float64)
        assert torch.allclose(mapping.forward(t).norm(dim=1), t.norm(dim=1))
    there = mapping.forward(t)
    assert torch.allclose(mapping.inverse(there), t, atol=1e-7)
    assert torch.allclose(mapping.forward(mapping.inverse(there)), there, atol=1e-9)
    if there.shape == (1001, 1):
        assert (there.diff(dim=0) > 0).all()
    if formula is not None:
        assert torch.allclose(there, torch.as_tensor(formula(t)), atol=1e-12)


def test_far_tails_stay_finite():
    task = create("normal_cdf-1v1-normal-0.75")
    ends = torch.tensor([[0.0], [1.0], [1 - 6e-8]])  # float32 can reach them
    assert task.scores(ends, ends).isfinite().all()


# ---------------------------------------------------------------------------- the Gaussian


@pytest.mark.parametrize(
    ("information", "correlation"),
    [(2, 0.4258), (4, 0.5742), (6, 0.6717), (8, 0.7421), (10, 0.7951)],
)
def test_gaussian(information, correlation):
    task = gaussian(information)
    assert task.information == pytest.approx(information, abs=1e-9)
    x, y = task.sample(20_000, draw())
    assert x.shape == y.shape == (20_000, 20)
    assert (x * y).mean().item() == pytest.approx(correlation, abs=0.005)
    covariance = torch.cat([x, y], 1).T.cov()
    assert (covariance[:20, :20] - torch.eye(20)).abs().max() < 0.05
    assert (covariance[:20, 20:] - correlation * torch.eye(20)).abs().max() < 0.05
    log_ratio = task.log_ratio(x, y)
    by_hand = stats.norm(correlation * x, math.sqrt(1 - correlation**2)).logpdf(y)
    by_hand = (by_hand - stats.norm.logpdf(y)).sum(1)
    np.testing.assert_allclose(log_ratio, by_hand, atol=0.05)  # four digits of ρ
    assert agrees(log_ratio, information)


def test_cubic_is_the_cube_of_the_linear():
    linear, cubic = gaussian(4, dim=5), gaussian(4, dim=5, cubic=True)
    (x, y), (u, v) = linear.sample(500, draw()), cubic.sample(500, draw())
    assert torch.equal(x, u) and torch.allclose(v, y**3, rtol=1e-5)
    assert cubic.information == linear.information
    assert torch.allclose(cubic.scores(u, v), linear.scores(x, y), atol=1e-3)
    assert linear.name != cubic.name


def test_scores_reach_the_optimal_infonce():
    # 1.817 ± .003: InfoNCE with the optimal critic at I = 2, K = 64, 4000 batches of numpy.
    x, y = gaussian(2).sample(600 * 64, draw())
    scores = gaussian(2).scores(x.view(600, 64, 20), y.view(600, 64, 20))
    value = scores.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean().item() + math.log(64)
    assert value == pytest.approx(1.817, abs=0.03)


@pytest.mark.parametrize(
    "name", ["x", "1v1-additive-0.1", "student-identity-2-2-1", SPARSE.format(3)]
)
def test_scores_are_log_ratios_of_all_pairs(name):
    task = create(name)
    x, y = task.sample(7, draw())
    scores = task.scores(x, y[:4])
    assert scores.shape == (7, 4) and scores.dtype == torch.float32
    for i in range(7):
        for j in range(4):
            assert torch.allclose(scores[i, j], task.log_ratio(x[i], y[j]))
    assert torch.equal(task.log_ratio(x[:, None], y[None, :4]), scores)
    assert torch.allclose(task.scores(x[None], y[None])[0].diagonal(), task.log_ratio(x, y))


def test_staircase():
    schedule = staircase(20_000)
    assert Counter(schedule) == dict.fromkeys([2.0, 4.0, 6.0, 8.0, 10.0], 4000)
    assert schedule == sorted(schedule) and schedule[0] == 2.0  # not the 0 of the usual schedule
    assert staircase(7, levels=(3, 1)) == [3.0] * 4 + [1.0] * 3
    assert staircase(1, levels=[5]) == [5.0]
    usual = 2 * np.round(np.linspace(0.5, 5.5 - 1e-9, 20_000))
    assert (usual != schedule).sum() == 1 and usual[0] == 0


# ---------------------------------------------------------------------------- seeds, errors


@pytest.mark.parametrize("name", names())
def test_seeds_shapes_and_types(name):
    task = create(name)
    x, y = task.sample(50, draw(3))
    assert x.dtype == y.dtype == torch.float32 and x.ndim == y.ndim == 2
    again, other = task.sample(50, draw(3)), task.sample(50, draw(4))
    assert torch.equal(x, again[0]) and torch.equal(y, again[1])
    assert not torch.equal(x, other[0]) and not torch.equal(y, other[1])
    dims = [int(part) for part in name.split("multinormal-")[-1].split("-") if part.isdigit()]
    if "multinormal" in name:
        assert [x.shape[1], y.shape[1]] == dims[:2]


def test_no_generator_means_torchs_own():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        x, _ = gaussian(1).sample(3)
        torch.manual_seed(5)
        assert torch.equal(gaussian(1).sample(3)[0], x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda():
    for task in TASKS.values():
        x, y = task.sample(100, torch.Generator("cuda").manual_seed(0))
        scores = task.scores(x, y)
        assert x.is_cuda and y.is_cuda and scores.is_cuda
        assert torch.allclose(scores.cpu(), task.scores(x.cpu(), y.cpu()), atol=1e-5)


def test_errors():
    with pytest.raises(
        ValueError, match=r"unknown task '1v1-normal': did you mean '1v1-normal-0.75'"
    ):
        create("1v1-normal")
    for task in (gaussian(1), create("x"), create("1v1-additive-0.1")):
        with pytest.raises(ValueError, match="n=0: expected a whole number of at least 1"):
            task.sample(0, draw())
    for information in (-1, math.nan, math.inf, 161):
        with pytest.raises(ValueError, match=r"expected 0 to 160 for dim = 20"):
            gaussian(information)
    with pytest.raises(ValueError, match="dim=0"):
        gaussian(1, dim=0)
    with pytest.raises(ValueError, match="4 steps for 5 levels"):
        staircase(4)
    with pytest.raises(ValueError, match="0 levels"):
        staircase(4, levels=())
