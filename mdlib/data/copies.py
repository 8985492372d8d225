"""Made scenes, seen by sensors with noisy copies of the same numbers: their information is known.

After the data on which the book's gallery tries contrastive multiview coding: a scene is eight
independent standard Gaussian numbers, and sensor j has, of those in ``HELD[j]``, copies with
Gaussian noise of its own. It mixes them with as many private numbers again as a scene has, through
a map that can be undone: a rotation, tanh, and an isometry into 32 dimensions. So the information
that sensors share is that of the copies, in closed form (`gallery/multiview_coding`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mdlib.checks import check_whole
from mdlib.registry import random_stream

HELD = ((0, 1, 2, 3, 4, 5, 6, 7), (0, 1, 2), (3, 4, 5), (6, 7, 0))  # a sensor each
SIGMA = 0.3  # of a copy's noise
_NUMBERS, _DIM = 8, 32  # of a scene, and of what a sensor shows


class Scenes:
    """A source of scenes for the first `sensors` of `HELD`, 2 to 4.

    `seed` draws the sensors' maps, and then the scenes, on `device`: each call gives new ones.
    Raises ValueError for another number of sensors.
    """

    def __init__(self, sensors: int, seed: int = 0, device: str | torch.device = "cpu"):
        check_whole(2, len(HELD), sensors=sensors)
        self.held = HELD[:sensors]
        self.generator, self.device = random_stream(seed, device), torch.device(device)
        self.maps = []
        for held in self.held:
            n = len(held) + _NUMBERS
            rotation, isometry = (torch.linalg.qr(self._normal(m, n)).Q for m in (n, _DIM))
            self.maps.append((rotation, isometry.T))

    def __call__(
        self, scenes: int
    ) -> tuple[list[Float[Tensor, "scenes 32 1 1"]], Float[Tensor, "scenes 8"]]:
        """What each sensor shows of new scenes, and the scenes' numbers.

        Views are [N, 32, 1, 1], as images with a channel a dimension. Raises ValueError for fewer
        than one scene.
        """
        check_whole(1, scenes=scenes)
        numbers, views = self._normal(scenes, _NUMBERS), []
        for held, (rotation, isometry) in zip(self.held, self.maps, strict=True):
            copies = numbers[:, list(held)] + SIGMA * self._normal(scenes, len(held))
            hidden = torch.cat([copies, self._normal(scenes, _NUMBERS)], 1) @ rotation
            views.append((hidden.tanh() @ isometry)[..., None, None])
        return views, numbers

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)
