"""From locks to an inventory. Pure, and the same bytes for the same input."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

import msgspec

from roost.daemon.credentials.redaction import redact
from roost.daemon.inspection.graph import Key, WheelNeeds, build_graph
from roost.daemon.locks.platform_markers import marker_environment
from roost.daemon.sbom.distributions import Distribution
from roost.daemon.sbom.identifiers import (
    channel_name,
    conda_purl,
    image_purl,
    jar_purl,
    public_url,
    python_purl,
    r_purl,
    source_reference,
    wheel_purl,
)
from roost.daemon.sbom.inventory import (
    AskedPackage,
    BaseImage,
    EntryKind,
    Inventory,
    InventoryEntry,
    InventoryRequest,
    LockedPlatform,
)
from roost.daemon.sbom.licences import read_licence
from roost.model.locks.lock import CondaPackage, HostPython, Jar, Lock, RPackage, Wheel
from roost.wire.visible import make_visible

_NAMESPACE = uuid.UUID("5a0d7f1e-6c3b-5f0e-9a51-7d0c6c8f2b14")
"""Of the names that identities are derived from."""
_EPOCH = "1970-01-01T00:00:00Z"
PREFIX = "roost:"
"""Of the names of properties."""

_Distributions = Mapping[str, Distribution]


def compose_inventory(request: InventoryRequest, installed: Sequence[_Distributions]) -> Inventory:
    """Return the inventory of the locks of ``request``. ``installed`` has the distributions in the prefix of each; it
    is empty for a lock without one."""
    drafts = _Drafts()
    asked: dict[str, None] = {}
    gaps = list(request.gaps)
    for locked, distributions in zip(request.locks, installed, strict=True):
        asked.update(dict.fromkeys(_add_lock(drafts, locked, distributions, request.asked)))
        if isinstance(locked.lock.provider, HostPython):
            gaps.append(
                f"Python {locked.lock.provider.version} is the machine's own, and its parts are not listed "
                f"({locked.lock.platform})."
            )
    if request.base is not None:
        asked[drafts.add_base(request.base)] = None
        gaps.append("The packages in the base image are not listed.")
    return Inventory(
        name=make_visible(request.name),
        version=make_visible(request.version),
        identity=_identify(request),
        created=_find_creation(request.locks),
        tool_version=request.tool_version,
        properties=(
            (f"{PREFIX}definition", request.definition_digest),
            *((f"{PREFIX}lock", each.digest) for each in request.locks),
            *((f"{PREFIX}platform", each.lock.platform) for each in request.locks),
        ),
        requires=tuple(asked),
        entries=drafts.finish(),
        gaps=tuple(dict.fromkeys(gaps)),
    )


def _identify(request: InventoryRequest) -> str:
    content = [request.name, request.version, request.definition_digest, *sorted(each.digest for each in request.locks)]
    return str(uuid.uuid5(_NAMESPACE, "\n".join(make_visible(each) for each in content)))


def _find_creation(locks: Iterable[LockedPlatform]) -> str:
    """Return when the first of the locks was made. One that is stored nowhere is as old as its newest conda package."""
    stored = [each.created for each in locks if each.created is not None]
    if stored:
        return min(stored)
    stamps = [package.record.get("timestamp") for each in locks for package in each.lock.conda]
    newest = max((stamp for stamp in stamps if isinstance(stamp, int) and 0 < stamp < 1 << 43), default=0)
    if not newest:
        return _EPOCH
    return datetime.fromtimestamp(newest // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Drafts:
    """Entries by their reference. What several platforms share is one entry with both."""

    def __init__(self) -> None:
        self._entries: dict[str, InventoryEntry] = {}

    def add(self, entry: InventoryEntry) -> str:
        """Add an entry, or what it states beyond the one of its reference; return the reference."""
        known = self._entries.get(entry.reference)
        if known is None:
            self._entries[entry.reference] = entry
            return entry.reference
        requires = known.requires if entry.requires is None else (*(known.requires or ()), *entry.requires)
        self._entries[entry.reference] = msgspec.structs.replace(
            known,
            properties=tuple(dict.fromkeys((*known.properties, *entry.properties))),
            licence=known.licence or entry.licence,
            requires=None if requires is None else tuple(dict.fromkeys(requires)),
        )
        return entry.reference

    def add_base(self, base: BaseImage) -> str:
        reference, digest = redact(make_visible(base.reference)), base.digest or ""
        purl = image_purl(reference, digest)
        return self.add(
            InventoryEntry(
                reference=purl or f"image:{reference}",
                kind="image",
                name=reference,
                version=digest,
                purl=purl,
                properties=((f"{PREFIX}base", "the packages in this image are not listed"),),
            )
        )

    def finish(self) -> tuple[InventoryEntry, ...]:
        return tuple(entry for _, entry in sorted(self._entries.items()))


def _add_lock(
    drafts: _Drafts, locked: LockedPlatform, installed: _Distributions, asked: Sequence[AskedPackage]
) -> list[str]:
    """Add the packages of one lock, and return the references of those that the definition asks for."""
    lock = locked.lock
    entries: dict[Key, InventoryEntry] = {("conda", each.name): _describe_conda(each) for each in lock.conda}
    entries |= {("pip", each.name): _describe_wheel(each, installed.get(each.name)) for each in lock.wheels}
    entries |= {("jar", f"{each.group}:{each.name}"): _describe_jar(each) for each in lock.jars}
    entries |= {("r", each.name): _describe_r(each) for each in lock.r}
    names = {key: entry.reference for key, entry in entries.items()}
    required = _find_edges(lock, installed, asked)
    for key, entry in entries.items():
        needs = required.get(key)
        found = None if needs is None else dict.fromkeys(names[each] for each in needs if each in names and each != key)
        properties = (*entry.properties, (f"{PREFIX}platform", lock.platform))
        drafts.add(
            msgspec.structs.replace(entry, requires=None if found is None else tuple(found), properties=properties)
        )
    chosen = [names[each.kind, each.name] for each in asked if (each.kind, each.name) in names]
    if isinstance(lock.provider, HostPython):
        chosen.append(drafts.add(_describe_python(lock.provider, lock.platform)))
    return chosen or sorted(names.values())


def _find_edges(lock: Lock, installed: _Distributions, asked: Sequence[AskedPackage]) -> dict[Key, tuple[Key, ...]]:
    """Return which packages each one requires, of those for which that is known."""
    extras = {each.name: frozenset(each.extras) for each in asked if each.kind == "pip"}
    known = WheelNeeds(lines={name: each.requires for name, each in installed.items()}, extras=extras)
    graph = build_graph(lock, marker_environment(lock, lock.platform.partition("+")[0]), known)
    described = {each.name for each in lock.conda if isinstance(each.record.get("depends"), list | tuple)}
    return {
        key: tuple(need.key for need in package.needs)
        for key, package in graph.items()
        if package.is_known and (key[0] != "conda" or key[1] in described)
    }


def _describe_conda(package: CondaPackage) -> InventoryEntry:
    md5, licence = package.record.get("md5"), package.record.get("license")
    channel = channel_name(package)
    return _entry(
        "conda",
        package.name,
        package.version,
        conda_purl(package),
        content=package.sha256 or f"{package.subdir}/{package.file_name}",
        digests=_digests(package.sha256, md5 if isinstance(md5, str) else ""),
        licence=read_licence(licence) if isinstance(licence, str) else None,
        url=public_url(package.url),
        properties=[("build", package.build), ("subdir", package.subdir), ("channel", channel)],
    )


def _describe_wheel(wheel: Wheel, distribution: Distribution | None) -> InventoryEntry:
    source = wheel.source
    facts = [("file", wheel.file_name), ("source", "" if wheel.kind == "index" else wheel.kind)]
    vcs = ""
    if source is not None:
        facts += [("built-from", source.kind), ("built-from-sha256", source.sha256), ("commit", source.commit)]
        vcs = source_reference(source.url, source.commit) if source.kind == "git" else ""
    address = wheel.url or (source.url if source is not None and source.kind == "sdist" else None)
    return _entry(
        "pip",
        wheel.name,
        wheel.version,
        wheel_purl(wheel),
        content=wheel.sha256 or wheel.file_name or wheel.kind,
        digests=_digests("" if wheel.kind == "editable" else wheel.sha256, ""),
        licence=distribution.licence if distribution is not None else None,
        url=public_url(address),
        source=vcs,
        properties=facts,
    )


def _describe_jar(jar: Jar) -> InventoryEntry:
    name = f"{jar.group}:{jar.name}"
    digests = _digests(jar.sha256, "")
    return _entry("jar", name, jar.version, jar_purl(jar), content=jar.sha256, digests=digests, url=public_url(jar.url))


def _describe_r(package: RPackage) -> InventoryEntry:
    digests, url = _digests(package.sha256, ""), public_url(package.url)
    return _entry("r", package.name, package.version, r_purl(package), content=package.sha256, digests=digests, url=url)


def _describe_python(provider: HostPython, platform: str) -> InventoryEntry:
    purl = python_purl(provider.implementation, provider.version)
    facts = [("provider", "host"), ("threading", provider.threading), ("platform", platform)]
    return _entry("python", provider.implementation, provider.version, purl, content=purl, properties=facts)


def _entry(
    kind: EntryKind,
    name: str,
    version: str,
    purl: str,
    *,
    content: str,
    properties: Iterable[tuple[str, str]] = (),
    **fields: object,
) -> InventoryEntry:
    """Return an entry. Its reference is its package URL with the beginning of the digest of its content: two channels
    may have the same file name."""
    shown = [make_visible(each) for each in (name, version)]
    suffix = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    given = tuple((PREFIX + key, redact(make_visible(value))) for key, value in properties if value)
    made = InventoryEntry(
        reference=f"{purl or f'{kind}:{shown[0]}@{shown[1]}'}#{suffix}",
        kind=kind,
        name=shown[0],
        version=shown[1],
        purl=purl,
        properties=((f"{PREFIX}kind", kind), *given),
    )
    return msgspec.structs.replace(made, **fields)


def _digests(sha256: str, md5: str) -> dict[str, str]:
    """Return the sha256, or the md5 of a package that has no other digest."""
    if _is_hex(sha256, 64):
        return {"sha256": sha256.lower()}
    return {"md5": md5.lower()} if _is_hex(md5, 32) else {}


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and all(character in "0123456789abcdefABCDEF" for character in text)
