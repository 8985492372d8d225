"""What most tests of gallery chapters ask for: what the chapter that CHAPTER names defines."""

import pytest
from chapter_cells import namespace, text


@pytest.fixture(scope="module")
def chapter(request):
    """What the test's chapter defines, with its own parameters."""
    return namespace(text(request.module.CHAPTER))
