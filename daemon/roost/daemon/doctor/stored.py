"""Checks of what roost has stored: the index, and what lies in the root."""

from __future__ import annotations

import os
import tempfile

from roost.daemon.credentials.redaction import redact
from roost.daemon.doctor.deadlines import run_apart
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.doctor.verdicts import judge_budget
from roost.daemon.gc.limits import resolve_limits
from roost.daemon.gc.triggers import sum_engines, sum_root
from roost.daemon.repair.inspection import inspect_root
from roost.model.errors import CodedError
from roost.store.disk.file_ops import measure_disk
from roost.store.migrations.examination import damaged_error

MOST_FINDINGS = 10
"""How many findings in the root are named."""


async def check_index(around: Surroundings) -> list[Check]:
    """Check the structure of the whole index (``PRAGMA quick_check``), on the connection for long queries."""
    path = around.layout.index_path
    faults = await around.index.list_faults()
    if not faults:
        return [Check(name="index", state="ok", message=f"{path} is intact")]
    damage = damaged_error(path, "; ".join(faults))
    return [Check(name="index", state="error", message=damage.message, hint=damage.hint)]


async def check_content(around: Surroundings) -> list[Check]:
    """Check what lies in the root: what belongs to nothing, what is missing, what was not deleted completely, modes."""
    try:
        found = await inspect_root(around.layout, around.index)
    except (CodedError, OSError) as error:
        return [Check(name="content", state="error", message=redact(str(error)))]
    faults = [finding for finding in found if finding.repairable]
    lines = [f"{os.path.join(around.root, finding.path)} {finding.message}" for finding in (*faults, *found)]
    lines = list(dict.fromkeys(lines))
    if not lines:
        return [Check(name="content", state="ok", message=f"all that is in {around.root} belongs there")]
    more = f"; and {len(lines) - MOST_FINDINGS} more" if len(lines) > MOST_FINDINGS else ""
    check = Check(
        name="content",
        state="error" if faults else "warning",
        message="; ".join(lines[:MOST_FINDINGS]) + more,
        hint="`roost doctor --repair` repairs that." if faults else "Move it elsewhere if you put it there.",
    )
    return [check]


async def check_budget(around: Surroundings) -> list[Check]:
    """Check how much is stored, by the sums of the index."""
    usage = await around.index.collection.map_usage()
    disk = await run_apart(measure_disk, around.root)
    limits = resolve_limits(around.config.cache, disk.total)
    return [judge_budget(sum_root(usage), limits.budget_bytes, sum_engines(usage), limits.image_bytes)]


async def check_root_writable(around: Surroundings) -> list[Check]:
    def write() -> None:
        with tempfile.TemporaryFile(dir=around.root) as probe:
            probe.write(b"roost")

    await run_apart(write)
    return [Check(name="root-writable", state="ok", message=around.root)]
