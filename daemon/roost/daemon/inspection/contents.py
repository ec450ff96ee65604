"""What is locked for a request, with all that is known of it on this machine. Locks and builds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.decision.images import is_unmodified
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.host_python.fit import format_provider
from roost.daemon.inspection.asked import Asked, collect_extras, list_asked
from roost.daemon.inspection.graph import Key, Package, WheelNeeds, build_graph
from roost.daemon.inspection.metadata import find_providers, read_needs
from roost.daemon.locks.platform_markers import marker_environment
from roost.daemon.oci.target_platforms import split_platform
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.errors import LookupFailedError
from roost.model.locks.lock import CondaPackage, HostPython, Lock, Wheel
from roost.model.records import Artifact
from roost.store.index.cache_keys import conda_key, wheel_key
from roost.store.store import Store
from roost.wire.inspection.packages import (
    AskView,
    LockedPackage,
    NeedView,
    PackagesView,
    VirtualPackage,
)
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import LocationView


class NeverLockedError(LookupFailedError):
    """There is no lock to look at: none was made yet, or roost installs nothing."""

    code = "never-locked"


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The lock of a request, and what this machine knows of it."""

    resolved: TargetedDefinition
    target: str
    lock: Lock
    lock_digest: str
    generation: int | None
    prefix: Artifact | None
    asked: tuple[Asked, ...]
    installed: Mapping[str, int]
    """Bytes on the disk by cache key, of what was unpacked on this machine."""
    graph: Mapping[Key, Package] = {}
    """Empty unless requested."""

    @property
    def unknown(self) -> list[str]:
        """Names of wheels of which it is not known what they need."""
        return sorted(each.name for each in self.graph.values() if not each.is_known and each.key[0] == "pip")


class Inspector:
    """Looks up what is locked in one store."""

    def __init__(self, store: Store, resolver: EnvironmentResolver, planner: Planner) -> None:
        self._store = store
        self._resolver = resolver
        self._planner = planner

    async def find(self, selector: EnvironmentSelector, target: str, *, needs: bool) -> Contents:
        """Return what is locked for ``selector``; ``needs``: with the graph of who needs whom.

        Raises NeverLockedError, and what resolving and finding a lock raise.
        """
        found = await self._resolver.resolve(selector)
        request = Request(definition=found.definition, target=target, ignore_image=selector.ignore_image)
        resolved, pinned = await self._resolver.target(found, request, selector)
        _refuse_unmanaged(resolved, selector)
        known = await self._planner.find_lock(resolved, request, pinned)
        index = self._store.index
        lock = known.lock or (await index.locks.find(known.digest) if known.digest else None)
        if lock is None or known.digest is None:
            raise _never_locked(resolved)
        prefix = known.prefix or await index.artifacts.find_ready("prefix", known.digest)
        asked = list_asked(resolved.parsed, lock)
        if resolved.environment is not None:  # the file that it was registered from says something else by now
            asked = [msgspec.structs.replace(each, location=None) for each in asked]
        keys = [*map(cache_key, lock.conda), *map(cache_key, lock.wheels)]
        files = [each for each in await index.caches.find(keys, []) if each.kind in ("package", "wheel")]
        contents = Contents(
            resolved=resolved,
            target="docker" if resolved.is_image else "local",
            lock=lock,
            lock_digest=known.digest,
            generation=known.generation.number if known.generation else None,
            prefix=prefix,
            asked=tuple(asked),
            installed={each.key: each.bytes for each in files if each.bytes},
        )
        if not needs:
            return contents
        paths = {each.key: each.id for each in files if each.kind == "wheel"}
        unpacked = {wheel.name: paths[key] for wheel in lock.wheels if (key := cache_key(wheel)) in paths}
        graph = await asyncio.to_thread(self._build_graph, lock, prefix, asked, unpacked)
        return msgspec.structs.replace(contents, graph=graph)

    def _build_graph(
        self, lock: Lock, prefix: Artifact | None, asked: Sequence[Asked], unpacked: Mapping[str, str]
    ) -> Mapping[Key, Package]:
        folder = prefix.path if prefix is not None else None
        environment = marker_environment(lock, split_platform(lock.platform)[0])
        if prefix is not None and prefix.python is not None:
            environment |= {"python_full_version": prefix.python.version}
        lines = read_needs(self._store.layout, folder, lock, unpacked)
        known = WheelNeeds(lines=lines, extras=collect_extras(asked))
        graph = build_graph(lock, environment, known)
        missing = [name for kind, name in graph if kind == "missing"]
        if missing and folder is not None and lock.conda and (provided := find_providers(folder, missing)):
            graph = build_graph(lock, environment, msgspec.structs.replace(known, provided=provided))
        return graph


def view_packages(contents: Contents) -> PackagesView:
    """Return what ``list`` and ``tree`` show."""
    resolved, lock = contents.resolved, contents.lock
    base = resolved.definition.base
    return PackagesView(
        definition_digest=resolved.digest,
        lock_digest=contents.lock_digest,
        platform=lock.platform,
        packages=list_packages(contents),
        target=contents.target,
        generation=contents.generation,
        python=format_provider(lock.provider) if isinstance(lock.provider, HostPython) else None,
        prefix=contents.prefix.path if contents.prefix is not None else None,
        project=resolved.project.name if resolved.project is not None else None,
        base=((base.image if base else None) or resolved.defaults.base_image) if resolved.is_image else None,
        virtual=[VirtualPackage(name=name, version=version) for name, version in sorted(lock.system.items())],
        unknown=contents.unknown,
        source=resolved.source,
        warnings=resolved.warnings,
    )


def list_packages(contents: Contents) -> list[LockedPackage]:
    """Return the packages of the lock: conda's, then pip's, by name."""
    asks: dict[Key, list[Asked]] = {}
    for each in contents.asked:
        asks.setdefault(each.key, []).append(each)
    lock, index = contents.lock, contents.installed
    found: list[tuple[Key, LockedPackage]] = [
        (("conda", each.name), _view_conda(each, index.get(cache_key(each)))) for each in lock.conda
    ]
    found += [(("pip", each.name), _view_wheel(each, index.get(cache_key(each)))) for each in lock.wheels]
    for jar in lock.jars:
        name = f"{jar.group}:{jar.name}"
        found.append((("jar", name), _view_file("jar", name, jar.version, jar.url, jar.file_name, jar.size)))
    for r in lock.r:
        found.append((("r", r.name), _view_file("r", r.name, r.version, r.url, r.file_name, r.size)))
    for key, package in found:
        package.asks = [view_ask(each) for each in asks.get(key, ())]
        package.asked = bool(package.asks)
        node = contents.graph.get(key)
        if node is not None and node.is_known:
            package.needs = [NeedView(kind=need.key[0], name=need.key[1], text=need.text) for need in node.needs]
    order = ("conda", "pip", "jar", "r")
    return [package for key, package in sorted(found, key=lambda each: (order.index(each[1].kind), each[1].name))]


def view_ask(asked: Asked) -> AskView:
    """Return a line of the definition."""
    where = asked.location
    return AskView(
        text=asked.text,
        location=LocationView(path=where.path, line=where.line, column=where.column) if where and where.line else None,
    )


def _refuse_unmanaged(resolved: TargetedDefinition, selector: EnvironmentSelector) -> None:
    """Raise NeverLockedError if the packages are not roost's."""
    if resolved.is_image and is_unmodified(resolved.definition):
        image = (resolved.definition.base.image if resolved.definition.base else None) or "image"
        option = f"--image {image}" if selector.image is not None else "-t docker"
        raise NeverLockedError(
            f"The image {image} is used as it is: roost installs nothing in it, and knows none of its packages",
            hint=f"Ask the image itself: `roost run {option} -- python -m pip list`.",
        )
    if resolved.definition.python.user_managed:
        interpreter = resolved.definition.python.interpreter
        command = "run -t docker" if resolved.is_image else "exec"
        raise NeverLockedError(
            f"The interpreter {interpreter} is its user's own: roost installs nothing for it, and knows no packages",
            hint=f"Ask the interpreter: `roost {command} -- python -m pip list`; `roost which` says where it is.",
        )


def _never_locked(resolved: TargetedDefinition) -> NeverLockedError:
    origin = resolved.source.path or resolved.source.name or "This definition"
    return NeverLockedError(
        f"{origin} was never locked for {resolved.platform}: its packages have not been chosen yet",
        hint="With the same options: `roost build` chooses and installs them, `roost lock --write` chooses them only, "
        "and `roost plan --solve` shows what would happen.",
        fields={"definition_digest": resolved.digest, "platform": resolved.platform},
    )


def cache_key(package: CondaPackage | Wheel) -> str:
    """Return what the caches call a package."""
    if isinstance(package, CondaPackage):
        return conda_key(f"{package.name}-{package.version}-{package.build}")
    return wheel_key(package.name, package.version)


def _view_conda(package: CondaPackage, installed: int | None) -> LockedPackage:
    return LockedPackage(
        name=package.name,
        version=package.version,
        kind="conda",
        source=_find_channel(package),
        bytes=package.size or None,
        asked=False,
        build=package.build,
        file=package.file_name,
        url=package.url,
        sha256=package.sha256,
        installed_bytes=installed,
    )


def _find_channel(package: CondaPackage) -> str:
    """Return the channel of a package: its name on a host of channels, else its URL."""
    place = package.url.rpartition("/")[0].removesuffix(f"/{package.subdir}")
    parts = urlsplit(place)
    path = parts.path.strip("/")
    if parts.scheme in ("http", "https") and parts.hostname and parts.hostname.startswith("conda.") and path:
        return path
    return place


def _view_wheel(wheel: Wheel, installed: int | None) -> LockedPackage:
    return LockedPackage(
        name=wheel.name,
        version=wheel.version,
        kind="pip",
        source=_describe_wheel(wheel),
        bytes=wheel.size or None,
        asked=False,
        file=wheel.file_name,
        url=wheel.url,
        sha256=wheel.sha256,
        installed_bytes=installed,
    )


def _describe_wheel(wheel: Wheel) -> str:
    if wheel.kind == "editable":
        return f"editable {wheel.path}"
    source = wheel.source
    if wheel.kind == "built" or (source is not None and not wheel.sha256):
        if source is not None and source.kind == "git":
            return f"git {source.url or ''}@{source.commit[:12]}".replace(" @", " ")
        return f"built from {(source.url if source else None) or wheel.folder or 'a local source'}"
    if wheel.url is None:
        return "local wheel"
    if wheel.kind == "index":
        return urlsplit(wheel.url).hostname or wheel.url
    return wheel.url


def _view_file(kind: str, name: str, version: str, url: str | None, file: str, size: int) -> LockedPackage:
    return LockedPackage(
        name=name,
        version=version,
        kind="jar" if kind == "jar" else "r",
        source=(urlsplit(url).hostname or url) if url else "local file",
        bytes=size or None,
        asked=False,
        file=file,
        url=url,
    )
