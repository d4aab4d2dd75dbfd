"""Loads what the tests by chance go by, before any of them is read."""

from __future__ import annotations

import tests.hypothesis_profile  # noqa: F401
