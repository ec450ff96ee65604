"""What is usual before anything was learned: seconds for each unit of work of a step, on an ordinary laptop.

Separate from the model since these are data: which steps there are, and which amounts of work each has.
"""

from __future__ import annotations

from collections.abc import Mapping

FIXED = "fixed"
"""The amount of which every step has one."""
DOWNLOADS = ("channel", "index", "registry")
"""Amounts in bytes that are transferred: their part of a step's time is that of the step ``download``."""
TOTAL = "total"
"""The step that has all others in it, and what is between and behind them: ``shared`` if the lock is published in a
registry, which is waited for."""
EXACT = frozenset({"steps"})
"""Amounts whose rate is not learned, since it follows from how they are measured: every moment of a build counts for
one step (``jobs.step_clock``), so the whole takes as long as its steps and what is between them. Otherwise the second
that a registry adds to a short build would be learned as a multiple of it, and be predicted for long ones."""

PRIORS: Mapping[str, Mapping[str, float]] = {
    "solve": {FIXED: 0.5, "specs": 0.02},
    "lock-pip": {FIXED: 0.4, "specs": 0.03},
    "check-lock": {FIXED: 0.3, "packages": 0.003},
    "build-wheels": {FIXED: 0.2, "sources": 3.0},
    "link": {FIXED: 0.25, "packages": 0.004, "files": 4e-5, "unseen": 1e-8, "fetched": 0.02, "channel": 4e-8},
    "pip": {FIXED: 0.2, "packages": 0.004, "files": 5e-5, "unseen": 1e-8, "fetched": 0.03, "index": 5e-8},
    "project": {FIXED: 2.0},
    "bytecode": {FIXED: 0.08, "compiled": 5e-4, "compiled_bytes": 4e-7, "unseen": 2e-6, "linked": 4e-5},
    "scripts": {FIXED: 0.2},
    "publish": {FIXED: 0.1, "packages": 0.002, "files": 5e-5, "unseen": 1e-8},
    "base": {FIXED: 1.0},
    "docker-steps": {FIXED: 30.0},
    "layers": {FIXED: 0.2, "layers": 0.02, "bytes": 1e-7, "files": 5e-5, "sources": 5e-4, "unseen": 1e-7}
    | {"index": 5e-8},
    "load": {FIXED: 0.3, "layers": 0.03, "bytes": 4e-8, "registry": 4e-8},
    "pull": {FIXED: 1.0, "layers": 0.05, "bytes": 4e-8},
    "push": {FIXED: 0.3, "layers": 0.02, "bytes": 2e-8},
    TOTAL: {FIXED: 0.05, "steps": 1.0, "shared": 0.3},
}
"""Step to its amounts of work, each with its seconds for one unit: bytes, files, packages. ``unseen`` are the bytes of
packages, packed, that were never unpacked here: how many files they have is not known. Byte-code was once compiled
before a prefix was ready: what an older version learned has those amounts."""
