"""MoCo's queue and slow copy, SwAV's prototypes: what each step does to them, and in training.

Beside the authors' own code they stand in test_conformance.py.
"""

import copy
import math

import numpy as np
import pytest
import torch
from method_tools import check_resume, fall, for_digits, train
from torch import nn

from mdlib import data, losses, methods

SHAPE = (1, 8, 8)


def make(name, **options):
    settings = {"latent_dim": 6, "arch": "mlp-small", "head_hidden": 16, "head_dim": 5}
    return methods.create(name, image_shape=SHAPE, **settings | options)


def random_views(images=20, members=2, seed=0):
    return torch.rand(images, members, *SHAPE, generator=torch.Generator().manual_seed(seed))


def unit(x):
    return nn.functional.normalize(x, dim=1)


# --- MoCo -------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [2, 3])
def test_moco_asks_each_view_for_the_keys_of_all_others(members):
    method, views = make("moco", queue_size=7, temperature=0.3), random_views(members=members)
    with torch.no_grad():  # another network than that of the queries
        for p in method.key_encoder.parameters():
            p.mul_(1.3)
        q = [unit(method.projector(method.encoder(v))) for v in views.unbind(1)]
        k = [unit(method.key_projector(method.key_encoder(v))) for v in views.unbind(1)]
    values = []
    for i in range(members):
        for j in range(members):
            if i != j:
                own = (q[i] * k[j]).sum(1) / 0.3
                others = q[i] @ method.queue.T / 0.3
                values.append((torch.logaddexp(own, others.logsumexp(1)) - own).mean().item())
    assert method.loss(views)[0].item() == pytest.approx(np.mean(values), rel=1e-5)


def test_moco_sends_no_gradient_into_keys():
    method = make("moco")
    method.loss(random_views())[0].backward()
    for part in (method.key_encoder, method.key_projector):
        assert all(p.grad is None for p in part.parameters())
    assert all(p.grad.norm() > 0 for p in method.encoder.parameters())


def test_the_queue_is_first_in_first_out():
    method = make("moco", queue_size=50)
    assert torch.allclose(method.queue.norm(dim=1), torch.ones(50))
    queue = [*method.queue.clone()]
    for step in range(3):  # 40 keys a step: it overflows at the second
        views = random_views(seed=step)
        keys = method.keys(views)
        method.loss(views)
        method.after_step(step, 10)
        queue += [*keys[0], *keys[1]]
        torch.testing.assert_close(method.queue, torch.stack(queue[-50:]))


def test_a_batch_may_be_larger_than_the_queue():
    method, views = make("moco", queue_size=30), random_views()
    keys = method.keys(views)
    method.loss(views)
    method.after_step(0, 10)
    torch.testing.assert_close(method.queue, torch.cat(keys)[-30:])


def test_only_training_fills_the_queue_and_once_a_step():
    method, views = make("moco"), random_views()
    before = method.queue.clone()
    method.eval()
    method.loss(views)
    method.after_step(0, 10)
    assert torch.equal(method.queue, before)
    method.train()
    method.loss(views)
    method.after_step(1, 10)
    after = method.queue.clone()
    assert not torch.equal(after, before)
    method.after_step(2, 10)  # nothing has been learnt from since
    assert torch.equal(method.queue, after)


def test_the_slow_copy_keeps_its_momentum_to_the_end():
    method = make("moco", momentum=0.9)
    with torch.no_grad():
        for p in (*method.encoder.parameters(), *method.projector.parameters()):
            p.add_(1.0)
    pairs = [(method.encoder, method.key_encoder), (method.projector, method.key_projector)]
    for step in (0, 9):
        old = copy.deepcopy(pairs)
        method.after_step(step, 10)
        for (_, before), (fast, slow) in zip(old, pairs, strict=True):
            three = (before.parameters(), slow.parameters(), fast.parameters())
            for was, now, online in zip(*three, strict=True):
                torch.testing.assert_close(now, 0.9 * was + 0.1 * online)


def test_moco_has_no_batch_norm_so_that_an_image_may_come_alone():
    method = make("moco")
    assert not any(isinstance(m, nn.BatchNorm1d) for m in method.modules())
    assert method.loss(random_views(images=1))[0].isfinite()


# --- SwAV -------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [2, 3])
def test_swav_is_the_swapped_prediction_of_its_projections(members):
    method = make("swav", prototypes=9, temperature=0.2, epsilon=0.1, iterations=2)
    views = random_views(members=members)
    z = torch.stack([method.projector(method.encoder(v)) for v in views.unbind(1)], dim=1)
    expected = losses.swapped_prediction(z, method.prototypes, 0.2, 0.1, 2)
    torch.testing.assert_close(method.loss(views)[0], expected)
    defaults = methods.options_of(methods.find("swav"))
    assert (defaults["temperature"], defaults["epsilon"], defaults["iterations"]) == (0.1, 0.05, 3)


def test_prototypes_learn_and_come_back_to_length_one():
    method = make("swav", prototypes=9)
    torch.testing.assert_close(method.prototypes.norm(dim=1), torch.ones(9))
    method.loss(random_views())[0].backward()
    assert method.prototypes.grad.norm() > 0
    with torch.no_grad():
        method.prototypes += torch.rand(9, 5, generator=torch.Generator().manual_seed(1))
    moved = method.prototypes.detach().clone()
    method.after_step(0, 10)
    torch.testing.assert_close(method.prototypes.detach(), unit(moved))


def test_swav_at_one_point_pays_the_logarithm_of_its_prototypes():
    """Collapsed codes are assigned to all prototypes alike: no better than a guess."""
    method = make("swav", prototypes=9)
    method.projector = nn.Sequential(nn.Linear(6, 5))
    nn.init.zeros_(method.projector[0].weight)
    nn.init.zeros_(method.projector[0].bias)
    assert method.loss(random_views())[0].item() == pytest.approx(math.log(9), rel=1e-5)


# --- in training ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "from_step", "steps"),
    [("moco", {"queue_size": 128}, 1, 100), ("swav", {}, 0, 40)],
)
def test_training_lowers_the_loss_and_does_not_collapse(name, options, from_step, steps):
    """MoCo's from when its queue is full of keys: random directions are easy to tell."""
    method = for_digits(name, head_dim=32, **options)
    first, last = fall(train(method, steps).iloc[from_step:])
    assert last < 0.95 * first
    with torch.no_grad():
        z = unit(method.eval().projector(method.encode(data.load("digits").images[:500])))
    assert z.std(0).mean().item() * z.shape[1] ** 0.5 > 0.5


@pytest.mark.parametrize(
    ("name", "options"), [("moco", {"queue_size": 50}), ("swav", {"prototypes": 7})]
)
def test_stopped_and_resumed_is_never_stopped(name, options, tmp_path):
    """With the queue and the prototypes."""
    check_resume(name, tmp_path / "a.pt", head_hidden=8, head_dim=4, **options)
    saved = torch.load(tmp_path / "a.pt", weights_only=True)["method"]
    assert {"moco": "queue", "swav": "prototypes"}[name] in saved
