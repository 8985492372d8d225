"""The one face of all methods."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mdlib.checks import check_whole, need
from mdlib.types import ImageShape, Loss


class Method(nn.Module):
    """A learner: an `encoder` network from images to codes, and a loss on groups of views.

    Subclasses set `self.encoder` and define `loss`; `represent` says which of the encoder's outputs
    is the code; `after_step` is for what follows an optimiser step (a moving average, say).

    Most methods learn from views alone. What else one needs it names in `uses`, and `fit` hands it
    to `loss` as a keyword argument: "labels", int64 [B], a class an image; "parameters", the dict
    of [B, J, k] that made the views; "index", int64 [B], the images' rows in the training set.

    `title` and `colour` are those of its figures; `least_images` and `least_views` of a batch are
    what it needs in order to learn, which `fit` checks, and each loss.
    """

    title: str
    colour: str
    encoder: nn.Module
    uses: tuple[str, ...] = ()
    least_images: int = 1
    least_views: int = 1
    classes: int | None = None  # labels run from 0 to classes − 1; None where any will do
    instances: int | None = None  # an index runs from 0 to instances − 1; None where any will do
    options: Mapping[str, object] = MappingProxyType({})  # filled by `mdlib.methods.create`
    seed: int | None = None  # of the initial weights; filled likewise

    def __init__(self, image_shape: ImageShape, latent_dim: int):
        super().__init__()
        check_whole(1, latent_dim=latent_dim)
        need(
            len(image_shape) == 3 and all(isinstance(n, int) and n >= 1 for n in image_shape),
            f"image_shape={image_shape}: expected (channels, height, width): images.shape[1:]",
        )
        self.image_shape = image_shape
        self.latent_dim = latent_dim

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        """The total to minimise, a scalar, and its named terms (scalars).

        `views` is float [B, J, C, H, W] in [0, 1]: J views of each of B images. `generator` (on the
        views' device) drives whatever the loss draws at random. Where `uses` names more, each is
        one more keyword argument.
        """
        raise NotImplementedError

    def parameter_groups(self) -> list[dict]:
        """What an optimiser is to train, as torch's optimisers take it: all weights alike.

        A group may set "rate" or "schedule" in the place of `fit`'s lr and schedule, and whatever
        AdamW knows.
        """
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def after_step(self, step: int, steps: int) -> None:
        """Called by `fit` after optimiser step number `step` (from 0) of `steps`."""

    def represent(
        self, images: Float[Tensor, "image channels height width"]
    ) -> Float[Tensor, "image dim"]:
        """Codes [N, latent_dim] of float images [N, C, H, W], as the network stands."""
        return self.encoder(images)

    def extra_repr(self) -> str:
        settings = {"image_shape": self.image_shape, "latent_dim": self.latent_dim, **self.options}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items())

    @torch.no_grad()
    def encode(
        self, images: Shaped[Tensor, "image channels height width"], batch_size: int = 2048
    ) -> Float[Tensor, "image dim"]:
        """Codes [N, latent_dim], float32, of images [N, C, H, W] (uint8, or float in [0, 1]).

        Works through the images in batches on the method's device, in evaluation mode, and leaves
        weights, buffers and training mode as they were. Raises ValueError for images of another
        shape than the method was made for.
        """
        with self.evaluating():
            batches = self.batches(images, batch_size)
            return torch.cat([self.represent(batch).float() for batch in batches])

    def batches(self, images: Tensor, batch_size: int) -> Iterator[Tensor]:
        """Images [N, C, H, W] in parts, float, on the method's device. ValueError as `encode`."""
        if tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"images of shape {tuple(images.shape[1:])}: this method was made for "
                f"{self.image_shape}"
            )
        check_whole(1, batch_size=batch_size)
        device = next(self.parameters()).device
        for batch in images.split(batch_size):
            batch = batch.to(device)
            yield batch.float().div_(255) if batch.dtype == torch.uint8 else batch

    @contextmanager
    def evaluating(self) -> Generator[None]:
        """Inside, the method is in evaluation mode; afterwards in the mode it was in before."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)


def with_own_group(method: Method, parts: list[nn.Module], **settings: object) -> list[dict]:
    """Two parameter groups: those of `parts` with `settings`, and all the rest of `method`."""
    own = [p for part in parts for p in part.parameters() if p.requires_grad]
    ids = {id(p) for p in own}
    rest = [p for p in method.parameters() if p.requires_grad and id(p) not in ids]
    return [{"params": rest}, {"params": own, **settings}]
