"""How near generated images are to real ones, by what a network makes of them.

`generated` and `swapped` say by a classifier of views what a trained decoder makes of codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlib.checks import need
from mdlib.data.base import Dataset, in_turn
from mdlib.evaluation import protocol
from mdlib.evaluation.inputs import unit_of
from mdlib.evaluation.views_classifier import ViewsClassifier
from mdlib.metrics.inputs import checked_codes
from mdlib.registry import random_stream
from mdlib.types import Law, Values
from mdlib.views import style


def frechet_distance(real: Values, fake: Values) -> float:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½) between features of real and of fake images.

    The squared 2-Wasserstein distance of the Gaussians that have the means μ and covariances Σ of
    `real` [N, D] and `fake` [M, D]: the FID (Heusel et al. 2017, arXiv:1706.08500), but of any
    network's features, such as `method.encode(images)`; in their units, squared, and computed in
    double precision. Only distances by the same network and with the same N and M compare: with few
    samples they come out too high.

    Raises ValueError for NaN, for features of different widths, and for N or M up to D, whose
    covariances have no full rank.
    """
    real, fake = checked_codes(real, "real features"), checked_codes(fake, "fake features")
    need(
        real.shape[1] == fake.shape[1],
        f"real features have {real.shape[1]} dimensions and fake ones {fake.shape[1]}, expected as "
        "many: use one network for both",
    )
    for name, features in (("real", real), ("fake", fake)):
        count, dim = features.shape
        need(
            count > dim,
            f"there are {count} {name} samples of {dim} dimensions, expected more than {dim}: give "
            "more images, or a network with fewer features",
        )
    real, fake = real.double(), fake.double().to(real.device)
    largest = torch.maximum(real.abs().max(), fake.abs().max())
    unit = unit_of(largest)
    real, fake = real * unit, fake * unit
    shift = (real.mean(0) - fake.mean(0)).square().sum()
    of_real, of_fake = torch.cov(real.T), torch.cov(fake.T)
    of_real, of_fake = (c.view(real.shape[1], -1) for c in (of_real, of_fake))  # for D = 1
    values, vectors = torch.linalg.eigh(of_real)
    root = vectors * values.clamp(min=0).sqrt()  # root rootᵀ = Σ₁, so the trace is the same
    cross = torch.linalg.eigvalsh(root.T @ of_fake @ root).clamp(min=0).sqrt().sum()
    distance = max(0.0, float(shift + of_real.trace() + of_fake.trace() - 2 * cross))
    distance = distance / float(unit) / float(unit)
    need(
        distance < float("inf"),
        f"features reach {float(largest):.3g}, and their squared distance no number: divide both "
        "by one number",
    )
    return distance


def fitted_samples(
    method, codes: Float[Tensor, "codes dim"], n: int, generator: torch.Generator
) -> Float[Tensor, "n channels height width"]:
    """n images decoded from a Gaussian with the mean and covariance of `codes`.

    What treats all methods alike, those without a prior, too.
    """
    noise = torch.randn(n, codes.shape[1], generator=generator, device=codes.device)
    covariance = torch.cov(codes.T.double())  # a flat prior lets scales differ widely
    ridge = 1e-9 * covariance.trace() * torch.eye(codes.shape[1], device=codes.device)
    root = torch.linalg.cholesky(covariance + ridge).float()
    return method.decode(codes.mean(0) + noise @ root.T)


def generated(
    method,
    classifier: ViewsClassifier,
    codes: Float[Tensor, "codes dim"],
    views: Float[Tensor, "views channels height width"],
    seed: int,
) -> dict[str, float | None]:
    """Reconstruction and ELBO of views in nats an image, and Fréchet distances to them.

    `codes` are those of training views. The distances, by the classifier's features, are those of
    reconstructions, of samples from the method's own prior (of a flat one, around `codes`), and of
    `fitted_samples`. A flat prior has no ELBO: None.
    """
    draw = random_stream(seed, views.device)
    n, flat = len(views), getattr(method, "centre_variance", 1) is None
    with torch.no_grad(), method.evaluating():
        logits = method.decoder(method.encode(views))
        nll = method.reconstruction_nll(logits, views).mean().item()
    row = {"reconstruction, nats": nll, "ELBO, nats": None}
    if not flat:
        row["ELBO, nats"] = method.elbo(views, 1, draw).mean().item()
    own = {"centres": codes} if flat else {}
    real = classifier.encode(views)
    for label, images in [
        ("reconstructions", method.reconstruct(views)),
        ("samples", method.sample(n, draw, **own)),
        ("fitted Gaussian", fitted_samples(method, codes, n, draw)),
    ]:
        row[f"FID, {label}"] = frechet_distance(real, classifier.encode(images))
    return row


@dataclass(frozen=True, eq=False)
class SwapMaterial:
    """Views of images B, their classes, and the style of the first view of each.

    The images A, which give the content, are the images one further.
    """

    views: Float[Tensor, "images members channels height width"]
    labels: Int[Tensor, " images"]
    style: Float[Tensor, "images columns"]


def swap_material(
    split: Dataset, law: Law, seed: int, n: int = 1000, members: int = 8
) -> SwapMaterial:
    """`members` views of each of n images of a split, by `mdlib.data.base.in_turn`."""
    device = split.labels.device
    rows = in_turn(split.labels, n).to(device)
    views, parameters = law(split.images[rows], members, random_stream(seed, device))
    truth = torch.stack([*style(parameters).values()], -1)[:, 0]
    return SwapMaterial(views, split.labels[rows], truth)


def seen(
    classifier: ViewsClassifier, images: Tensor, labels: Tensor, truth: Tensor, what: str
) -> dict[str, float]:
    """The share of images that show their class, and the mean R² of their style: "WHAT: …"."""
    right, r2 = classifier.agreement(images, labels, truth)
    return {f"{what}: class": right, f"{what}: style": r2.mean().item()}


def swapped(method, classifier: ViewsClassifier, material: SwapMaterial) -> dict[str, float]:
    """Does a swap show the class of A and the style of B? And a plain reconstruction those of B?

    See `protocol.swapped`: the centre of an image is the mean code of its views.
    """
    z = method.encode(material.views.flatten(0, 1)).unflatten(0, material.views.shape[:2])
    centre, z_b = z.mean(1), z[:, 0]
    images = protocol.swapped(method, centre.roll(-1, 0), z_b, centre)
    row = seen(classifier, images, material.labels.roll(-1), material.style, "swap")
    rebuilt = method.decode(z_b)
    return row | seen(classifier, rebuilt, material.labels, material.style, "rebuilt")
