"""Whether a ready prefix is still what was published: a few stats, on every hit."""

from __future__ import annotations

from roost.daemon.definitions.stamps import ABSENT, is_unchanged, stamp
from roost.model.records import Artifact
from roost.wire.plans import Reason


def find_drift(prefix: Artifact) -> Reason | None:
    """Why a ready prefix can't be used as it is; ``None`` where it can. Blocking, some 10 µs a guard."""
    for guard in prefix.guards:
        if not is_unchanged(guard):
            state = "is gone" if stamp(guard.path) == ABSENT else "was changed since the prefix was built"
            return Reason(code="prefix-drifted", message=f"{guard.path} {state}")
    return None
