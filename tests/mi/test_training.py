"""Critics trained together against critics trained one by one, by hand."""

import math

import pytest
import torch
from torch import nn

from mdlib.mi import bounds, critics
from mdlib.mi.training import CLIMBERS, ESTIMATORS, Ascent, evaluate, train

DIM, RHO = 3, 0.8
TRUTH = -0.5 * DIM * math.log(1 - RHO**2)  # 1.53 nats


def sampler(seed=0):
    generator = torch.Generator().manual_seed(seed)

    def sample(step, n):
        x = torch.randn(n, DIM, generator=generator)
        return x, RHO * x + math.sqrt(1 - RHO**2) * torch.randn(n, DIM, generator=generator)

    return sample


def test_training_together_is_training_one_by_one():
    names = ["infonce", "nwj", "js", "mine"]
    shape = {"hidden": 16, "layers": 1, "embed": 4}
    together = critics.create("separable", DIM, DIM, len(names), **shape)
    start = [p.detach().clone() for p in together.parameters()]
    history = train(together, names, sampler(), steps=30, batch_size=16, lr=1e-2)

    def networks(member):
        """The member's two networks, plainly: g and h."""
        nets, weights = [], iter(start)
        for _ in range(2):
            layers = []
            for _ in range(2):
                weight, bias = next(weights)[member], next(weights)[member, 0]
                linear = nn.Linear(*weight.shape)
                linear.weight.data, linear.bias.data = weight.T.contiguous(), bias
                layers += [linear, nn.ReLU()]
            nets.append(nn.Sequential(*layers[:-1]))
        return nets

    objectives = {"infonce": bounds.infonce, "nwj": bounds.nwj, "js": bounds.jensen_shannon}
    for member, name in enumerate(names):
        g, h = networks(member)
        optimiser = torch.optim.Adam([*g.parameters(), *h.parameters()], lr=1e-2)
        sample, average = sampler(), None
        for step in range(30):
            x, y = sample(step, 16)
            scores = g(x) @ h(y).T
            if name == "mine":
                off = scores[~torch.eye(16, dtype=torch.bool)].exp().mean()
                new = off.detach()
                average = new if average is None else 0.9 * average + 0.1 * new
                loss = -(scores.diagonal().mean() - off / average)
            else:
                loss = -objectives[name](scores)
            value = (bounds.dv if name == "mine" else ESTIMATORS[name].bound)(scores)
            assert history[name, 0].iloc[step] == pytest.approx(value.item(), abs=2e-3), (
                name,
                step,
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def test_a_member_that_diverges_disturbs_no_other():
    names = ["dv", "infonce"]
    critic = critics.create("separable", DIM, DIM, 2, hidden=8)
    with torch.no_grad():
        critic.g[0].weight[0] = math.nan
    history = train(critic, names, sampler(), steps=5)
    assert history["dv"].isna().all().all() and history["infonce"].notna().all().all()


def test_seeds_have_batches_and_weights_of_their_own_and_estimators_share_batches():
    names = ["infonce", "js"]
    critic = critics.create("separable", DIM, DIM, 6, hidden=8)
    seen = []

    def sample(step, n):
        seen.append(n)
        return sampler(step)(step, n)

    history = train(critic, names, sample, steps=2, batch_size=10, seeds=3)
    assert seen == [30, 30] and list(history.columns) == [(n, s) for n in names for s in range(3)]
    # Member (js, 1) sees rows 10 … 19 of the step's 30.
    x, y = sampler(0)(0, 30)
    again = critics.create("separable", DIM, DIM, 6, hidden=8)
    expected = bounds.js(again(x[10:20], y[10:20])[3 + 1])
    assert history["js", 1].iloc[0] == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.slow
def test_lower_bounds_rise_towards_the_truth_and_stay_below_it():
    names = [name for name in CLIMBERS if ESTIMATORS[name].kind == "lower"]
    critic = critics.create("separable", DIM, DIM, len(names), hidden=64, layers=2)
    train(critic, names, sampler(), steps=400, batch_size=64, lr=2e-3)
    values = evaluate(critic, names, sampler(1), batches=20, batch_size=256)
    mean, error = values.mean(), values.std() / 20**0.5
    assert (mean < TRUTH + 4 * error).all(), mean
    top = mean.drop(["js-legacy"], level=0)
    assert (top > 0.7 * TRUTH).all(), mean


@pytest.mark.slow
def test_club_comes_from_above():
    critic = critics.create("gaussian-conditional", DIM, DIM, 1, hidden=32)
    train(critic, ["club"], sampler(), steps=400, lr=5e-3)
    values = evaluate(critic, ["club"], sampler(1), batches=20, batch_size=256)
    exact = DIM * RHO**2 / (1 - RHO**2)
    assert TRUTH < values.mean().item() < 1.1 * exact
    assert values.mean().item() > 0.8 * exact


def test_evaluation_in_blocks_is_evaluation_at_once():
    critic = critics.create("concatenated", DIM, DIM, 1, hidden=8)
    x, y = sampler()(0, 150)
    values = Ascent(critic, ["nwj"]).values(x, y)
    torch.testing.assert_close(values[0], bounds.nwj(critic(x, y)))


def test_every_ceiling_is_the_bounds_own():
    scores = 50 * torch.eye(32, dtype=torch.float64)
    for name, estimator in ESTIMATORS.items():
        if estimator.ceiling(32) < math.inf:
            value = estimator.bound(scores).item()
            assert estimator.ceiling(32) - 1.1 < value <= estimator.ceiling(32) + 1e-9, name


def test_wrong_input_is_refused_before_work():
    critic = critics.create("separable", DIM, DIM, 2)
    with pytest.raises(ValueError, match=r"2 members: expected 1 estimators × 1 seeds"):
        train(critic, ["infonce"], sampler(), steps=1)
    with pytest.raises(ValueError, match=r"infonec.*infonce"):
        train(critic, ["infonec", "nwj"], sampler(), steps=1)
    with pytest.raises(ValueError, match="no estimator"):
        train(critic, [], sampler(), steps=1)
    counts = {"steps": 1, "batch_size": 8, "seeds": 2}
    for name, value in (("steps", 0), ("batch_size", 1), ("batch_size", 8.0), ("seeds", 1.5)):
        with pytest.raises(ValueError, match=f"{name}={value}: expected a whole number"):
            train(critic, ["infonce"], sampler(), **counts | {name: value})
    with pytest.raises(ValueError, match="batches=0: expected a whole number"):
        evaluate(critic, ["infonce"], sampler(), batches=0, seeds=2)
