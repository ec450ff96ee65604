"""Inventories for tests, and whether a document is valid by the standards' own libraries."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from roost.daemon.sbom.inventory import AskedPackage, BaseImage, InventoryRequest, LockedPlatform
from roost.daemon.workers.context import JobContext
from roost.model.locks.lock import Lock, digest_lock

ENCODINGS = (("cyclonedx", "json"), ("cyclonedx", "xml"), ("spdx", "json"), ("spdx", "tag-value"))


def context() -> JobContext:
    return JobContext(lambda frame: None)


def request(
    *locks: Lock,
    format: str = "cyclonedx",
    encoding: str = "json",
    name: str = "train",
    asked: tuple[AskedPackage, ...] = (),
    base: BaseImage | None = None,
    gaps: tuple[str, ...] = (),
    prefix: str | None = None,
    created: str | None = "2026-01-02T03:04:05Z",
) -> InventoryRequest:
    return InventoryRequest(
        name=name,
        version="3",
        definition_digest="sha256:" + "1" * 64,
        locks=tuple(
            LockedPlatform(lock=lock, digest=digest_lock(lock), created=created, prefix=prefix) for lock in locks
        ),
        asked=asked,
        base=base,
        gaps=gaps,
        format=format,  # type: ignore[arg-type]
        encoding=encoding,  # type: ignore[arg-type]
        tool_version="1.2.3",
        root="/nowhere",
    )


@cache
def _cyclonedx_validator(encoding: str) -> Any:
    """Return the validator, which reads its schema at its first use."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from cyclonedx.validation.xml import XmlValidator

    return (JsonStrictValidator if encoding == "json" else XmlValidator)(SchemaVersion.V1_6)


def find_faults(text: str, format: str, encoding: str) -> list[str]:
    """Return what the standard's library objects to in a document."""
    if format == "cyclonedx":
        fault = _cyclonedx_validator(encoding).validate_str(text)
        return [] if fault is None else [str(fault)]
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.parser.tagvalue.parser import Parser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    if encoding == "json":
        document = JsonLikeDictParser().parse(json.loads(text))
    else:  # its parser would write tables and a log into the installation
        document = Parser(debug=False, write_tables=False).parse(text)
    return [each.validation_message for each in validate_full_spdx_document(document)]
