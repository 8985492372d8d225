"""Each bound against a slow derivation with loops, its ceiling, its truth and its gradient."""

import math

import numpy as np
import pytest
import torch

from mdlib.mi import bounds

BATCH = 7


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(3, BATCH, BATCH, generator=generator, dtype=torch.float64)


def slowly(bound, scores):
    """The bound of each matrix of a stack, from lists of floats."""
    return torch.tensor([bound(matrix.tolist()) for matrix in scores], dtype=torch.float64)


def joint(s):
    return [s[i][i] for i in range(len(s))]


def product(s):
    return [s[i][j] for i in range(len(s)) for j in range(len(s)) if i != j]


def mean(values):
    return sum(values) / len(values)


def softplus(v):
    return math.log(1 + math.exp(v))


def slow_infonce(s):
    rows = [math.exp(s[i][i]) / mean([math.exp(v) for v in s[i]]) for i in range(len(s))]
    return mean([math.log(r) for r in rows])


def slow_nwj(s):
    return mean(joint(s)) - mean([math.exp(v - 1) for v in product(s)])


def slow_dv(s):
    return mean(joint(s)) - math.log(mean([math.exp(v) for v in product(s)]))


def slow_js_objective(s):
    return -mean([softplus(-v) for v in joint(s)]) - mean([softplus(v) for v in product(s)])


def slow_tuba(s, a):
    size = len(s)
    first = mean([math.log(math.exp(s[i][i]) / a[i]) for i in range(size)])
    off = [math.exp(s[i][j]) / a[j] for i in range(size) for j in range(size) if i != j]
    return 1 + first - mean(off)


def slow_smile(s, clip):
    clipped = [min(max(math.exp(v), math.exp(-clip)), math.exp(clip)) for v in product(s)]
    return mean(joint(s)) - math.log(mean(clipped))


def slow_interpolated(s, alpha, a):
    size = len(s)

    def baseline(without, j):
        others = [math.exp(s[i][j]) for i in range(size) if i != without]
        return alpha * mean(others) + (1 - alpha) * a[j]

    pairs = [(i, j) for i in range(size) for j in range(size) if i != j]
    first = mean([s[j][j] - math.log(baseline(k, j)) for k, j in pairs])
    second = mean([math.exp(s[i][j]) / baseline(j, j) for i, j in pairs])
    return 1 + first - second


def slow_leave_one_out(s):
    size = len(s)
    others = [mean([math.exp(s[j][i]) for j in range(size) if j != i]) for i in range(size)]
    return mean([s[i][i] - math.log(others[i]) for i in range(size)])


def slow_known_conditional(s):
    size = len(s)
    everyone = [mean([math.exp(s[j][i]) for j in range(size)]) for i in range(size)]
    return mean([s[i][i] - math.log(everyone[i]) for i in range(size)])


A = [0.3, 1.2, 2.0, 0.7, 0.9, 3.0, 0.1]
LOG_A = torch.tensor(A, dtype=torch.float64).log()
CASES = {
    "infonce": (bounds.infonce, slow_infonce),
    "nwj": (bounds.nwj, slow_nwj),
    "dv": (bounds.dv, slow_dv),
    "tuba": (lambda s: bounds.tuba(s, LOG_A), lambda s: slow_tuba(s, A)),
    "js": (bounds.js, lambda s: slow_tuba(s, [1.0] * BATCH)),
    "js_legacy": (bounds.js_legacy, slow_nwj),
    "jensen_shannon": (bounds.jensen_shannon, slow_js_objective),
    "smile": (lambda s: bounds.smile(s, 1.5), lambda s: slow_smile(s, 1.5)),
    "smile-inf": (lambda s: bounds.smile(s, math.inf), slow_dv),
    "interpolated": (
        lambda s: bounds.interpolated(s, 0.3, LOG_A),
        lambda s: slow_interpolated(s, 0.3, A),
    ),
    "interpolated-1": (
        lambda s: bounds.interpolated(s, 1.0),
        lambda s: slow_interpolated(s, 1.0, [1.0] * BATCH),
    ),
    "leave_one_out": (bounds.leave_one_out, slow_leave_one_out),
    "known_conditional": (bounds.known_conditional, slow_known_conditional),
    "club": (bounds.club, lambda s: mean(joint(s)) - mean(product(s))),
}


@pytest.mark.parametrize("name", CASES)
def test_value_is_that_of_the_slow_derivation(name, scores):
    fast, slow = CASES[name]
    torch.testing.assert_close(fast(scores), slowly(slow, scores))
    torch.testing.assert_close(fast(scores[0]), fast(scores)[0])  # one matrix, or many


@pytest.mark.parametrize(
    "name",
    ["infonce", "nwj", "dv", "tuba", "jensen_shannon", "interpolated", "leave_one_out"],
)
def test_gradient_by_finite_differences(name, scores):
    assert torch.autograd.gradcheck(CASES[name][0], scores.requires_grad_())


@pytest.mark.parametrize("bound", [bounds.js, bounds.js_legacy, lambda s: bounds.smile(s, 1.0)])
def test_js_and_smile_learn_from_the_jensen_shannon_objective(bound, scores):
    scores.requires_grad_()
    (got,) = torch.autograd.grad(bound(scores).sum(), scores)
    (expected,) = torch.autograd.grad(bounds.jensen_shannon(scores).sum(), scores)
    torch.testing.assert_close(got, expected)


def test_club_learns_by_likelihood(scores):
    (got,) = torch.autograd.grad(bounds.club(scores.requires_grad_()).sum(), scores)
    torch.testing.assert_close(got, torch.eye(BATCH, dtype=got.dtype).expand(3, -1, -1) / BATCH)


def test_mine_divides_the_gradient_by_the_running_average(scores):
    scores.requires_grad_()
    log_average = torch.tensor([0.5, 1.0, -0.5], dtype=torch.float64)
    value = bounds.dv(scores, log_average)
    torch.testing.assert_close(value, bounds.dv(scores))
    (got,) = torch.autograd.grad(value.sum(), scores)
    eye = torch.eye(BATCH, dtype=torch.float64)
    pairs = BATCH * (BATCH - 1)
    expected = eye / BATCH - (1 - eye) * scores.exp() / pairs / log_average.exp()[:, None, None]
    torch.testing.assert_close(got, expected)


def test_the_running_average_is_one():
    generator = torch.Generator().manual_seed(1)
    batches = torch.randn(20, BATCH, BATCH, generator=generator, dtype=torch.float64)
    log_average, slow = None, None
    for batch in batches:
        log_average = bounds.running_log_average(log_average, batch, momentum=0.8)
        new = mean([math.exp(v) for v in product(batch.tolist())])
        slow = new if slow is None else 0.8 * slow + 0.2 * new
    assert log_average.item() == pytest.approx(math.log(slow))


# --- ceilings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.1, 1, 10, 100])
def test_ceilings_hold_on_every_batch(scale):
    generator = torch.Generator().manual_seed(2)
    scores = scale * torch.randn(200, 64, 64, generator=generator, dtype=torch.float64)
    scores += scale * torch.eye(64) * 3
    assert (bounds.infonce(scores) <= math.log(64)).all()
    assert (bounds.known_conditional(scores) <= math.log(64)).all()
    for alpha in (0.01, 0.5, 1.0):
        most = bounds.interpolated_ceiling(64, alpha)
        assert (bounds.interpolated(scores, alpha) <= most + 1e-9).all()
    for clip in (1.0, 5.0):
        most = scores.diagonal(dim1=-2, dim2=-1).mean(-1) + clip
        assert (bounds.smile(scores, clip) <= most + 1e-9).all()


def test_infonce_reaches_its_ceiling_and_dv_has_none():
    scores = 1000 * torch.eye(64)
    assert bounds.infonce(scores).item() == pytest.approx(math.log(64), abs=1e-6)
    assert bounds.dv(scores).item() == pytest.approx(1000)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0])
def test_the_ceiling_of_interpolated_is_approached(alpha):
    scores = 600 * torch.eye(64, dtype=torch.float64) - 300  # others far below the baseline of 0
    value = bounds.interpolated(scores, alpha).item()
    most = bounds.interpolated_ceiling(64, alpha)
    exact = math.log(63) if alpha == 1 else 1 + math.log(63 / alpha)
    assert most == pytest.approx(exact) == value


def test_interpolated_survives_scores_that_dominate_in_float32():
    scores = (200 * torch.eye(8)).requires_grad_()
    value = bounds.interpolated(scores, 0.5)
    value.backward()
    assert value.isfinite() and scores.grad.isfinite().all()
    wide = bounds.interpolated(scores.detach().double(), 0.5)
    torch.testing.assert_close(value.detach().double(), wide, rtol=1e-5, atol=0)


# --- truth ----------------------------------------------------------------------------------------


def gaussian(batches, information, dim, size, seed=0):
    """Pairs [batches, size, dim], the matrix of log r, and that of log p(y|x); float64."""
    generator = torch.Generator().manual_seed(seed)
    rho = math.sqrt(1 - math.exp(-2 * information / dim))
    draw = {"generator": generator, "dtype": torch.float64}
    x = torch.randn(batches, size, dim, **draw)
    y = rho * x + math.sqrt(1 - rho**2) * torch.randn(batches, size, dim, **draw)
    # log N(y; ρx, 1 − ρ²) of every pair, with ‖y − ρx‖² from cdist.
    squares = torch.cdist(rho * x, y).square()
    conditional = -squares / (2 * (1 - rho**2)) - dim / 2 * math.log(2 * math.pi * (1 - rho**2))
    marginal = torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(-1)
    return conditional - marginal[:, None], conditional, rho


def error(values):
    return (values.std() / len(values) ** 0.5).item()


def test_with_the_exact_critic_each_lower_bound_stays_below_the_truth_and_the_unbiased_reach_it():
    log_ratio, conditional, _ = gaussian(2000, information=1.0, dim=5, size=32)
    reached = {
        "nwj": bounds.nwj(1 + log_ratio),
        "tuba": bounds.tuba(log_ratio),
        "js": bounds.js(log_ratio),
    }
    for name, values in reached.items():
        assert abs(values.mean().item() - 1) < 4 * error(values), name
    below = {
        "infonce": bounds.infonce(log_ratio),
        "interpolated": bounds.interpolated(log_ratio, 0.5),
        "known_conditional": bounds.known_conditional(conditional),
    }
    for name, values in below.items():
        assert 0.8 < values.mean().item() < 1 + 4 * error(values), name
    assert below["infonce"].mean().item() < 1 - 4 * error(below["infonce"])


def test_known_conditional_and_leave_one_out_make_a_sandwich():
    _, conditional, _ = gaussian(500, information=2.0, dim=5, size=32)
    low, high = bounds.known_conditional(conditional), bounds.leave_one_out(conditional)
    assert (low < high).all()
    assert low.mean() + 4 * error(low) < 2 < high.mean() - 4 * error(high)


def test_exact_club_of_correlated_gaussians_is_jeffreys_divergence():
    _, conditional, rho = gaussian(4000, information=2.0, dim=20, size=16)
    values = bounds.club(conditional)
    jeffreys = 20 * rho**2 / (1 - rho**2)
    assert abs(values.mean().item() - jeffreys) < 4 * error(values)
    assert jeffreys == pytest.approx(4.43, abs=0.005)  # the sheet's value, twice the truth


def test_the_legacy_form_of_js_sits_1_over_e_too_low():
    log_ratio, _, _ = gaussian(400, information=2.0, dim=20, size=64)
    honest, legacy = bounds.js(log_ratio), bounds.js_legacy(log_ratio)
    assert abs(honest.mean().item() - 2) < 4 * error(honest)
    assert abs(legacy.mean().item() - (2 - math.exp(-1))) < 4 * error(legacy)


def test_smile_with_the_exact_critic_exceeds_the_truth():
    log_ratio, _, _ = gaussian(200, information=2.0, dim=20, size=64)
    values = bounds.smile(log_ratio, 1.0)
    assert values.mean() > 2 + 4 * error(values)


def test_club_is_above_where_q_is_nearer_to_the_joint():
    # Exactly, over all pairs of a discrete law: CLUB − I = KL(Q‖q p) − KL(P‖q p), for any q.
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(12)).reshape(3, 4)
    px, py = joint.sum(1), joint.sum(0)
    product = np.outer(px, py)
    information = (joint * np.log(joint / product)).sum()
    signs = set()
    for _ in range(20):
        q = rng.dirichlet(np.ones(4), size=3)
        model = q * px[:, None]
        gap = (product * np.log(product / model)).sum() - (joint * np.log(joint / model)).sum()
        rows = rng.choice(12, p=joint.ravel(), size=(400, 64))
        matrices = torch.tensor(np.log(q)[(rows // 4)[:, :, None], (rows % 4)[:, None, :]])
        values = bounds.club(matrices)
        assert abs(values.mean().item() - information - gap) < 4.5 * error(values)
        signs.add(gap > 0)
    assert signs == {True, False}


def test_the_legacy_gap_is_a_mean_of_exp_f():
    log_ratio, _, _ = gaussian(20, information=2.0, dim=20, size=64)
    for critic in (log_ratio, 0.8 * log_ratio, 1.1 * log_ratio):
        off = ~torch.eye(64, dtype=torch.bool)
        mean_exp = critic.exp()[:, off].mean(1)
        gap = bounds.js(critic) - bounds.js_legacy(critic)
        torch.testing.assert_close(gap, 1 - (1 - math.exp(-1)) * mean_exp)


def test_the_clipped_mean_varies_as_much_as_its_independent_pairs_allow():
    # A critic of x alone: B(B − 1) pairs, and no more than B values.
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(2, (4000, 16, 1), generator=generator).double() * 2 - 1
    scores = (5 * signs).expand(-1, 16, 16)
    off = ~torch.eye(16, dtype=torch.bool)
    measured = scores.clamp(-1, 1).exp()[:, off].mean(1).var().item()
    width = math.exp(1) - math.exp(-1)
    assert width**2 / (4 * 16 * 15) < measured / 5 and measured < width**2 / (4 * 8)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4), (1, 1), (2, 3, 4)])
@pytest.mark.parametrize(
    "bound", [bounds.infonce, bounds.nwj, bounds.dv, bounds.js, bounds.leave_one_out, bounds.club]
)
def test_other_shapes_are_refused(bound, shape):
    with pytest.raises(ValueError, match=r"scores of shape .*expected \[\.\.\., B, B\]"):
        bound(torch.zeros(shape))


def test_alpha_and_clip_are_checked():
    with pytest.raises(ValueError, match="alpha=0"):
        bounds.interpolated(torch.zeros(3, 3), 0.0)
    with pytest.raises(ValueError, match="clip=-1"):
        bounds.smile(torch.zeros(3, 3), -1)
