"""News about what watched definitions are built on: once a day, reported as events, and never adopted.

A base image whose tag names another image now than when the current generation was made, and versions of curated
environments in catalogues that are newer than those known here. Each finding is reported once. What a registry does not
answer is no news, and no end of earlier ones either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from roost.daemon.bases.resolve import BaseResolver
from roost.daemon.caller.current import use_caller
from roost.daemon.config.source import ConfigSource
from roost.daemon.curated.versions import CuratedVersions
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.events import Events
from roost.daemon.oci.answers import Unknown
from roost.daemon.oci.platforms import image_platform
from roost.daemon.oci.references import parse_reference
from roost.daemon.watch.reading import DefinitionReader, WatchSubject
from roost.model.errors import CodedError
from roost.model.records import Generation
from roost.store.index.index import Index

log = logging.getLogger(__name__)
NEWS_WORK = "watch-news"
"""Name of this among the daemon's idle work."""
DAY_SECONDS = 86400.0
MAX_LISTED = 20
"""Paths that an event lists."""


class _Base(msgspec.Struct, frozen=True):
    """The tag of a base image, for one platform."""

    text: str
    platform: str


class WatchNews:
    """Looks for news of what is watched."""

    def __init__(
        self,
        index: Index,
        events: Events,
        reader: DefinitionReader,
        bases: BaseResolver,
        curated: CuratedVersions,
        config: ConfigSource,
        watched: Callable[[], Sequence[WatchSubject]],
    ) -> None:
        """``watched``: what is watched now."""
        self._index = index
        self._events = events
        self._reader = reader
        self._bases = bases
        self._curated = curated
        self._config = config
        self._watched = watched

    async def look(self) -> None:
        """Look, and report what was not reported yet. Raises: StoreError."""
        known = await self._index.watches.list_news()
        subjects = self._watched()
        found = {**await self._find_moved_bases(known, subjects), **await self._find_newer_versions(known)}
        await self._index.watches.replace_news(found)

    async def _find_moved_bases(self, known: dict[str, str], subjects: Sequence[WatchSubject]) -> dict[str, str]:
        users: dict[_Base, list[tuple[WatchSubject, Generation]]] = {}
        for subject in subjects:
            for base, generation in await self._list_bases(subject):
                users.setdefault(base, []).append((subject, generation))
        found: dict[str, str] = {}
        for base, uses in users.items():
            key = f"base:{base.text}@{base.platform}"
            digest = await self._ask(base, uses[0][0])
            if digest is None:
                found |= {key: known[key]} if key in known else {}
                continue
            moved = [(subject, generation) for subject, generation in uses if generation.base_digest != digest]
            if moved:
                found[key] = digest
            if moved and known.get(key) != digest:
                await self._events.append(
                    "base-moved",
                    image=base.text,
                    platform=base.platform,
                    digest=digest,
                    was=moved[0][1].base_digest,
                    paths=sorted(subject.path for subject, _ in moved)[:MAX_LISTED],
                )
        return found

    async def _list_bases(self, subject: WatchSubject) -> list[tuple[_Base, Generation]]:
        """Return the tag that the image of a watched definition is on, with its current generation, if it has one."""
        definition = (await self._reader.read(subject)).definition
        if definition is None:
            return []
        generations = await self._index.generations.list_by_definition(definition.digest)
        current = [each for each in generations if each.current and each.base_digest is not None]
        if not current:
            return []
        try:
            text = _find_tag(definition.for_image())
        except CodedError:
            return []
        return [(_Base(text, image_platform(each.platform)), each) for each in current] if text is not None else []

    async def _ask(self, base: _Base, subject: WatchSubject) -> str | None:
        """Return the digest that the tag names now in its registry; ``None`` if that is not known."""
        try:
            with use_caller(subject.caller):
                answer = await self._bases.find_in_registry(parse_reference(base.text), base.platform)
        except CodedError as error:
            log.info("Whether %s has moved is not known: %s", base.text, error.message)
            return None
        return None if answer is None or isinstance(answer, Unknown) else answer.digest

    async def _find_newer_versions(self, known: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for location in self._config.registries.catalogues:
            prefix = f"curated:{location}:"
            try:
                newer = await self._curated.find_newer(location)
            except CodedError as error:
                log.info("Whether %s has newer environments is not known: %s", location, error.message)
                found |= {key: value for key, value in known.items() if key.startswith(prefix)}
                continue
            for name, (version, here) in newer.items():
                found[prefix + name] = str(version)
                if known.get(prefix + name) != str(version):
                    environment = f"{name}:{version}"
                    await self._events.append("curated-newer", environment=environment, known=here, registry=location)
        return found


def _find_tag(definition: TargetedDefinition) -> str | None:
    """Return the tag of the base image; ``None`` if a digest names it, or a Dockerfile decides it."""
    base = definition.definition.base
    if base is not None and (base.dockerfile is not None or base.context is not None):
        return None
    text = base.image if base is not None and base.image is not None else definition.defaults.base_image
    return None if parse_reference(text).digest is not None else text
