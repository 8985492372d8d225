"""Worlds of two causes and two effects, as functions of noise, in which one may intervene.

    world = Pendulum(size=32)
    x, y, noise = world.draw(6000, random_stream(0), confounding=0.8)
    world.factors(noise, {1: 0.3})      # the same samples, had the second cause been .3

Factors are scaled to 0..1. `Simulation` is the linear-Gaussian model of four factors on which
DEAR's claim has a closed form (`gallery/causal_prior`); `Pendulum` has pictures.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mdlib.checks import check_whole, need
from mdlib.data import pendulum
from mdlib.registry import random_stream


class World:
    """Causes are factors 0 and 1, and each of them acts on both effects, factors 2 and 3.

    A world says what its causes and its effects are, and what is seen of them; `A` [2, 2] has the
    signs, or the weights, with which causes (rows) act on effects.
    """

    names: tuple[str, str, str, str]
    A: Tensor

    def causes(self, noise: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Each of its own noise, increasing, in 0..1."""
        raise NotImplementedError

    def effects(
        self, causes: Float[Tensor, "n 2"], noise: Float[Tensor, "n 2"]
    ) -> Float[Tensor, "n 2"]:
        """Of the causes and noise of their own, in 0..1."""
        raise NotImplementedError

    def observe(self, factors: Float[Tensor, "n 4"]) -> Float[Tensor, "n pixels"]:
        """What is seen of factors."""
        raise NotImplementedError

    def factors(
        self, noise: Float[Tensor, "n 4"], do: Mapping[int, Tensor | float] | None = None
    ) -> Float[Tensor, "n 4"]:
        """Causes and effects of standard normal noise; `do` sets causes, by number, from outside.

        ValueError for an intervention on what is no cause, or to a value that is not in 0..1.
        """
        causes = self.causes(noise[:, :2])
        for k, value in (do or {}).items():
            check_whole(0, 1, cause=k)
            values = torch.as_tensor(value)
            outside = values[~((values >= 0) & (values <= 1))]
            need(
                not len(outside),
                f"do: factor {k} is set to {outside[:3].tolist()}, expected 0 to 1",
            )
            causes[:, k] = value
        return torch.cat([causes, self.effects(causes, noise[:, 2:])], 1)

    def draw(
        self, n: int, generator: torch.Generator, confounding: float = 0.0
    ) -> tuple[Float[Tensor, "n pixels"], Float[Tensor, "n 4"], Float[Tensor, "n 4"]]:
        """Samples, their factors and the noise that these come from.

        Args:
            n: so many samples.
            generator: of all that is random.
            confounding: correlation of the noise of both causes, as a hidden common cause makes it;
                each by itself stays as it is. Above −1 and below 1.
        Raises:
            ValueError: a number out of its range.
        """
        check_whole(1, n=n)
        need(-1 < confounding < 1, f"confounding={confounding}: expected above -1 and below 1")
        noise = torch.randn(n, 4, generator=generator)
        alone = (1 - confounding**2) ** 0.5
        noise[:, 1] = confounding * noise[:, 0] + alone * noise[:, 1]
        factors = self.factors(noise)
        return self.observe(factors), factors, noise


class Simulation(World):
    """Linear and Gaussian before each factor goes through a sigmoid: effects are A times causes and
    noise of deviation `noise`. A fixed map, linear plus tanh, mixes the four into twelve numbers.
    """

    names = ("cause 1", "cause 2", "effect 1", "effect 2")
    A = torch.tensor([[0.9, -0.6], [0.5, 0.8]])
    noise = 0.4
    mix = torch.randn(16, 12, generator=random_stream(0))

    @classmethod
    def covariance(cls) -> Float64[Tensor, "4 4"]:
        """Of the factors' logits."""
        paths = torch.eye(4, dtype=torch.float64)
        paths[:2, 2:] = cls.A
        std = torch.tensor([1, 1, cls.noise, cls.noise], dtype=torch.float64)
        return paths.T @ torch.diag(std**2) @ paths

    def causes(self, noise: Tensor) -> Tensor:
        return noise.sigmoid()

    def effects(self, causes: Tensor, noise: Tensor) -> Tensor:
        return (causes.logit() @ self.A.to(causes) + self.noise * noise).sigmoid()

    def observe(self, factors: Tensor) -> Tensor:
        mix = self.mix.to(factors)
        mixed = factors.logit() @ mix[:4]
        return mixed / 2 + torch.tanh(mixed @ mix[4:] / 12**0.5)


class Pendulum(World):
    """`mdlib.data.pendulum` on DEAR's ranges: causes are uniform, effects have no noise; samples
    are grey pictures in [-1, 1], flat.

    Args:
        size: side of the pictures in pixels.
    """

    names = (*pendulum.CAUSES, *pendulum.EFFECTS)
    A = torch.tensor([[1, 1], [-1, 1]])

    def __init__(self, size: int = 32):
        check_whole(8, size=size)
        self.size = size

    def causes(self, noise: Tensor) -> Tensor:
        return torch.special.ndtr(noise)

    def effects(self, causes: Tensor, noise: Tensor) -> Tensor:
        return pendulum.effects(causes)

    def observe(self, factors: Tensor) -> Tensor:
        pictures = pendulum.render(pendulum.degrees(factors[:, :2]), self.size)
        return pictures.float().mean(1).flatten(1) / 127.5 - 1
