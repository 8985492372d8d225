"""Probes against scikit-learn, against chance, and against the ways a probe can fool itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from mdlib.evaluation import probes
from mdlib.evaluation.inputs import standardise
from mdlib.evaluation.logistic import logistic_regression
from mdlib.evaluation.probes import CLASS_PROBES, TARGET_PROBES

ALL_PROBES = CLASS_PROBES | TARGET_PROBES


def blobs(n: int, d: int, classes: int, seed: int = 0, spread: float = 1.0):
    """Gaussian classes around random centres, float64: codes [n, d], labels [n]."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    centres = torch.randn(classes, d, generator=draw, dtype=torch.float64)
    return centres[labels] + spread * torch.randn(n, d, generator=draw).double(), labels


def data(name: str, n: int = 240, m: int = 90, seed: int = 0):
    """(train codes, targets, test codes, targets) that suit the probe of that name; float32."""
    x, y = blobs(n + m, 6, 3, seed)
    if name in TARGET_PROBES:
        y = torch.stack([x[:, 0] + 0.3 * x[:, 1], x[:, 2].sin()], 1)
    return x[:n].float(), y[:n], x[n:].float(), y[n:]


def gradient(x, y, w, b, l2):
    residual = ((x @ w + b).softmax(1) - torch.eye(w.shape[1])[y]) / len(x)
    return max((x.T @ residual + l2 * w).abs().max(), residual.sum(0).abs().max())


# ---------------------------------------------------------------------------- linear


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_logistic_regression_is_scikits(classes, l2):
    x, y = blobs(300, 8, classes, spread=2.0)
    (x,) = standardise(x)
    w, b = logistic_regression(x, y, l2, tol=1e-8)
    model = LogisticRegression(C=1 / (len(x) * l2), tol=1e-8, max_iter=10_000).fit(x, y)
    expected = torch.from_numpy(model.predict_proba(x.numpy()))
    assert torch.allclose((x @ w + b).softmax(1), expected, atol=1e-4)
    if classes == 2:
        assert torch.allclose(w[:, 1] - w[:, 0], torch.from_numpy(model.coef_[0]), atol=1e-3)
        assert torch.allclose(w.sum(1), torch.zeros(8).double(), atol=1e-6)
        l2 = 2 * l2
    else:
        theirs = torch.from_numpy(model.coef_.T)
        centred = theirs - theirs.mean(1, keepdim=True)
        assert torch.allclose(w - w.mean(1, keepdim=True), centred, atol=1e-3)
    assert gradient(x, y, w, b, l2) < 1e-7


def test_float32_agrees_with_float64():
    x, y = blobs(400, 10, 4, spread=2.0)
    (x,) = standardise(x)
    w, b = logistic_regression(x, y, 1e-3, tol=1e-8)
    v, c = logistic_regression(x.float(), y, 1e-3)
    assert v.dtype == torch.float32
    assert ((x @ w + b).softmax(1) - (x @ v.double() + c).softmax(1)).abs().max() < 1e-3


@pytest.mark.parametrize("l2", [1e-2, 1e-5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_badly_scaled_and_collinear_codes_converge(l2, dtype):
    x, y = blobs(300, 6, 3, spread=2.0)
    # A copy, a multiple, a constant, a near copy; then scales over six decades.
    x = torch.cat([x, x[:, :2], -3 * x[:, 2:3], torch.ones(300, 1), x[:, :1] + 1e-6 * x[:, 1:2]], 1)
    x = (x * torch.logspace(-3, 3, x.shape[1])).to(dtype)
    w, b = logistic_regression(x - x.mean(0), y, l2, tol=1e-5)  # raw scales
    assert torch.isfinite(w).all()
    (x,) = standardise(x)
    w, b = logistic_regression(x, y, l2, tol=1e-6)
    assert gradient(x.double(), y, w.double(), b.double(), l2) < 2e-6


def test_a_collapsed_code_converges():
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 1, generator=draw)
    y = (z[:, 0] > 0).long() + (z[:, 0] > 1)
    (x,) = standardise(z * torch.rand(200, generator=draw))  # 200 columns, one dimension
    w, b = logistic_regression(x, y, 1e-6)
    assert ((x @ w + b).argmax(1) == y).float().mean() > 0.98


def test_an_unconverged_fit_is_an_error():
    x, y = blobs(100, 5, 3)
    with pytest.raises(RuntimeError, match="expected at most tol"):
        logistic_regression(x, y, 1e-4, tol=1e-9, max_iter=2)


def test_digits():
    digits = load_digits()
    x, y = digits.data, digits.target  # numpy, float64
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1200], order[1200:]
    assert probes.linear(x[train], y[train], x[test], y[test]).score > 0.95


# ---------------------------------------------------------------------------- other probes


def test_ridge_is_scikits():
    x, y, new, truth = (t.double() for t in data("ridge"))
    for l2 in (1e-4, 1e-1, 10.0):
        result = probes.ridge(x, y, new, truth, penalties=[l2])
        a, b = standardise(x, new)
        model = Ridge(alpha=len(x) * l2).fit(a, y)
        expected = torch.from_numpy(model.predict(b.numpy()))
        assert torch.allclose(result.predictions, expected, atol=1e-8)
        assert result.score == pytest.approx(metrics.r2_score(truth, expected), abs=1e-8)
    assert torch.allclose(
        result.per_target,
        torch.from_numpy(metrics.r2_score(truth, expected, multioutput="raw_values")),
    )


def test_ridge_chooses_for_each_column():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(260, 100, generator=draw)
    noise = torch.randn(260, generator=draw)
    y = torch.stack([x[:, 0], 0.3 * x[:, 0] + noise], 1)
    result = probes.ridge(x[:130], y[:130], x[130:], y[130:])
    assert result.chosen[0] < result.chosen[1]
    assert result.per_target[0] > 0.99
    one = probes.ridge(x[:130], y[:130, 1], x[130:], y[130:, 1])
    assert one.chosen == result.chosen[1] and one.predictions.shape == (130,)
    assert torch.allclose(one.predictions, result.predictions[:, 1])


@pytest.mark.parametrize("k", [1, 5, 15])
def test_knn_is_scikits(k):
    x, y, new, truth = data("knn")
    x, new = x.double(), new.double()
    a, b = standardise(x, new)
    result = probes.knn(x, y, new, truth, neighbours=[k])
    model = KNeighborsClassifier(k).fit(a, y)
    assert (result.predictions.numpy() == model.predict(b.numpy())).all()
    _, y, _, truth = data("ridge")
    result = probes.knn_regression(x, y, new, truth, neighbours=[k])
    model = KNeighborsRegressor(k).fit(a, y)
    assert np.allclose(result.predictions.numpy(), model.predict(b.numpy()), atol=1e-12)


@pytest.mark.parametrize("name", ["knn", "knn_regression"])
def test_chunks_change_nothing(name):
    whole = ALL_PROBES[name](*data(name))
    parts = ALL_PROBES[name](*data(name), block_bytes=10_000)  # ten rows at a time
    assert parts.chosen == whole.chosen and torch.equal(parts.predictions, whole.predictions)


def test_equal_votes_go_to_the_lowest_label():
    x = torch.tensor([[0.0], [2.0]]).repeat(4, 1)
    y = torch.tensor([7, 3]).repeat(4)
    new = torch.tensor([[0.9], [1.1]])
    result = probes.knn(x, y, new, torch.tensor([3, 3]), neighbours=[50])  # more than there are
    assert result.predictions.tolist() == [3, 3]


def test_mixture_finds_well_separated_classes_whatever_their_names():
    x, y = blobs(300, 4, 4, spread=0.1)
    names = torch.tensor([30, -2, 5, 11])[y]
    result = probes.mixture(x[:200], names[:200], x[200:], names[200:])
    assert result.score == result.nmi == result.ari == 1.0


def test_mixture_scores_are_scikits():
    x, y = blobs(400, 4, 3, spread=1.2)
    result = probes.mixture(x[:300], y[:300], x[300:], y[300:])
    assert 0.5 < result.score < 1
    pair = y[300:], result.predictions
    assert result.nmi == pytest.approx(metrics.normalized_mutual_info_score(*pair))
    assert result.ari == pytest.approx(metrics.adjusted_rand_score(*pair))


# ---------------------------------------------------------------------------- the protocol


def test_standardise_uses_train_only_and_leaves_constants_at_zero():
    train = torch.tensor([[1.0, 0.1, 1e6], [3.0, 0.1, 1e6 + 2]]).repeat(500, 1)
    other = torch.tensor([[5.0, 9.0, 1e6 + 4]])
    before = train.clone()
    a, b = standardise(train, other)
    assert torch.allclose(a[:2], torch.tensor([[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]))
    assert torch.allclose(b, torch.tensor([[3.0, 0.0, 3.0]]))
    assert torch.equal(train, before)


@pytest.mark.parametrize(
    ("scale", "kind"),
    [(1e-40, "float32"), (1e20, "float32"), (1e-160, "float64"), (1e160, "float64")],
)
def test_columns_whose_squares_are_no_numbers_are_standardised(scale, kind):
    train = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)).to(getattr(torch, kind))
    truth = standardise(train, train[:9])
    found = standardise(train * scale, train[:9] * scale)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(found, truth, strict=True))
    dead, far = standardise(0 * train[:, :1] + scale, train[:, :1] * 1e30)
    assert not dead.any() and not far.any()
    _, far = standardise(train * 1e-30, train * 1e30)
    assert far.abs().amax() == 2.0**50  # a number still, and so is its square


def test_powers_of_two_round_nothing():
    train = 3 + torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    for power in (-100, -30, 30, 90):
        assert torch.equal(standardise(train * 2.0**power)[0], standardise(train)[0])


@pytest.mark.parametrize("name", ["linear", "knn", "mlp"])
@pytest.mark.parametrize("scale", [1e-40, 1e30])
def test_one_odd_column_ruins_no_other(name, scale):
    """A column of 1e-40 beside good ones made the linear probe run for ever."""
    x, y, new, truth = data(name)
    columns = torch.tensor([1, 1, scale, 1, 1, 1])
    found = ALL_PROBES[name](x * columns, y, new * columns, truth)
    assert found.score == pytest.approx(ALL_PROBES[name](x, y, new, truth).score, abs=0.02)


def test_codes_without_squares_are_refused_by_logistic_regression():
    x, y, _, _ = data("linear")
    with pytest.raises(ValueError, match=r"codes reach .*e\+30 in column 2, .*float32 numbers"):
        logistic_regression(x * torch.tensor([1, 1, 1e30, 1, 1, 1]), y, 0.1)


@pytest.mark.parametrize("name", TARGET_PROBES)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_targets_may_have_any_size(name, scale):
    x, y, new, truth = data(name)
    found = ALL_PROBES[name](x, y * scale, new, truth * scale)
    plain = ALL_PROBES[name](x, y, new, truth)
    assert found.score == pytest.approx(plain.score) and found.chosen == plain.chosen
    assert torch.allclose(found.predictions / scale, plain.predictions)


@pytest.mark.parametrize("name", ALL_PROBES)
def test_test_data_choose_nothing(name):
    x, y, new, truth = data(name)
    first = ALL_PROBES[name](x, y, new, truth)
    # Other test codes, the old ones among them, and other targets: same choice, same predictions.
    more = torch.cat([new, 100 * new + 3])
    second = ALL_PROBES[name](x, y, more, torch.cat([truth.flip(0), truth]))
    assert second.chosen == first.chosen and second.held_out == first.held_out
    if name in TARGET_PROBES:
        assert torch.allclose(second.predictions[: len(new)], first.predictions)
    else:
        assert torch.equal(second.predictions[: len(new)], first.predictions)


@pytest.mark.parametrize("name", CLASS_PROBES)
def test_random_labels_give_chance(name):
    draw = torch.Generator().manual_seed(1)
    x, y = torch.randn(900, 5, generator=draw), torch.randint(3, (900,), generator=draw)
    score = CLASS_PROBES[name](x[:300], y[:300], x[300:], y[300:]).score
    assert abs(score - 1 / 3) < 4 * (1 / 3 * 2 / 3 / 600) ** 0.5


@pytest.mark.parametrize("name", ALL_PROBES)
def test_a_good_code_scores_well_and_seeds_repeat(name):
    given = data(name)
    copies = [t.clone() for t in given]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (ALL_PROBES[name](*given, seed=3) for _ in range(2))
    assert first.score > 0.75
    assert first.score == second.score and torch.equal(first.predictions, second.predictions)
    assert first.chosen == second.chosen and first.held_out == second.held_out
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()
    assert all(torch.equal(a, b) for a, b in zip(given, copies, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_PROBES)
@pytest.mark.parametrize("frozen", [torch.no_grad, torch.inference_mode])
def test_the_encoder_is_left_as_it_was(name, frozen):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5)).eval()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    x, y, new, truth = data(name, 120, 60)
    with frozen():
        ALL_PROBES[name](encoder(x), y, encoder(new), truth)
    # Without no_grad: the probe itself must not send gradients into the encoder.
    ALL_PROBES[name](encoder(x), y, encoder(new), truth)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert all(p.grad is None for p in encoder.parameters())


def test_every_class_is_held_out_and_fitted():
    seen = []

    def fit(x, y, new, grid):
        seen.append((y.bincount().tolist(), len(new)))
        return [torch.zeros(len(new), dtype=torch.int64) for _ in grid]

    y = torch.tensor([4] * 2 + [9] * 10 + [6] * 20)
    result = probes._classify(fit, torch.rand(32, 2), y, torch.rand(3, 2), y[:3], 0, ["a", "b"])
    assert seen == [([1, 16, 8], 7), ([2, 20, 10], 3)]
    assert result.chosen == "a" and result.predictions.tolist() == [4, 4, 4]  # ties: the earlier


def test_narrow_codes_and_read_only_arrays():
    x, y, new, truth = data("linear")
    half = probes.linear(x.half(), y.to(torch.uint8), new.half(), truth)
    assert half.score > 0.75
    array = np.frombuffer(x.numpy().tobytes(), np.float32).reshape(x.shape)
    result = probes.linear(array, y.numpy(), new.numpy(), truth.numpy())
    assert torch.equal(result.predictions, probes.linear(x, y, new, truth).predictions)


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", CLASS_PROBES)
def test_class_errors(name):
    probe = CLASS_PROBES[name]
    x, y, new, truth = data(name, 60, 30)
    broken, single = x.clone(), y.clone()
    broken[4, 2], single[7] = float("nan"), 5
    cases = {
        "train targets have shape": (x, y[1:], new, truth),
        "test targets have shape": (x, y, new, truth[1:]),
        r"train codes hold nan at \[4, 2\]": (broken, y, new, truth),
        "test codes hold inf": (x, y, new.abs() / 0, truth),
        "flatten": (x[:, :, None], y, new, truth),
        "6 features and test codes 5": (x, y, new[:, :5], truth),
        r"test classes \[8\] are not in training": (x, y, new, torch.where(truth == 1, 8, truth)),
        "expected at least 2 classes": (x, 0 * y + 3, new, 0 * truth + 3),
        "class 5 has 1 training sample": (x, single, new, truth),
        "expected integer classes": (x, y.float(), new, truth),
    }
    for message, given in cases.items():
        with pytest.raises(ValueError, match=message):
            probe(*given)


@pytest.mark.parametrize("name", TARGET_PROBES)
def test_target_errors(name):
    probe = TARGET_PROBES[name]
    x, y, new, truth = data(name, 60, 30)
    flat, broken = y.clone(), y.clone()
    flat[:, 1], broken[3, 1] = 2.0, float("inf")
    cases = {
        r"train targets of column \[1\] never vary": (x, flat, new, truth),
        r"test targets of column \[1\] never vary": (x, y, new, flat[:30]),
        r"train targets hold inf at \[3, 1\]": (x, broken, new, truth),
        "expected as many columns": (x, y, new, truth[:, :1]),
        "expected at least 4": (x[:3], y[:3], new, truth),
        "test targets have shape": (x, y, new, truth[:9]),
    }
    for message, given in cases.items():
        with pytest.raises(ValueError, match=message):
            probe(*given)


def test_grid_errors():
    with pytest.raises(ValueError, match="penalties is"):
        probes.linear(*data("linear"), penalties=[])
    with pytest.raises(ValueError, match="positive finite"):
        probes.ridge(*data("ridge"), penalties=[0.0])
    with pytest.raises(ValueError, match="positive whole"):
        probes.knn(*data("knn"), neighbours=[1.5])


@pytest.mark.parametrize("name", [*CLASS_PROBES, *TARGET_PROBES])
@pytest.mark.parametrize("seed", [1.5, 1.0, "1", None, True, -1])
def test_every_probe_refuses_a_seed_that_is_none(name, seed):
    probe = (CLASS_PROBES | TARGET_PROBES)[name]
    with pytest.raises(ValueError, match=f"seed={seed!r}: expected a whole number"):
        probe(*data(name), seed=seed)


@pytest.mark.parametrize(
    ("name", "option", "values", "message"),
    [
        ("linear", "tol", ["a", 0, -1.0, None], "a number above 0"),
        ("mlp", "hidden", [0, 1.5, "8"], "a whole number of at least 1"),
        ("mlp", "batch_size", [0, 1.5, None], "a whole number of at least 1"),
        ("mlp", "lr", ["a", 0], "a number above 0"),
        ("mlp", "weight_decay", ["a", -1], "0 or a number above it"),
        ("knn", "block_bytes", [0, "a"], "a whole number of at least 1"),
        ("knn_regression", "block_bytes", [0, 1.5], "a whole number of at least 1"),
    ],
)
def test_settings_without_sense_are_refused_by_name(name, option, values, message):
    probe = (CLASS_PROBES | TARGET_PROBES)[name]
    for value in values:
        with pytest.raises(ValueError, match=f"{option}={value!r}: expected {message}"):
            probe(*data(name), **{option: value})


def test_the_mlp_is_no_linear_map_and_its_weights_may_decay_to_none():
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(1200, 2, generator=draw) * 2 - 1
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).long()  # exclusive or
    split = x[:800], y[:800], x[800:], y[800:]
    assert probes.linear(*split).score < 0.6
    assert probes.mlp(*split, lr=1e-2).score > 0.95
    # AdamW multiplies weights by 1 − lr · weight_decay before each step: here by 0.
    none = probes.mlp(*split, epochs=[1], lr=1e-6, weight_decay=1e6)
    assert len(none.predictions.unique()) == 1
