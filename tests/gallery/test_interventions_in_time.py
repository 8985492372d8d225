"""What `gallery/interventions_in_time` defines: the prior and its ψ, the target classifier, the
flow, and the scores of a partition."""

import math

import pytest
import torch
import torch.nn.functional as F
from chapter_cells import namespace, text

from mdlib.data import pong

CHAPTER = "gallery/interventions_in_time"


@pytest.fixture(scope="module")
def chapter():
    return namespace(text(CHAPTER), device="cpu", steps=3, world="pong")


@pytest.fixture
def given():
    """z [B, L], targets [B, K], and mean and spread of z' [B, L]."""
    g = torch.Generator().manual_seed(0)
    z, mean = torch.randn(2, 20, 6, generator=g)
    targets = F.one_hot(torch.arange(20) % 5, 5)[:, 1:].float()  # each variable, and none
    return z, targets, mean, torch.rand(20, 6, generator=g)


def test_cross_entropy_is_kl_plus_entropy(chapter):
    q = torch.distributions.Normal(torch.tensor(0.3), torch.tensor(0.7))
    p = torch.distributions.Normal(torch.tensor(-1.0), torch.tensor(2.0))
    found = chapter["cross_entropy"](q.mean, q.stddev, p.mean, p.stddev.log())
    torch.testing.assert_close(found, torch.distributions.kl_divergence(q, p) + q.entropy())


def test_a_part_of_a_variable_that_is_set_forgets_the_past(chapter, given):
    torch.manual_seed(0)
    prior = chapter["Prior"](6)
    z, targets, mean, std = given
    table, other = (prior.table(past, targets, mean, std) for past in (z, z + 1))
    is_set = F.pad(targets, (1, 0))[:, None].expand_as(table) == 1
    assert torch.equal(table[is_set], other[is_set])
    assert (table != other)[~is_set].all()
    assert not is_set[..., 0].any()  # nothing sets what belongs to no variable
    standard = chapter["cross_entropy"](mean, std, torch.zeros(()), torch.zeros(()))
    torch.testing.assert_close(table[is_set], standard[..., None].expand_as(table)[is_set])


def test_the_cost_is_the_released_one(chapter, given):
    """transition_prior.py of phlippe/CITRIS, perfect interventions: the costs of what is set and of
    what is free, summed by ψ; the part of no variable is multiplied by 1 − λ. There a cost is the
    KL in a VAE, and −log p in a flow. Ours is the latter in both, KL plus entropy, so that in a VAE
    the two differ by λψ₀ of the entropy."""
    torch.manual_seed(0)
    prior = chapter["Prior"](6, favour=0.3)
    z, targets, mean, std = given
    mu, log_sigma = prior.free(z).chunk(2, 1)
    q = torch.distributions.Normal(mean, std)

    def cost(mu, log_sigma):
        p = torch.distributions.Normal(mu, log_sigma.exp())
        return torch.distributions.kl_divergence(q, p) + q.entropy()

    psi = prior.psi.softmax(1)
    of_set = cost(torch.zeros(()), torch.zeros(())) * (targets @ psi[:, 1:].T)
    free = 1 - psi[:, 0] - targets @ psi[:, 1:].T + psi[:, 0] * (1 - 0.3)
    known = (of_set + cost(mu, log_sigma) * free).sum(1)
    torch.testing.assert_close(prior(z, targets, mean, std), known)


def test_where_psi_starts(chapter):
    assert chapter["Prior"](6).psi.argmax(1).tolist()[:4] == [1, 2, 3, 4]
    assert chapter["Prior"](6).psi[4:].abs().max() == 0
    assert chapter["Prior"](6, matched=False).psi.abs().max() == 0


def test_a_latent_is_cheapest_as_a_part_of_its_own_variable(chapter):
    """The causes themselves in another order, and a prior that knows how they move."""
    C, targets = pong.process(3000, 2, seed=0)
    order, back = [2, 0, 3, 1], [1, 3, 0, 2]

    class Rule(torch.nn.Module):
        def forward(self, z):
            mu = pong.step(z[:, back])[:, order]
            return torch.cat([mu, torch.full_like(mu, math.log(0.15))], 1)

    prior = chapter["Prior"](4)
    prior.free = Rule()
    with torch.no_grad():
        prior.set[1] = math.log(3**-0.5)  # as wide as the uniform numbers that are set
    new = C[:, 1, order]
    table = prior.table(C[:, 0, order], targets[:, 0].float(), new, torch.zeros_like(new))
    assert (table.mean(0).argmin(1) - 1).tolist() == order
    of_none = table.mean(0)[:, 0]
    assert (table.mean(0).amin(1) < of_none - 0.5).all()


def test_the_classifier_and_the_code_learn_from_losses_of_their_own(chapter, given):
    torch.manual_seed(0)
    classifier = chapter["Classifier"](6)
    psi = torch.zeros(6, 5, requires_grad=True)
    z, targets, z_next, _ = given
    torch.nn.init.normal_(classifier.net[-1].weight)
    gradients = {}
    for weight in (0.0, 1.0):
        code = z_next.clone().requires_grad_()
        torch.manual_seed(1)
        loss = chapter["classify"](classifier, psi, z, code, targets, weight=weight)
        wanted = [code, psi, *classifier.parameters()]
        gradients[weight] = torch.autograd.grad(loss, wanted, materialize_grads=True)
    assert all((g == 0).all() for g in gradients[0.0][:2])
    assert all((g != 0).any() for g in gradients[1.0][:2])
    for a, b in zip(gradients[0.0][2:], gradients[1.0][2:], strict=True):
        torch.testing.assert_close(a, b)


def test_the_codes_loss_is_the_released_one(chapter, given):
    """target_classifier.py of phlippe/CITRIS: true targets where a block is meant to tell them,
    with K times the weight, base rates elsewhere; its mean times the number of sets of latents."""
    torch.manual_seed(0)
    classifier = chapter["Classifier"](6)
    torch.nn.init.normal_(classifier.net[-1].weight)
    own = torch.tensor([0, 1, 2, 3, 4, 4])  # surely: the draws are the same for all rows
    psi = 1000.0 * F.one_hot(own, 5)
    z, targets, z_next, _ = given
    blocks = [own == k for k in range(5)] + [own >= 0]
    total = {"net": 0.0, "code": 0.0}
    for n, block in enumerate(blocks):
        mask = block.float().expand(20, -1)
        logits = classifier.net(torch.cat([z, z_next * mask, mask], 1))
        for k in range(4):
            tells = n in (k + 1, 5)
            goal = targets[:, k] if tells else targets[:, k].mean().expand(20)
            loss = F.binary_cross_entropy_with_logits
            total["net"] += loss(logits[:, k], targets[:, k]) / 4
            total["code"] += loss(logits[:, k], goal) * (4 if tells else 1) / 4
    for weight in (0.0, 2.0):
        found = chapter["classify"](classifier, psi, z, z_next, targets, weight=weight)
        torch.testing.assert_close(found, total["net"] + weight * total["code"])


def test_the_flow_has_no_spread_and_loses_nothing(chapter):
    torch.manual_seed(0)
    flow, x = chapter["Flow"](4, 2), torch.randn(7, 4)
    z, spread, log_det = flow(x)
    assert (spread == 0).all() and flow.error(x, z) == 0 and log_det.shape == (7,)
    torch.testing.assert_close(flow.inverse(z), x, atol=1e-4, rtol=1e-4)


def test_a_perfect_a_merged_and_an_empty_partition(chapter):
    g = torch.Generator().manual_seed(0)
    C = torch.rand(1500, 4, generator=g)
    z = torch.cat([C**3, torch.randn(1500, 1, generator=g)], 1)
    found = chapter["matrix"](z, torch.tensor([1, 2, 3, 4, 0]), C)
    assert (found[1:].diagonal() > 0.98).all()
    assert (found[1:] * (1 - torch.eye(4))).max() < 0.1 and found[0].max() < 0.1
    merged = chapter["matrix"](z, torch.tensor([1, 2, 2, 4, 0]), C)
    assert (merged[2, 1:3] > 0.9).all() and (merged[3] == 0).all()


def test_without_psi_the_truth_assigns(chapter):
    g = torch.Generator().manual_seed(0)
    C = torch.randn(500, 4, generator=g)
    z = torch.stack([-C[:, 2], C[:, 0] + 0.1 * C[:, 1], C[:, 3] ** 3, C[:, 1].tanh()], 1)
    baseline = chapter["Conditional"](4, plain=True)
    assert chapter["partition"](baseline, z, C).tolist() == [3, 1, 4, 2]
    prior = chapter["Prior"](4)
    assert chapter["partition"](prior, z, C).tolist() == [1, 2, 3, 4]


def test_a_variable_gets_a_latent_of_its_own_though_others_are_told_more(chapter):
    """Its best latent tells another variable more, and the sum is what counts."""
    C = torch.randn(900, 4, generator=torch.Generator().manual_seed(0))
    both = 1.2 * C[:, 0] + C[:, 1]  # tells the first more than the second, whom nobody else tells
    z = torch.stack([both, C[:, 0], C[:, 2], C[:, 3], C[:, 3] + 0.3 * C[:, 0]], 1)
    baseline = chapter["Conditional"](5, plain=True)
    assert chapter["partition"](baseline, z, C).tolist() == [2, 1, 3, 4, 4]


def test_the_plain_prior_is_standard_normal(chapter, given):
    z, targets, mean, std = given
    found = chapter["Conditional"](6, plain=True)(z, targets, mean, std)
    known = chapter["cross_entropy"](mean, std, torch.zeros(()), torch.zeros(()))
    torch.testing.assert_close(found, known.sum(1))
    ivae = chapter["Conditional"](6, plain=False)
    assert not torch.equal(ivae(z, targets, mean, std), ivae(z, 1 - targets, mean, std))


def test_swaps_of_a_perfect_and_of_a_useless_code(chapter):
    C = 2 * torch.rand(200, 4, generator=torch.Generator().manual_seed(0)) - 1
    own = torch.tensor([1, 2, 3, 4])
    assert chapter["swap_error"](chapter["frames_of"], own, C, C) == 0
    assert chapter["swap_error"](chapter["frames_of"], torch.zeros(4), C, C) == 1
    wrong = chapter["swap_error"](chapter["frames_of"], own.roll(1), C, C)
    assert wrong > 1.2


@pytest.mark.parametrize("variant", ["known", "shuffled", "vae-late", "ivae"])
def test_every_kind_of_training_runs_and_gives_what_is_measured(chapter, variant):
    encode, decode, prior = chapter["learn"](**chapter["VARIANTS"][variant])
    C = 2 * torch.rand(50, 4) - 1
    with torch.no_grad():
        z = encode(chapter["frames_of"](C))
        assert z.shape == (50, 6) and torch.isfinite(z).all()
        assert decode(z).shape == (50, 768)
    own = chapter["partition"](prior, z, C)
    assert own.shape == (6,) and own.min() >= 0 and own.max() <= 4


def test_the_prior_is_given_a_frame_the_next_ones_targets_and_the_next_frame(chapter):
    x = torch.arange(80.0).reshape(20, 4, 1)  # frames are numbers: that of the next is one more
    targets = x[:, 1:] + torch.tensor([0.1, 0.2, 0.3, 0.4])
    given = []

    class Model(torch.nn.Module):
        def forward(self, x):
            return x, torch.zeros_like(x), torch.zeros(len(x))

        def error(self, frames, z):
            assert torch.equal(frames, z)
            return 0.0

    class Spy(torch.nn.Module):
        psi = None

        def __init__(self):
            super().__init__()
            self.one = torch.nn.Parameter(torch.zeros(()))

        def forward(self, *tensors):
            given.append(tensors)
            return self.one * tensors[0].sum(1)

    chapter["fit"](Model(), Spy(), x, targets)
    assert len(given) == 3  # steps
    for old, told, new, _ in given:
        assert torch.equal(new, old + 1) and (old % 4 < 3).all()
        torch.testing.assert_close(told, new + torch.tensor([0.1, 0.2, 0.3, 0.4]))


def test_psi_stands_still_at_first(chapter):
    x, targets = chapter["windows"]()
    prior = chapter["Prior"](6)
    start = prior.psi.detach().clone()
    chapter["fit"](chapter["VAE"](768, 6), prior, x[:80], targets[:80], late=1.0)
    assert torch.equal(prior.psi, start)
    chapter["fit"](chapter["VAE"](768, 6), prior, x[:80], targets[:80])
    assert not torch.equal(prior.psi, start)
