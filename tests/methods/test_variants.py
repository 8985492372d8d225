"""The variants of codes in two parts can be made, are told apart, and have names for figures."""

import pytest

from mdlib.methods import REGISTRY, create
from mdlib.methods.variants import DECODING, PARTITIONED_BYOL, TITLES, VARIANTS
from mdlib.notebook import chapters


@pytest.mark.parametrize("name", VARIANTS)
def test_each_is_a_method_with_options_that_it_has(name):
    kind, options = VARIANTS[name]
    made = create(kind, image_shape=(1, 8, 8), latent_dim=6, arch="mlp-small", **options)
    assert hasattr(made, "decode") == (name in DECODING)
    assert options.items() <= made.options.items()


def test_no_two_are_the_same_and_each_has_a_title():
    assert len({str(variant) for variant in VARIANTS.values()}) == len(VARIANTS)
    assert set(VARIANTS) <= {*TITLES, *REGISTRY}
    assert len(set(TITLES.values())) == len(TITLES) - 1  # both untrained ones have one name
    with pytest.raises(ValueError, match="unknown variant 'repell': did you mean 'repel'"):
        VARIANTS["repell"]


def test_the_chapter_that_runs_them_takes_them_all():
    chapter = chapters.find("experiments/partitioned")
    chapter.check({"variants": ",".join(VARIANTS)})
    with pytest.raises(ValueError, match="parameter 'variants'"):
        chapter.check({"variants": "supervised"})
    assert set(PARTITIONED_BYOL) < set(VARIANTS)
