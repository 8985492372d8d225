"""Pictures as text: what is written is read again, and nothing else is."""

import pytest
import torch

from mdlib.figures import pictures


def test_images_come_back_from_their_text():
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    text = pictures.as_text(images)
    back = pictures.from_text(text)
    assert back.dtype == torch.uint8 and torch.equal(back, (255 * images).round().to(torch.uint8))
    assert pictures.as_text(back / 255) == text


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 5), torch.full((1, 1, 2, 2), 1.1)]
)
def test_no_text_of_other_images(images):
    with pytest.raises(ValueError, match=r"expected \[N, 1, S, S\], with values from 0 to 1"):
        pictures.as_text(images)


def test_a_text_that_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="begins with 'data:image/png"):
        pictures.from_text("iVBORw0KGgo")
