"""gallery/sober_look: its objectives without strength, its grids, and its analysis on made rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from chapter_cells import namespace, text

from mdlib.evaluation import statistics

CHAPTER = "gallery/sober_look"


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), points=100)


@pytest.fixture
def models(chapter):
    """Six models of one seed, whose scores are all 0, .2 … 1, and what else a row has."""
    score = np.arange(6) / 5
    names = {v: score for v in chapter["SCORES"]} | {
        f"{v}, sampled": -score for v in chapter["SCORES"]
    }
    readers = {f"{reader} efficiency": -score for reader in chapter["READERS"]}
    readers |= {f"{reader} 1000": score**2 for reader in chapter["READERS"]}
    free = {"ELBO": score, "reconstruction": score, "UDR": [0, 9, 1, 2, 3, 4], "TC": -score}
    return pd.DataFrame(names | readers | free | {"seed": 7})


def made_rows(chapter, effects, noise, seeds=10, datasets=("sprites",)):
    """Rows of networks: objective, strength, seed and scores = effect[objective][strength] + noise
    drawn anew for each."""
    rng = np.random.default_rng(0)
    rows = [
        {"dataset": d, "objective": f"o{o}", "strength": float(s), "seed": seed}
        | {v: effect + noise * rng.normal() for v in chapter["SCORES"]}
        for d in datasets
        for o, of_objective in enumerate(effects)
        for s, effect in enumerate(of_objective)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


# --- what is trained


@pytest.mark.parametrize(("dataset", "shape"), [("sprites", (1, 16, 16)), ("scenes", (3, 16, 16))])
def test_grids_have_every_combination_once(chapter, dataset, shape):
    images, factors = chapter["grid"](dataset)
    sizes = [len(range(0, *values)) for values in chapter["VALUES"][dataset][0]]
    assert images.shape == (np.prod(sizes), *shape)
    assert len(images) >= 2 * chapter["LABELLED"]
    assert (factors.amax(0) + 1).tolist() == sizes
    assert len(factors.unique(dim=0)) == len(factors)


@pytest.fixture
def losses_of(chapter, monkeypatch):
    """Of an objective at a strength: the loss of its untrained network on 32 images."""
    images = chapter["grid"]("sprites")[0]
    views = images[:32, None].float() / 255
    monkeypatch.setitem(chapter, "images", images)
    monkeypatch.setitem(chapter, "fit", lambda *given, **settings: None)

    def of(objective, strength):
        network = chapter["train"](objective, strength, 3)
        total, terms = network.train().loss(views, torch.Generator().manual_seed(0))
        return total.item(), {name: term.item() for name, term in terms.items()}

    return of


@pytest.mark.parametrize(
    ("objective", "strength", "expected"),
    [
        ("beta_vae", 4.0, lambda t: t["reconstruction"] + 4 * t["kl"]),
        (
            "beta_tcvae",
            4.0,
            lambda t: t["reconstruction"] + t["kl"] + 3 * t["total_correlation"],
        ),
        (
            "dip_vae_i",
            2.0,
            lambda t: t["reconstruction"] + t["kl"] + 2 * t["off_diagonal"] + 20 * t["diagonal"],
        ),
        (
            "dip_vae_ii",
            2.0,
            lambda t: t["reconstruction"] + t["kl"] + 2 * t["off_diagonal"] + 2 * t["diagonal"],
        ),
        ("annealed_vae", 9.0, lambda t: t["reconstruction"] + 10 * t["kl"]),  # C is 0 at first
        (
            "factor_vae",
            6.0,
            lambda t: (
                t["reconstruction"] + t["kl"] + 6 * t["total_correlation"] + t["discriminator"]
            ),
        ),
    ],
)
def test_objectives_are_those_of_the_table(losses_of, objective, strength, expected):
    total, terms = losses_of(objective, strength)
    assert total == pytest.approx(expected(terms), rel=1e-5)


def test_dip_vaes_differ_in_whose_covariance_it_is(losses_of):
    first, second = (losses_of(name, 2.0)[1] for name in ("dip_vae_i", "dip_vae_ii"))
    assert first["off_diagonal"] == pytest.approx(second["off_diagonal"], rel=1e-5)
    # the variance of draws is that of the means and the posteriors' own, near 1 at first
    assert first["diagonal"] > 10 * second["diagonal"]


def test_look_has_the_networks_own_bound(chapter, losses_of, monkeypatch):
    monkeypatch.setitem(chapter, "images", chapter["images"][:300])
    network = chapter["train"]("beta_vae", 4.0, 3)
    last = [m for m in network.encoder.modules() if isinstance(m, torch.nn.Linear)][-1]
    last.bias.data[:3] += 3.0  # a KL that is not next to nothing: 4.5 nats a dimension
    found, mean, z, kls = chapter["look"](network, 3)
    bound = network.elbo(chapter["images"], 4, torch.Generator().manual_seed(1)).mean().item()
    assert found["ELBO"] == pytest.approx(bound, abs=1)
    assert found["KL"] == pytest.approx(kls.sum().item()) and kls[:3].min() > 4
    assert mean.shape == z.shape == (300, 6) and not torch.equal(mean, z)
    assert found["TC"] == pytest.approx(found["Gaussian TC, sampled"], abs=0.5)


@pytest.mark.slow
def test_a_perfect_code_scores_high_and_noise_does_not(chapter, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(3, (2000, 3), generator=generator)
    monkeypatch.setitem(chapter, "factors", factors)
    perfect, of_all = chapter["supervised"](factors.float(), 0)
    noise, guessed = chapter["supervised"](torch.randn(factors.shape, generator=generator), 0)
    assert list(perfect) == chapter["SCORES"]
    for name in ("BetaVAE", "FactorVAE", "MIG", "MED", "DCI"):
        assert perfect[name] > 0.95 > 0.6 > noise[name], name
    assert of_all > 0.99 and guessed < 0.45
    read = chapter["readers"](factors.float(), of_all, 0)
    assert read["trees 1000"] == of_all
    assert read["LR efficiency"] == read["LR 100"] / read["LR 1000"]


# --- what a seed's models say


def test_gain_is_one_for_the_best_and_below_nothing_for_the_worst(chapter, models):
    assert chapter["gain"](models, models["MIG"]) == pytest.approx(1)
    assert chapter["gain"](models, -models["MIG"]) == pytest.approx(-1)  # 0 of mean .5, best 1
    assert chapter["gain"](models, models["UDR"]) == pytest.approx((0.2 - 0.5) / 0.5)


def test_together_knows_which_criteria_are_good_when_small(chapter, models):
    said = chapter["together"](models).set_index(["of", "by"])
    assert (said["seed"] == 7).all()
    gains = said.loc["selection", "gain"]
    assert gains["ELBO"] == gains["TC"] == pytest.approx(1)
    assert gains["reconstruction"] == pytest.approx(-1)
    ranks = said["rank correlation"]
    assert ranks["agreement", "pairs"] == pytest.approx(1)
    assert ranks["agreement", "draws"] == pytest.approx(-1)
    for reader in chapter["READERS"]:
        assert ranks["efficiency", reader] == pytest.approx(-1)
        assert ranks["accuracy", reader] == pytest.approx(1)


# --- across seeds and data sets


@pytest.mark.parametrize(
    ("objective", "strength", "noise"), [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (2, 1, 1)]
)
def test_shares_are_those_of_the_variances(chapter, objective, strength, noise):
    """Effects of variance 1, balanced, so that the only luck is in the noise."""
    signs = np.array([-1, 1, -1, 1, -1, 1])
    effects = objective * signs[:, None] + strength * np.array([-1, 1, -1, 1])
    rows = made_rows(chapter, effects, noise, seeds=200)
    truth = np.square([objective, strength, noise])
    found = chapter["shares"](rows, "MIG")
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, truth / truth.sum(), atol=0.03)


def test_shares_of_noise_are_not_those_of_squares(chapter):
    """Of two seeds a setting, 23 of 47 degrees of freedom are settings', so half of the squares."""
    rows = made_rows(chapter, np.zeros((6, 4)), 1.0, seeds=2)
    rng = np.random.default_rng(1)
    noise = (rng.normal(size=len(rows)) for _ in range(200))
    means = pd.DataFrame([chapter["shares"](rows.assign(MIG=y), "MIG") for y in noise]).mean()
    assert means["seed"] == pytest.approx(1, abs=0.03)
    assert means[["objective", "strength"]].abs().max() < 0.03


def test_jackknife_of_a_mean_is_the_means_of_seeds(chapter):
    rows = made_rows(chapter, [[0, 1], [2, 3]], 1.0)
    found = chapter["jackknife"](rows, lambda part: part["MIG"].mean())
    np.testing.assert_allclose(found, rows.groupby("seed")["MIG"].mean())


def test_jackknife_takes_the_bias_away(chapter):
    """The plain variance of n values has n − 1 of n parts of what it should."""
    rows = pd.DataFrame({"seed": range(10), "x": np.arange(10.0) ** 2})
    found = chapter["jackknife"](rows, lambda part: part["x"].var(ddof=0))
    assert found.mean() == pytest.approx(rows["x"].var(ddof=1))


def test_whose_has_all_three_shares_for_each_seed(chapter):
    rows = made_rows(chapter, [[0, 4], [2, 6]], 0.5)
    found = chapter["whose"](rows)
    assert found.shape == (10, 3)
    np.testing.assert_allclose(found.sum(1), 1)
    shares = pd.DataFrame([chapter["shares"](rows, v) for v in chapter["SCORES"]]).mean()
    np.testing.assert_allclose(found.mean(0), shares, atol=0.01)
    assert found[:, 1].mean() > found[:, 0].mean() > found[:, 2].mean() > 0


@pytest.mark.slow
def test_transfer_is_perfect_between_equals_and_none_between_opposites(chapter):
    effects = np.array([[0.0, 3.0], [1.0, 2.0]])
    same = made_rows(chapter, effects, 0.01, datasets=("scenes", "sprites"))
    assert (chapter["transfer"](same) == 1).all(axis=None)
    turned = same.copy()
    scenes = turned["dataset"] == "scenes"
    turned.loc[scenes, chapter["SCORES"]] *= -1
    found = chapter["transfer"](turned)
    assert (found[["same data, same score", "same data, other score"]] == 1).all(axis=None)
    assert (found[["other data, same score", "other data, other score"]] == 0).all(axis=None)


@pytest.mark.slow
def test_ties_are_beaten_by_half(chapter):
    rows = made_rows(chapter, np.zeros((2, 2)), 0.0, datasets=("scenes", "sprites"))
    assert (chapter["transfer"](rows) == 0.5).all(axis=None)


@pytest.mark.slow
def test_transfer_between_unrelated_scores_is_luck(chapter):
    """Settings of which nothing is true: a chosen one beats half of the others in a new seed."""
    rows = made_rows(chapter, np.zeros((6, 4)), 1.0, datasets=("scenes", "sprites"))
    found = chapter["transfer"](rows)
    assert found.shape == (10, 4)
    assert found.mean().to_numpy() == pytest.approx(0.5, abs=0.12)


def test_judged_says_holds_fails_and_undecided(chapter):
    values = {"high": [0.9, 0.8, 0.85], "low": [0.1, 0.2, 0.15], "wide": [0.0, 0.5, 1.1]}
    found = chapter["judged"]({name: (numbers, 0.5) for name, numbers in values.items()})
    assert found["verdict"].to_dict() == {"high": "holds", "low": "fails", "wide": "undecided"}
    p = [statistics.interval(np.array(v) - 0.5).p for v in values.values()]
    np.testing.assert_allclose(found["p (Holm)"], statistics.holm(p))


@pytest.mark.slow
def test_across_sees_luck_and_settings_that_carry_over(chapter):
    effects = np.array([[0.0, 3.0], [1.0, 2.0]])

    def verdicts(effects, noise):
        rows = made_rows(chapter, effects, noise, datasets=("scenes", "sprites"))
        held = {d: chapter["whose"](part) for d, part in rows.groupby("dataset")}
        return chapter["across"](rows, held)["verdict"]

    steady = verdicts(effects, 0.01)
    assert (steady[["the seed's share, scenes", "the seed's share, sprites"]] == "fails").all()
    luck = verdicts(0 * effects, 1.0)
    assert (luck[["the seed's share, scenes", "the seed's share, sprites"]] == "holds").all()
    assert (luck.filter(like="data,") != "holds").all()
