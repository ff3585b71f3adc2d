"""The suite of botrix.testing, with a creator of each kind (see conftest.py)."""

from botrix.testing import *  # noqa: F403
