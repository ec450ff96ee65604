"""The job that writes an inventory. Runs in a worker: the libraries and 500 packages take 40 MB."""

from __future__ import annotations

import importlib
import sys

from roost.daemon.inspection.metadata import read_metadata
from roost.daemon.sbom.distributions import Distribution, describe_distribution, parse_headers
from roost.daemon.sbom.inventory import InventoryRequest, LockedPlatform, WrittenInventory
from roost.daemon.workers.context import JobContext
from roost.model.errors import CodedError
from roost.store.disk.layout import Layout

_LIBRARIES = {"cyclonedx": "cyclonedx-python-lib", "spdx": "spdx-tools"}


class SbomLibraryMissingError(CodedError):
    """The library of a format is not installed: it belongs to the extra ``sbom``."""

    code = "sbom-library-missing"
    exit_status = 1
    http_status = 501


def write_inventory(request: InventoryRequest, context: JobContext) -> WrittenInventory:
    """Return the document that ``request`` names. Blocks.

    Raises: SbomLibraryMissingError.
    """
    context.begin("reading what is installed")
    layout = Layout(request.root)
    installed = [_read_distributions(layout, each) for each in request.locks]
    context.end("reading what is installed")
    try:
        composed = importlib.import_module("roost.daemon.sbom.composing").compose_inventory(request, installed)
        if request.format == "cyclonedx":
            write = importlib.import_module("roost.daemon.sbom.cyclonedx_text").write_cyclonedx
        else:
            write = importlib.import_module("roost.daemon.sbom.spdx_text").write_spdx
    except ModuleNotFoundError as error:
        raise _missing_error(request.format, error) from error
    return WrittenInventory(
        text=write(composed, request.encoding),
        packages=len(composed.entries),
        gaps=composed.gaps,
        unknown_licences=sum(each.licence is None for each in composed.entries if each.kind in ("conda", "pip")),
        unknown_requirements=sum(each.requires is None for each in composed.entries if each.kind in ("conda", "pip")),
    )


def _read_distributions(layout: Layout, locked: LockedPlatform) -> dict[str, Distribution]:
    texts = read_metadata(layout, locked.prefix, locked.lock, locked.unpacked)
    return {name: describe_distribution(parse_headers(text)) for name, text in texts.items()}


def _missing_error(format: str, error: ModuleNotFoundError) -> CodedError:
    library = _LIBRARIES[format]
    return SbomLibraryMissingError(
        f"{library}, which writes {'CycloneDX' if format == 'cyclonedx' else 'SPDX'}, is not installed "
        f"(no module {error.name})",
        hint=f"Install roost with the extra `sbom`, or the library alone: {sys.executable} -m pip install {library}",
        fields={"library": library},
    )
