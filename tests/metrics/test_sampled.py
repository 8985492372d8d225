"""BetaVAE and FactorVAE scores against NumPy on the very same draws, and the known scores."""

from __future__ import annotations

from functools import partial

import metrics_recipe as recipe
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mdlib.metrics import Rows, beta_vae, factor_vae

FACTORS = recipe.factors(0, 10_000)


class Recorder:
    """A sampler that keeps what it gave: (factor, codes [groups, size, D])."""

    def __init__(self, sampler):
        self.sampler, self.factors, self.rows = sampler, sampler.factors, sampler.rows
        self.given = []

    def __call__(self, factor, groups, size, draw):
        codes = self.sampler(factor, groups, size, draw)
        self.given.append((factor, codes.double().cpu().numpy()))
        return codes


class Rendered:
    """A sampler of new observations: factor j is uniform over 0 … sizes[j] − 1."""

    rows = None

    def __init__(self, encode, sizes):
        self.encode, self.sizes, self.factors = encode, sizes, len(sizes)

    def __call__(self, factor, groups, size, draw):
        shape = (groups, size)
        columns = [torch.randint(values, shape, generator=draw) for values in self.sizes]
        if factor is not None:
            columns[factor] = columns[factor][:, :1].expand(shape)
        codes = torch.as_tensor(self.encode(torch.stack(columns, -1).flatten(0, 1)))
        return codes.float().reshape(groups, size, -1)


def rendered(name: str) -> Rendered:
    """Identity images: new factors, and the code of them with noise of its own."""
    calls = iter(range(10_000))

    def encode(values: torch.Tensor) -> np.ndarray:
        return recipe.codes(name, values.numpy(), noises=1000 + 20 * next(calls))

    return Rendered(encode, recipe.DSPRITES)


def grid_rows() -> Rows:
    grid = np.stack(np.meshgrid(range(2), range(3), indexing="ij"), -1).reshape(-1, 2)
    values = np.tile(grid, (50, 1))
    return Rows(values + np.arange(300)[:, None] * 1e-4, values * [1, 10])


# ---------------------------------------------------------------------------- samplers


def test_groups_agree_in_one_factor_and_in_no_other():
    sizes = (3, 4, 2)
    rows = np.stack([np.random.RandomState(j).randint(v, size=900) for j, v in enumerate(sizes)], 1)
    # Codes that are the factors.
    sampler = Rows(rows, rows)
    draw = torch.Generator().manual_seed(0)
    for factor in (None, 0, 1, 2):
        codes = sampler(factor, 500, 20, draw)
        assert codes.shape == (500, 20, 3) and sampler.factors == 3
        for j, size in enumerate(sizes):
            column = codes[..., j]
            assert bool((column == column[:, :1]).all()) == (j == factor)
            groups = column[:, 0].long().bincount() / 500  # values stay uniform
            assert (groups - 1 / size).abs().max() < 0.09
            assert len(column.unique()) == size


def test_rows_draw_all_rows_of_a_value():
    sampler = Rows(np.arange(12.0)[:, None], np.arange(12)[:, None] % 3)
    codes = sampler(0, 400, 8, torch.Generator().manual_seed(0))
    assert (codes % 3 == codes[:, :1] % 3).all()
    counts = codes.long().flatten().bincount(minlength=12)
    assert counts.min() > 150 and counts.max() < 400  # 267 ± 30: the groups' values vary, too


# ---------------------------------------------------------------------------- against NumPy


def test_beta_vae_is_numpys():
    sampler = Recorder(rendered("rotated"))
    result = beta_vae(sampler, points=300, test_points=200, batch=16)
    features, labels = [], []
    for factor, codes in sampler.given:
        assert codes.shape[1] == 2
        for point in range(len(codes) // 16):
            pairs = codes[16 * point : 16 * (point + 1)]
            features.append(np.mean(np.abs(pairs[:, 0] - pairs[:, 1]), 0))
            labels.append(factor)
    features, labels = np.array(features), np.array(labels)
    assert len(labels) == 500
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(features[:300], labels[:300])
    score = model.score(features[300:], labels[300:])
    assert 0.5 < score < 0.95 and result.score == pytest.approx(score, abs=0.01)
    train = model.score(features[:300], labels[:300])
    assert result.train_score == pytest.approx(train, abs=0.01)
    assert (result.n, result.n_test, result.batch, result.seed) == (300, 200, 16, 0)
    assert result.rows is None


@pytest.mark.parametrize("name", ["rotated", "merged"])
def test_factor_vae_is_numpys(name):
    sampler = Recorder(rendered(name))
    result = factor_vae(sampler, votes=300, test_votes=200, batch=16, variance_samples=1000)
    (none, samples), *voted = sampler.given
    assert none is None and samples.shape[:2] == (1, 1000)
    variance = samples[0].var(0, ddof=1)
    active = [i for i in range(5) if variance[i] ** 0.5 >= 0.05]
    assert result.active.tolist() == active and (len(active) == 4) == (name == "merged")
    votes = []
    for factor, codes in voted:
        for batch in codes:
            ratios = [batch[:, i].var(ddof=1) / variance[i] for i in active]
            votes.append((factor, int(np.argmin(ratios))))
    assert len(votes) == 500
    counts = np.zeros((5, len(active)), int)
    for factor, code in votes[:300]:
        counts[factor, code] += 1
    assert result.votes.tolist() == counts.tolist()
    rule = counts.argmax(0)
    right = [rule[code] == factor for factor, code in votes]
    assert result.train_score == pytest.approx(np.mean(right[:300]))
    assert result.score == pytest.approx(np.mean(right[300:]))
    assert (result.n, result.n_test, result.batch, result.threshold) == (300, 200, 16, 0.05)


# ---------------------------------------------------------------------------- seeded table

TABLE = {  # BetaVAE, FactorVAE
    "perfect": (1.0, 1.0),
    "permuted": (1.0, 1.0),
    "rotated": (0.886, 0.691),
    "noise": (0.200, 0.217),
    "perfect+noise": (1.0, 1.0),
    "duplicated": (1.0, 1.0),
    "merged": (0.836, 0.807),
    "tanh": (1.0, 1.0),
    "planted": (1.0, 1.0),
    "missing": (1.0, 1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_seeded_table(name):
    codes = recipe.codes(name, FACTORS)
    sampler = Rows(codes, FACTORS)
    beta, factor = beta_vae, factor_vae
    if codes.shape[1] > 10:  # fewer points: these are not in doubt
        beta = partial(beta_vae, points=2000, test_points=1000)
        factor = partial(factor_vae, votes=2000, test_votes=1000)
    assert beta(sampler).score == pytest.approx(TABLE[name][0], abs=0.03)
    assert factor(sampler).score == pytest.approx(TABLE[name][1], abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "beta", "factor"),
    [(5, 0.94, 0.807), (10, 0.996, 0.967), (50, 1.0, 1.0), (200, 1.0, 0.999), (1000, 1.0, 0.996)],
)
def test_wide_entangled_codes_saturate_both(d, beta, factor):
    sampler = Rows(recipe.entangled(FACTORS, d).astype(np.float32), FACTORS)
    got = factor_vae(sampler, votes=2000, test_votes=1000).score
    assert got == pytest.approx(factor, abs=0.03)
    assert d < 50 or got >= 0.99
    got = beta_vae(sampler, points=1000, test_points=500).score
    assert got == pytest.approx(beta, abs=0.03)


# ---------------------------------------------------------------------------- invariances, limits


def test_permutation_sign_and_scale():
    codes = recipe.codes("rotated", FACTORS)
    changed = codes[:, [3, 1, 4, 0, 2]] * [2, -1, 0.5, -3, 7] + 100
    one, two = (factor_vae(Rows(z, FACTORS), votes=1000) for z in (codes, changed))
    assert two.score == pytest.approx(one.score, abs=0.02)
    assert torch.equal(two.votes, one.votes[:, [3, 1, 4, 0, 2]])


def test_seeds_repeat_and_differ():
    sampler = grid_rows()
    for score, small in (
        (beta_vae, {"points": 100, "test_points": 90, "batch": 3}),
        (factor_vae, {"votes": 100, "test_votes": 90, "batch": 3}),
    ):
        scores = [score(sampler, **small, seed=seed).score for seed in (0, 0, 1, 2, 3)]
        assert scores[0] == scores[1] and len(set(scores)) > 1


def test_dead_codes_never_vote():
    codes = np.hstack([np.full((10_000, 1), 0.1), recipe.standard(FACTORS)]).astype(np.float32)
    result = factor_vae(Rows(codes, FACTORS), votes=200, test_votes=200, threshold=0)
    assert result.active.tolist() == [1, 2, 3, 4, 5] and result.score > 0.99
    assert result.rows == 10_000
    result = factor_vae(Rows(codes[:, :1], FACTORS), threshold=0)
    assert result.score == result.train_score == 0 and result.votes.shape == (5, 0)
    result = factor_vae(Rows(codes * 0.01, FACTORS))  # all below the study's threshold
    assert result.score == 0 and len(result.active) == 0


def test_large_batches_fit_in_a_call():
    result = beta_vae(grid_rows(), points=20, test_points=10, batch=20_000)
    assert result.score > 0.9


def test_errors():
    values = np.arange(30)[:, None] % [2, 3]
    for score in (beta_vae, factor_vae):
        with pytest.raises(ValueError, match="1 factor, expected at least 2"):
            score(Rows(values, values[:, :1]))
        with pytest.raises(ValueError, match="batch=0"):
            score(Rows(values, values), batch=0)
    with pytest.raises(ValueError, match="batch=1"):
        factor_vae(Rows(values, values), batch=1)
    with pytest.raises(ValueError, match="expected discrete values"):
        Rows(values, values + 0.5)
    with pytest.raises(ValueError, match="2 points miss a factor"):
        beta_vae(Rows(np.tile(values, (1, 2)), np.tile(values, (1, 2))), points=2, batch=2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_agrees():
    codes, factors = torch.tensor(recipe.codes("rotated", FACTORS)), torch.tensor(FACTORS)
    here, there = Rows(codes, factors), Rows(codes.cuda(), factors.cuda())
    one, two = (factor_vae(s, votes=1000, test_votes=1000) for s in (here, there))
    assert torch.equal(one.votes, two.votes) and one.score == two.score
    small = {"points": 500, "test_points": 500}
    assert beta_vae(there, **small).score == pytest.approx(beta_vae(here, **small).score, abs=0.01)
