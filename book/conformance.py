"""Our side of tests/conformance.yaml: what this book's code gives for each of its entries.

The file has the numbers that released functions gave, most of them the authors' own. `compared`
sets ours beside them; the site shows that as a table, and tests/test_conformance.py refuses a
difference that rounding can't explain. A method's own `loss` or `regularisers` is asked wherever it
can be, so that its default weights are compared too; its networks are then replaced by given codes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from mdlib import losses, methods
from mdlib.methods import simsiam
from mdlib.methods.base import Method
from mdlib.methods.joint_embedding import follow
from mdlib.methods.vae import VAE, Posterior
from mdlib.training import loop
from mdlib.views import style

FILE = Path(__file__).resolve().parents[1] / "tests" / "conformance.yaml"

Numbers = dict[str, Tensor | float]
OURS: dict[str, Callable[[], Numbers]] = {}


def ours(name: str) -> Callable[[Callable[[], Numbers]], Callable[[], Numbers]]:
    """Registers what follows as our side of the entry `name`."""

    def register(side: Callable[[], Numbers]) -> Callable[[], Numbers]:
        OURS[name] = side
        return side

    return register


def read() -> dict[str, Any]:
    """The file: tolerances, sources, what is not compared, options that differ, and entries."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def compared() -> pd.DataFrame:
    """A row for each number: entry, number, expected, ours, difference, allowed.

    `expected` is scale · number + shift, as the file's head says.
    """
    file = read()
    rows = []
    for entry in file["entries"]:
        found = OURS[entry["id"]]()
        for name, number in entry["numbers"].items():
            shift = 0.0 if name.startswith("gradient") else entry.get("shift", 0.0)
            expected = entry.get("scale", 1.0) * number + shift
            value = torch.as_tensor(found[name], dtype=torch.float64).item()
            allowed = file["tolerances"][entry["precision"]] * max(1.0, abs(expected))
            rows.append([entry["id"], name, expected, value, abs(value - expected), allowed])
    names = ["entry", "number", "expected", "ours", "difference", "allowed"]
    return pd.DataFrame(rows, columns=names)


# --- inputs, which anyone can build again ---------------------------------------------------------


def wave(rate: float, *shape: int) -> Tensor:
    """sin(rate · n²) for n = 0, 1, …, float64, in that shape. (sin(rate · n) would have rank 2.)"""
    n = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (rate * n.square()).sin().view(shape)


def views(rate: float) -> list[Tensor]:
    """Codes of two views of 32 images, [32, 6] each, to take gradients of."""
    first, second = wave(rate, 2, 32, 6)
    return [leaf(first), leaf(first + second / 2)]


def posteriors() -> tuple[Posterior, Tensor]:
    """Those of one view of 16 images in four dimensions, [16, 1, 4], and a draw from each."""
    mean, log_variance = leaf(wave(0.1, 16, 1, 4)), leaf(wave(0.17, 16, 1, 4))
    return Posterior(mean, log_variance), mean + (log_variance / 2).exp() * wave(0.3, 16, 1, 4)


def columns() -> dict[str, Tensor]:
    """Parameters of two views of 32 images whose `views.style` fills [0, 1] in each column."""

    def unit(x: Tensor) -> Tensor:
        low, high = x.amin((0, 1)), x.amax((0, 1))
        return (x - low) / (high - low)

    crop, colour, blur = (
        unit(wave(rate, 32, 2, n)) for rate, n in ((0.2, 4), (0.23, 3), (0.29, 1))
    )
    flip = (wave(0.31, 32, 2, 1) > 0).double()
    x = crop[..., 1:2]
    crop = torch.cat([crop[..., :1], torch.where(flip > 0, 1 - x, x), crop[..., 2:]], dim=-1)
    brightness, contrast, saturation = colour.split(1, dim=-1)
    return {
        "crop": crop, "hflip": flip, "brightness": brightness, "contrast": contrast,
        "saturation": saturation, "blur": blur,
    }  # fmt: skip


def leaf(x: Tensor) -> Tensor:
    return x.clone().requires_grad_()


def matrix(rate: float) -> nn.Linear:
    """The linear map wave(rate, 6, 6)."""
    layer = nn.Linear(6, 6, bias=False)
    layer.weight = nn.Parameter(wave(rate, 6, 6))
    return layer


# --- methods without their networks, and what is told of a loss -----------------------------------


def learner(name: str, **options: Any) -> Any:
    """A method for codes of 6 dimensions, projected to 6."""
    if not issubclass(methods.find(name), VAE):
        options = {"head_hidden": 8, "head_dim": 6} | options
    settings = {"image_shape": (1, 8, 8), "latent_dim": 6, "arch": "mlp-small"}
    return methods.create(name, **settings | options)


def on_projections(name: str, projections: list[Tensor], **options: Any) -> Tensor:
    """The loss of a method that compares projections, of given ones."""
    method = learner(name, **options)
    method.project = lambda views: projections
    return method.loss(torch.empty(0))[0]


def without_heads(name: str, **options: Any) -> tuple[Any, list[Tensor]]:
    """BYOL or a sibling whose codes are views(.1), its target's views(.17), both unprojected."""
    method, codes, targets = learner(name, **options), views(0.1), views(0.17)
    method.projector = method.predictor = method.target_projector = nn.Identity()
    method.codes, method.target_codes = (lambda views: codes), (lambda views: targets)
    return method, codes


def penalty(method: Method, q: Posterior, z: Tensor) -> Tensor:
    """What a VAE adds to reconstruction, weighted."""
    terms = method.regularisers(q, z, None)
    return sum(method.term_weights.get(name, 1) * term for name, term in terms.items())


def told(loss: Tensor, **of: Tensor) -> Numbers:
    """A loss, and the norms of its gradients: `gradient`, or "gradient of NAME" for several."""
    gradients = torch.autograd.grad(loss, list(of.values()))
    names = ["gradient" if name == "gradient" else f"gradient of {name}" for name in of]
    return {"loss": loss} | {n: g.norm() for n, g in zip(names, gradients, strict=True)}


def told_of_posteriors(name: str, **options: Any) -> Numbers:
    q, z = posteriors()
    loss = penalty(learner(name, latent_dim=4, **options), q, z)
    return told(loss, mean=q.mean, **{"log-variance": q.log_variance})


# --- views compared -------------------------------------------------------------------------------


@ours("simclr")
def _() -> Numbers:
    a, b = views(0.1)
    return told(losses.info_nce(torch.stack([a, b], dim=1), temperature=0.5), gradient=a)


@ours("byol")
@ours("byol-htdt")
def _() -> Numbers:
    method, codes = without_heads("byol")
    return told(method.loss(torch.empty(0))[0], gradient=codes[0])


@ours("directpred")
def _() -> Numbers:
    method, codes = without_heads("directpred")
    return told(method.loss(torch.empty(0))[0], gradient=codes[0])


@ours("byol-momentum")
def _() -> Numbers:
    method = learner("byol", momentum=0.99)
    return {f"step {step}": method.momentum_at(step, 10) for step in (0, 1, 5, 9)}


@ours("byol-rate")
def _() -> Numbers:
    return {f"step {step}": loop.SCHEDULES["cosine"](step / 10) for step in (0, 1, 5, 9)}


@ours("directpred-w")
def _() -> Numbers:
    floor = methods.options_of(methods.find("directpred"))["floor"]
    w = losses.direct_predictor(losses.correlation(views(0.1)[0].detach()), floor)
    return {"corner": w[0, 0], "beside": w[0, 1], "last": w[-1, -1], "trace": w.trace()}


@ours("simsiam")
def _() -> Numbers:
    a, b = views(0.1)
    return told(simsiam.regression([a, b], matrix(0.3)), gradient=a)


@ours("simsiam-rate")
def _() -> Numbers:
    groups = learner("simsiam", fix_predictor_lr=True).parameter_groups()
    rates = [loop.SCHEDULES[group.get("schedule", "cosine")](3 / 10) for group in groups]
    return dict(zip(("encoder", "predictor"), rates, strict=True))


@ours("barlow")
def _() -> Numbers:
    a, b = views(0.1)
    return told(on_projections("barlow", [a, b]), gradient=a)


@ours("vicreg")
def _() -> Numbers:
    a, b = views(0.1)
    return told(on_projections("vicreg", [a, b]), gradient=a)


@ours("whitening")
def _() -> Numbers:
    a = views(0.1)[0]
    white = losses.whiten(a)
    (gradient,) = torch.autograd.grad((white * wave(0.3, 32, 6)).sum(), a)
    return some_of(white) | {"gradient": gradient.norm()}


@ours("whitening-shrunk")
def _() -> Numbers:
    return some_of(losses.whiten(views(0.1)[0], shrinkage=0.1))


def some_of(x: Tensor) -> Numbers:
    return {"first": x[0, 0], "last": x[-1, -1], "absolute": x.abs().sum()}


@ours("wmse")
def _() -> Numbers:
    a, b = views(0.1)
    return told(on_projections("wmse", [a, b], part=16), gradient=a)


@ours("moco")
def _() -> Numbers:
    a, b = views(0.1)
    method = with_queue()
    method.project = lambda views: [a, b]
    method.keys = lambda views: [F.normalize(x.detach(), dim=1) for x in (a, b)]
    return told(method.loss(torch.empty(0))[0], gradient=a)


@ours("moco-queue")
def _() -> Numbers:
    a, b = (x.detach() for x in views(0.1))
    method = with_queue()
    method.project = lambda views: [a, b]
    method.keys = lambda views: [F.normalize(x, dim=1) for x in (a, b)]
    method.loss(torch.empty(0))
    method.after_step(0, 10)
    return beside_and_last(method.queue)


def with_queue() -> Any:
    method = learner("moco", queue_size=64)
    method.queue = F.normalize(wave(0.3, 64, 6), dim=1)
    return method


@ours("moco-momentum")
def _() -> Numbers:
    slow, fast = matrix(0.35), matrix(0.3)
    follow(slow, fast, methods.options_of(methods.find("moco"))["momentum"])
    return beside_and_last(slow.weight)


@ours("swav-sinkhorn")
def _() -> Numbers:
    shares = losses.sinkhorn(wave(0.1, 32, 9))
    return beside_and_last(shares) | {"weighted": (shares * wave(0.3, 32, 9)).sum()}


@ours("swav")
def _() -> Numbers:
    a, b = views(0.1)
    method = learner("swav", prototypes=9)
    method.project = lambda views: [a, b]
    method.prototypes = nn.Parameter(F.normalize(wave(0.3, 9, 6), dim=1))
    return told(method.loss(torch.empty(0))[0], codes=a, prototypes=method.prototypes)


def beside_and_last(x: Tensor) -> Numbers:
    return {"beside": x[0, 1], "last": x[-1, -1], "absolute": x.abs().sum()}


@ours("augself-differences")
def _() -> Numbers:
    method, codes = without_heads("augself")
    method.differences.network = nn.Identity()
    return told(method.differences(codes, columns()), gradient=codes[0])


@ours("augself")
def _() -> Numbers:
    method, codes = without_heads("augself")
    method.differences.network = nn.Identity()
    return told(method.loss(torch.empty(0), parameters=columns())[0], gradient=codes[0])


@ours("augself-centre")
def _() -> Numbers:
    y, x, height, width = ((1 + wave(0.2, 2, 32, 4)) / 4).transpose(0, 1).unbind(-1)
    crop = torch.stack([y + height / 2, x + width / 2, height, width], dim=-1)
    flip = (wave(0.31, 2, 32) > 0).double().T[..., None]
    first, second = style({"crop": crop, "hflip": flip})["crop x"].unbind(1)
    return {"sum": (first - second).abs().sum()}


@ours("ddcl")
def _() -> Numbers:
    method, contents, styles = learner("ddcl", latent_dim=12, style_dim=6), views(0.1), views(0.17)
    method.projector = method.style_projector = nn.Identity()
    method.predictor, method.style_predictor = matrix(0.3).float(), matrix(0.35).float()
    method.codes = lambda views: [
        torch.cat(parts, 1) for parts in zip(contents, styles, strict=True)
    ]
    return told(method.loss(torch.empty(0))[0], content=contents[0], style=styles[0])


# --- VAEs -----------------------------------------------------------------------------------------


@ours("kl")
def _() -> Numbers:
    return told_of_posteriors("vae")


@ours("reconstruction")
@ours("crvae-bce")
def _() -> Numbers:
    logits = leaf(3 * wave(0.1, 5, 1, 4, 4))
    images = (1 + wave(0.17, 5, 1, 4, 4)) / 2
    return told(losses.bernoulli_nll(logits, images).mean(), gradient=logits)


@ours("beta")
def _() -> Numbers:
    q, z = posteriors()
    return told(penalty(learner("beta_vae", latent_dim=4), q, z), gradient=q.mean)


def annealed(capacity: float) -> Numbers:
    q, z = posteriors()
    method = learner("annealed_vae", latent_dim=4, capacity=capacity)
    method.after_step(39, 300)  # its ramp is a third of the steps
    return told(penalty(method, q, z), gradient=q.mean)


OURS["annealed-25"] = lambda: annealed(25)
OURS["annealed-1"] = lambda: annealed(1)
OURS["dip-i"] = lambda: told_of_posteriors("dip_vae", kind="i")
OURS["dip-ii"] = lambda: told_of_posteriors("dip_vae", kind="ii")
OURS["betatc-lib"] = lambda: told_of_posteriors("beta_tcvae")


def total_correlation(dataset_size: int | None) -> Numbers:
    q, z = posteriors()
    loss = losses.total_correlation(z[:, 0], q.mean[:, 0], q.log_variance[:, 0], dataset_size)
    return told(loss, mean=q.mean, **{"log-variance": q.log_variance})


OURS["tc-weighted"] = lambda: total_correlation(None)
OURS["tc-stratified"] = lambda: total_correlation(100)


class Answers(nn.Module):
    """A discriminator that gives prepared logits, one call after the other."""

    def __init__(self, *logits: Tensor):
        super().__init__()
        self.logits = iter(logits)

    def forward(self, codes: Tensor) -> Tensor:
        return next(self.logits)


@ours("factorvae")
def _() -> Numbers:
    # Two outputs, of which the softmax sees the difference alone.
    joint, product = (3 * (x[:, 0] - x[:, 1]) for x in (wave(0.1, 16, 2), wave(0.17, 16, 2)))
    method = learner("factor_vae", latent_dim=4)
    method.discriminator = Answers(joint, joint, product)
    terms = method.regularisers(*posteriors(), None)
    return {name.replace("_", " "): term for name, term in terms.items()}


@ours("factorvae-optimiser")
def _() -> Numbers:
    options = {"discriminator_lr": 1e-4, "discriminator_betas": (0.5, 0.9)}
    group = learner("factor_vae", **options).parameter_groups()[1]
    return {"rate": group["rate"]} | dict(
        zip(("first beta", "second beta"), group["betas"], strict=True)
    )


@ours("hfs")
def _() -> Numbers:
    q, z = posteriors()
    return told(penalty(learner("hfs_vae", latent_dim=4, beta=0.0), q, z), gradient=q.mean)


@ours("hfs-scale")
def _() -> Numbers:
    weights = {"beta": 0.0, "gamma": 0.0, "scale_weight": 1.0, "scale_term": "sum"}
    return {"loss": penalty(learner("hfs_vae", latent_dim=4, **weights), *posteriors())}


def two_views() -> Posterior:
    """Posteriors of two views of 16 images in four dimensions, [16, 2, 4]."""
    mean, log_variance = wave(0.1, 2, 16, 4), wave(0.17, 2, 16, 4)
    return Posterior(leaf(mean.transpose(0, 1)), leaf(log_variance.transpose(0, 1)))


@ours("crvae")
def _() -> Numbers:
    q = two_views()
    method = learner("cr_vae", latent_dim=4)
    loss = method.regularisers(q, q.mean, None)["consistency"]
    gradients = torch.autograd.grad(loss, q)
    names = ("gradient of mean", "gradient of log-variance")
    first = {n: g[:, 0].norm() for n, g in zip(names, gradients, strict=True)}
    return {"loss": loss} | first


@ours("swap")
def _() -> Numbers:
    content, means = (leaf(wave(rate, 2, 16, 4)) for rate in (0.1, 0.17))
    log_variance = torch.cat([torch.zeros(2, 16, 4), wave(0.3, 2, 16, 4)], dim=-1)
    q = Posterior(torch.cat([content, means], dim=-1).transpose(0, 1), log_variance.transpose(0, 1))
    loss = penalty(learner("swap_vae", latent_dim=8, style_dim=4), q, q.mean)
    gradients = torch.autograd.grad(loss, [content, means])
    first = [gradient[0].norm() for gradient in gradients]
    return {"loss": loss, "gradient of content": first[0], "gradient of style": first[1]}


def pooled(name: str) -> tuple[Numbers, Numbers]:
    """Of the pooled mean and log-variance of two views; gradients are of the first view's own."""
    q = two_views()
    parts = learner(name, latent_dim=5, style_dim=1).pool(*q)  # pools content alone: all of q
    result = []
    for part, source in zip(parts, q, strict=True):
        part = part[:, 0]
        loss = (part * wave(0.3, 16, 4)).sum()
        (gradient,) = torch.autograd.grad(loss, source, retain_graph=True)
        result.append(some_of(part) | {"gradient": gradient[:, 0].norm()})
    return result[0], result[1]


OURS["gvae-mean"] = lambda: pooled("gvae")[0]
OURS["gvae-logvar"] = lambda: pooled("gvae")[1]
OURS["mlvae-mean"] = lambda: pooled("ml_vae")[0]
OURS["mlvae-logvar"] = lambda: pooled("ml_vae")[1]


def group_prior(centre_variance: float | None) -> Numbers:
    z = leaf(wave(0.1, 8, 3, 4))
    return told(losses.group_prior(z, 0.15, centre_variance).sum(), gradient=z)


OURS["simve"] = lambda: group_prior(1 - 0.15 / 3)
OURS["simve-flat"] = lambda: group_prior(None)
