"""A classifier of views: told class and style of real views, it says what generated images show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mdlib.data.base import Dataset
from mdlib.evaluation.probes import r2
from mdlib.methods.supervised import Supervised
from mdlib.registry import random_stream, seeded
from mdlib.training import ImageViews, fit
from mdlib.types import ImageShape, Loss
from mdlib.views import style

Columns = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class ViewsClassifier(Supervised):
    """Class and style of a view, from linear heads on the same features.

    The loss is cross-entropy in nats + the mean squared error of the standardised style. `means`
    and `deviations` are those of the style's columns; `columns` makes these columns of a view's
    parameters, as `views.style` does.
    """

    uses = ("labels", "parameters")
    means: Tensor
    deviations: Tensor

    def __init__(
        self,
        image_shape: ImageShape,
        features: int,
        classes: int,
        means: Tensor,
        deviations: Tensor,
        columns: Columns = style,
        **common,
    ):
        super().__init__(image_shape, features, classes=classes, **common)
        self.style_head = nn.Linear(features, len(means))
        self.register_buffer("means", means)
        self.register_buffer("deviations", deviations)
        self.columns = columns

    def loss(
        self,
        views: Float[Tensor, "batch views channels height width"],
        generator: torch.Generator | None = None,
        *,
        labels: Int[Tensor, " batch"],
        parameters: Mapping[str, Tensor],
    ) -> Loss:
        features = self.encoder(views.flatten(0, 1))
        truth = torch.stack([*self.columns(parameters).values()], -1).flatten(0, 1)
        truth = (truth - self.means) / self.deviations
        labels = labels.repeat_interleave(views.shape[1])
        terms = {
            "class": F.cross_entropy(self.head(features).float(), labels),
            "style": F.mse_loss(self.style_head(features).float(), truth),
        }
        return terms["class"] + terms["style"], terms

    @torch.no_grad()
    def predict(
        self, images: Tensor
    ) -> tuple[Int[Tensor, " images"], Float[Tensor, "images columns"]]:
        """Classes and styles that images [N, C, H, W] show."""
        features = self.encode(images)
        predicted = self.style_head(features) * self.deviations + self.means
        return self.head(features).argmax(1), predicted

    def agreement(
        self, images: Tensor, labels: Int[Tensor, " images"], truth: Float[Tensor, "images columns"]
    ) -> tuple[float, Float[Tensor, " columns"]]:
        """Share of images [N, C, H, W] that show `labels`, and R² of each column of `truth`."""
        classes, predicted = self.predict(images)
        return (classes == labels).float().mean().item(), r2(predicted, truth)


def train_views_classifier(
    split: Dataset,
    law: Callable,
    *,
    columns: Columns = style,
    features: int = 32,
    steps: int = 800,
    batch_size: int = 128,
    lr: float = 3e-3,
    seed: int = 0,
    device: str | torch.device = "cpu",
    **common,
) -> ViewsClassifier:
    """A classifier of views of `split` by `law`; `common` are options of `Supervised`, as `arch`.

    One seed for all methods: only what the same classifier says compares. ValueError as `fit`.
    """
    draw = random_stream(seed, device)
    typical = columns(law(split.images[:1].to(device).expand(4096, -1, -1, -1), 1, draw)[1])
    typical = torch.cat([*typical.values()], 1)
    deviations = typical.std(0)
    deviations[deviations == 0] = 1.0  # of what the law never changes
    with seeded(seed):
        classifier = ViewsClassifier(
            split.image_shape, features, len(split.class_names),
            typical.mean(0), deviations, columns, **common,
        ).to(device)  # fmt: skip
    fit(
        classifier, ImageViews(split.images, law, members=1, labels=split.labels), steps=steps,
        batch_size=batch_size, lr=lr, seed=seed, device=device, progress=False,
    )  # fmt: skip
    return classifier
