"""What the tests of the documentation share."""

from collections.abc import Iterator

import pytest
from registered import restored


@pytest.fixture(autouse=True)
def without_traces() -> Iterator[None]:
    """Forget afterwards what a document or an example registers."""
    with restored():
        yield
