"""What the figures' tests share."""

import pytest

from backspike.train.data import digits


@pytest.fixture(scope="session")
def few():
    """Digits, six batches of them."""
    return digits().limited(16 * 6)
