"""A plugin of pytest (``-p tests.support.kept_bytecode``): the byte-code of all that tests import is kept in a folder.

pytest compiles tests in a way of its own. Each process of each tier would do so again, as long as the environment says
that no byte-code is written. Loading this module has the effect: pytest loads ``conftest`` files, which import most,
before any hook. It concerns this process only: what tests start follows its own variables.
"""

from __future__ import annotations

import os
import sys

FOLDER = "ROOST_TEST_BYTECODE"
"""Names the folder."""

if folder := os.environ.get(FOLDER):
    sys.pycache_prefix, sys.dont_write_bytecode = folder, False
