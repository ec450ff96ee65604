"""An inventory as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), by ``cyclonedx-python-lib``."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.schema import SchemaVersion
from cyclonedx.schema.schema import SCHEMA_VERSIONS
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from roost.daemon.sbom.composing import PREFIX
from roost.daemon.sbom.inventory import Inventory, InventoryEntry, Licence
from roost.wire.exchange import SbomEncoding

ROOT = "environment"
"""Reference of the environment itself."""
_XML = "http://cyclonedx.org/schema/bom/1.6"
_TYPES = {"image": ComponentType.CONTAINER, "python": ComponentType.PLATFORM}
_ALGORITHMS = {"sha256": HashAlgorithm.SHA_256, "md5": HashAlgorithm.MD5}


def write_cyclonedx(inventory: Inventory, encoding: SbomEncoding) -> str:
    """Return the document, as JSON or XML.

    The library writes metadata and components. Dependencies are added afterwards, because its graph takes time
    quadratic in their number, and compositions, because it does not know them yet.
    """
    bom, view = _build_bom(inventory), SCHEMA_VERSIONS[SchemaVersion.V1_6]
    if encoding == "xml":
        return _write_xml(bom.as_xml(view_=view, as_string=False, xmlns=_XML), inventory)
    content: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        **msgspec.json.decode(bom.as_json(view_=view)),
        "dependencies": list(_describe_dependencies(inventory)),
        "compositions": list(_describe_compositions(inventory)),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def _build_bom(inventory: Inventory) -> Bom:
    root = Component(
        type=ComponentType.APPLICATION,
        name=inventory.name,
        version=inventory.version or None,
        bom_ref=ROOT,
        properties=[
            *_properties(inventory.properties),
            *(Property(name=f"{PREFIX}gap", value=gap) for gap in inventory.gaps),
        ],
    )
    tool = Component(type=ComponentType.APPLICATION, name="roost", version=inventory.tool_version, bom_ref="roost")
    metadata = BomMetaData(component=root, timestamp=datetime.fromisoformat(inventory.created.replace("Z", "+00:00")))
    metadata.tools.components.add(tool)
    return Bom(
        serial_number=UUID(inventory.identity),
        metadata=metadata,
        components=[_build_component(entry) for entry in inventory.entries],
    )


def _build_component(entry: InventoryEntry) -> Component:
    return Component(
        type=_TYPES.get(entry.kind, ComponentType.LIBRARY),
        name=entry.name,
        version=entry.version or None,
        bom_ref=entry.reference,
        purl=PackageURL.from_string(entry.purl) if entry.purl else None,
        hashes=[HashType(alg=_ALGORITHMS[name], content=value) for name, value in entry.digests.items()],
        licenses=[_build_licence(entry.licence)] if entry.licence else [],
        external_references=list(_build_references(entry)),
        properties=list(_properties(entry.properties)),
    )


def _build_licence(licence: Licence) -> DisjunctiveLicense | LicenseExpression:
    if licence.name:
        return DisjunctiveLicense(name=licence.name)
    if is_supported_id(licence.expression):
        return DisjunctiveLicense(id=licence.expression)
    return LicenseExpression(licence.expression)


def _build_references(entry: InventoryEntry) -> Iterable[ExternalReference]:
    if entry.url:
        yield ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(entry.url))
    if entry.source:
        yield ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(entry.source))


def _properties(pairs: Iterable[tuple[str, str]]) -> Iterable[Property]:
    return (Property(name=name, value=value) for name, value in pairs)


def _describe_dependencies(inventory: Inventory) -> Iterable[dict[str, Any]]:
    yield {"ref": ROOT, "dependsOn": sorted(inventory.requires)}
    for entry in inventory.entries:
        yield {"ref": entry.reference, **({"dependsOn": sorted(entry.requires)} if entry.requires else {})}


def _describe_compositions(inventory: Inventory) -> Iterable[dict[str, Any]]:
    """Yield how complete the document is: 1. the packages of the environment, 2. of which packages it is not known what
    they require."""
    yield {"aggregate": "incomplete" if inventory.gaps else "complete", "assemblies": [ROOT]}
    if unknown := [entry.reference for entry in inventory.entries if entry.requires is None]:
        yield {"aggregate": "unknown", "dependencies": unknown}


def _write_xml(root: ElementTree.Element, inventory: Inventory) -> str:
    dependencies = ElementTree.SubElement(root, f"{{{_XML}}}dependencies")
    for dependency in _describe_dependencies(inventory):
        parent = ElementTree.SubElement(dependencies, f"{{{_XML}}}dependency", ref=dependency["ref"])
        for reference in dependency.get("dependsOn", ()):
            ElementTree.SubElement(parent, f"{{{_XML}}}dependency", ref=reference)
    compositions = ElementTree.SubElement(root, f"{{{_XML}}}compositions")
    for each in _describe_compositions(inventory):
        composition = ElementTree.SubElement(compositions, f"{{{_XML}}}composition")
        ElementTree.SubElement(composition, f"{{{_XML}}}aggregate").text = each["aggregate"]
        for part, tag in (("assemblies", "assembly"), ("dependencies", "dependency")):
            if part in each:
                parent = ElementTree.SubElement(composition, f"{{{_XML}}}{part}")
                for reference in each[part]:
                    ElementTree.SubElement(parent, f"{{{_XML}}}{tag}", ref=reference)
    ElementTree.register_namespace("", _XML)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
