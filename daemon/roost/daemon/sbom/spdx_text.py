"""An inventory as SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/), by ``spdx-tools``."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from datetime import datetime

import msgspec
from license_expression import LicenseExpression
from spdx_tools.common.spdx_licensing import spdx_licensing
from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    Checksum,
    ChecksumAlgorithm,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    ExtractedLicensingInfo,
    Package,
    PackagePurpose,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)
from spdx_tools.spdx.validation.uri_validators import validate_download_location
from spdx_tools.spdx.writer.tagvalue.tagvalue_writer import write_document

from roost.daemon.sbom.inventory import Inventory, InventoryEntry, Licence
from roost.wire.exchange import SbomEncoding

_DOCUMENT, _ROOT = "SPDXRef-DOCUMENT", "SPDXRef-environment"
_NAMESPACE = "https://spdx.org/spdxdocs/roost-"
"""The specification's own advice for documents that are at no address (6.5)."""
_ALGORITHMS = {"sha256": ChecksumAlgorithm.SHA256, "md5": ChecksumAlgorithm.MD5}
_PURPOSES = {"image": PackagePurpose.CONTAINER, "python": PackagePurpose.APPLICATION}
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9.-]+")
_LICENCE_REF = "LicenseRef-"


def write_spdx(inventory: Inventory, encoding: SbomEncoding) -> str:
    """Return the document, as JSON or as tags and values."""
    document = _build_document(inventory)
    if encoding == "tag-value":
        text = io.StringIO()
        write_document(document, text)
        return text.getvalue()
    content = msgspec.json.encode(DocumentConverter().convert(document))
    return msgspec.json.format(content, indent=1).decode() + "\n"


def _build_document(inventory: Inventory) -> Document:
    licences = _Licences()
    ids = {entry.reference: _entry_id(entry) for entry in inventory.entries}
    packages = [_build_root(inventory), *(_build_package(ids, entry, licences) for entry in inventory.entries)]
    relations = [Relationship(_DOCUMENT, RelationshipType.DESCRIBES, _ROOT)]
    relations += [Relationship(_ROOT, RelationshipType.CONTAINS, each) for each in ids.values()]
    relations += [Relationship(_ROOT, RelationshipType.DEPENDS_ON, ids[each]) for each in inventory.requires]
    for entry in inventory.entries:
        relations += _relate(ids, entry)
    return Document(
        CreationInfo(
            "SPDX-2.3",
            _DOCUMENT,
            _plain(inventory.name) or "environment",
            _NAMESPACE + inventory.identity,
            [Actor(ActorType.TOOL, f"roost-{inventory.tool_version}")],
            datetime.strptime(inventory.created[:19], "%Y-%m-%dT%H:%M:%S"),
            document_comment=" ".join(inventory.gaps) or None,
        ),
        packages,
        relationships=relations,
        extracted_licensing_info=licences.list_extracted(),
    )


def _entry_id(entry: InventoryEntry) -> str:
    """Return the identifier of an entry: letters, digits, dots and hyphens only (3.2)."""
    shown = _NOT_IN_IDS.sub("-", f"{entry.kind}-{entry.name}-{entry.version}")[:80]
    return f"SPDXRef-{shown}-{hashlib.sha256(entry.reference.encode()).hexdigest()[:12]}"


def _build_root(inventory: Inventory) -> Package:
    return Package(
        spdx_id=_ROOT,
        name=_plain(inventory.name) or "environment",
        version=_plain(inventory.version) or None,
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        license_concluded=SpdxNoAssertion(),
        license_declared=SpdxNoAssertion(),
        copyright_text=SpdxNoAssertion(),
        primary_package_purpose=PackagePurpose.OTHER,
        comment=_comment([*inventory.properties, *(("roost:gap", gap) for gap in inventory.gaps)]),
    )


def _build_package(ids: dict[str, str], entry: InventoryEntry, licences: _Licences) -> Package:
    place = entry.source or entry.url
    purl = [ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", entry.purl)] if entry.purl else []
    return Package(
        spdx_id=ids[entry.reference],
        name=_plain(entry.name) or "unnamed",
        version=_plain(entry.version) or None,
        download_location=place if place and not validate_download_location(place) else SpdxNoAssertion(),
        files_analyzed=False,
        checksums=[Checksum(_ALGORITHMS[name], value) for name, value in entry.digests.items()],
        license_concluded=SpdxNoAssertion(),
        license_declared=licences.declare(entry.licence) if entry.licence else SpdxNoAssertion(),
        copyright_text=SpdxNoAssertion(),
        external_references=purl,
        primary_package_purpose=_PURPOSES.get(entry.kind, PackagePurpose.LIBRARY),
        comment=_comment(entry.properties),
    )


def _relate(ids: dict[str, str], entry: InventoryEntry) -> Iterable[Relationship]:
    own = ids[entry.reference]
    if entry.requires is None:
        return [Relationship(own, RelationshipType.DEPENDS_ON, SpdxNoAssertion())]
    return [Relationship(own, RelationshipType.DEPENDS_ON, ids[each]) for each in entry.requires]


def _comment(properties: Iterable[tuple[str, str]]) -> str | None:
    """Return properties as one line, which no format breaks."""
    return _plain("; ".join(f"{name}={value}" for name, value in properties)) or None


def _plain(text: str) -> str:
    """Return ``text`` as a value that the grammar of tags and values does not take for something else (4.3)."""
    text = text.replace("<text>", "(text)").replace("</text>", "(/text)").strip()
    return f'"{text}"' if text in ("NOASSERTION", "NONE") else text


class _Licences:
    """Declared licences. What SPDX does not list is in the document with the package's own words (10)."""

    def __init__(self) -> None:
        self._extracted: dict[str, str] = {}

    def declare(self, licence: Licence) -> LicenseExpression:
        if not licence.expression:
            return spdx_licensing.parse(self._extract(licence.name))
        info = spdx_licensing.validate(licence.expression)
        unknown = [str(each) for each in info.invalid_symbols]
        if info.errors and not (unknown and all(each.startswith(_LICENCE_REF) for each in unknown)):
            return spdx_licensing.parse(self._extract(licence.expression))
        self._extracted.update({each: f"{each}, which the package names without its text" for each in unknown})
        return spdx_licensing.parse(licence.expression)

    def list_extracted(self) -> list[ExtractedLicensingInfo]:
        known = sorted(self._extracted.items())
        return [ExtractedLicensingInfo(license_id=name, extracted_text=text) for name, text in known]

    def _extract(self, words: str) -> str:
        shown = _NOT_IN_IDS.sub("-", words).strip("-")[:40]
        name = f"{_LICENCE_REF}{shown}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
        self._extracted[name] = _plain(words) or "unnamed"
        return name
