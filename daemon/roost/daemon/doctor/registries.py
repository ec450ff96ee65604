"""Checks of registries: whether each can be read, and the workspace written; uploads are begun and cancelled.

Separate since a registry is asked as locks and images ask it.
"""

from __future__ import annotations

import asyncio

from roost.daemon.config.config import ConfigError
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.doctor.verdicts import judge_registry
from roost.daemon.locks.artifact import lock_repository
from roost.daemon.oci.registries import list_locations
from roost.model.errors import CodedError

_SECONDS = 8.0


async def check_registries(around: Surroundings) -> list[Check]:
    """Check the workspace, the catalogues, and the mirrors of registries, all at once."""
    try:
        locations = await around.list_registries()
    except ConfigError:  # which is a result of its own
        locations = list_locations(around.config.registries)
    places: list[tuple[str, str]] = [(each.location, each.kind) for each in locations]
    mirrors = around.config.registries.mirrors.values()
    places += [(mirror, "mirror") for mirror in dict.fromkeys(each for found in mirrors for each in found)]
    if not places:
        message = "none is configured: locks and images are not shared (`roost registry add`)"
        return [Check(name="registry", state="ok", message=message)]
    return list(await asyncio.gather(*(_check_registry(around, location, kind) for location, kind in places)))


async def _check_registry(around: Surroundings, location: str, kind: str) -> Check:
    try:
        client = await around.engines.registry()
        probe = await asyncio.wait_for(client.probe(lock_repository(location)), _SECONDS)
    except asyncio.TimeoutError:
        message = f"the {kind} {location} did not answer within {_SECONDS:.0f} s"
        hint = "The registry is overloaded, or something in between drops packets: check the network, and try again."
        return Check(name="registry", state="error", message=message, hint=hint, subject=location)
    except CodedError as error:
        return Check(name="registry", state="error", message=error.message, hint=error.hint, subject=location)
    return judge_registry(location, kind, probe.read, probe.write)
