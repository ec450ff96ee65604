"""The index: what roost knows, in SQLite. Every method is one transaction or one snapshot, and one hop to a thread.

Any method may raise ``StoreFullError`` (a write, on a full disk: nothing of it is kept), ``IndexDamagedError`` or
``StoreError``. Methods that change something return when it is on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from roost.model.locks.lock import Lock
from roost.model.names import VersionReference
from roost.model.package_uses import UsePage, Uses
from roost.model.records import (
    Artifact,
    BaseRecord,
    BuildRecord,
    CuratedRows,
    EnvironmentBody,
    EnvironmentRow,
    EnvironmentVersion,
    Estimate,
    Event,
    Generation,
    ImageRecord,
    IndexFacts,
    Known,
    LayerRecord,
    Lease,
    NewGeneration,
    NewVersion,
    Registered,
    RunRecord,
)
from roost.store.clock import utc_now
from roost.store.index import artifacts as index_artifacts
from roost.store.index import definitions, forms, history
from roost.store.index import environments as index_environments
from roost.store.index import generations as index_generations
from roost.store.index import images as index_images
from roost.store.index import layers as index_layers
from roost.store.index import where_used as index_who
from roost.store.index.database import Database
from roost.store.index.forms import Digests, Forms
from roost.store.index.where_used import KnownPackage

OPEN_BUILD_STATES = ("queued", "solving", "building")


class Index:
    """See the module. ``database`` is for the protocols of this package, not for other callers."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    async def open(cls, path: str) -> Index:
        """Open or make the index at ``path``; raises as ``Database.open``."""
        return cls(await Database.open(path))

    async def close(self) -> None:
        await self.database.close()

    # -- plans ---------------------------------------------------------------------------------------------------

    async def facts(
        self, definition_digest: str, platform: str, steps: Sequence[str] = (), *, number: int | None = None
    ) -> IndexFacts:
        """All that a plan needs, on one snapshot; ``number`` asks for that generation instead of the current one."""
        return await self.database.read(facts_of, definition_digest, platform, steps, number)

    # -- definitions, settings, locks ----------------------------------------------------------------------------

    async def remember_definition(
        self, digest: str, canonical: bytes, name: str | None = None, source: str | None = None
    ) -> None:
        """Keep a definition and that it was seen now. Cheap when this path's last sighting was just that."""
        if not await self.database.read(definitions.seen_last, digest, name, source):
            await self.database.write(definitions.remember_definition, digest, canonical, name, source)

    async def known_definition(self, digest: str) -> Known | None:
        return await self.database.read(definitions.known_definition, digest)

    async def nearest_candidates(
        self, name: str | None = None, source: str | None = None, limit: int = 1000
    ) -> list[Known]:
        """The last of the same path, then of the same name, then the latest; each definition once."""
        return await self.database.scan(definitions.nearest_candidates, name, source, limit)

    async def settings(self, digest: str) -> bytes | None:
        """The canonical settings of that digest."""
        return await self.database.read(definitions.settings, digest)

    async def put_lock(self, lock: Lock) -> str:
        """Keep a lock that no generation points at yet; its digest."""
        return await self.database.write(definitions.put_lock, lock)

    async def lock(self, lock_digest: str) -> Lock | None:
        return await self.database.scan(definitions.lock, lock_digest)

    async def has_lock(self, lock_digest: str) -> bool:
        return await self.database.read(definitions.has_lock, lock_digest)

    # -- environments --------------------------------------------------------------------------------------------

    async def register(self, new: NewVersion) -> Registered:
        """Number it as the next version, unless one that is the same makes that needless, and label it, all in one.
        Raises ``VersionTakenError``."""
        return await self.database.write(index_environments.register, new)

    async def register_all(self, new: Sequence[NewVersion]) -> list[Registered]:
        """All of them, or none."""
        return await self.database.write(index_environments.register_all, new)

    async def register_locked(self, new: NewVersion, generation: NewGeneration, lock: Lock) -> Registered:
        """Register ``new``, and where its definition has no generation yet, make ``lock`` its first: all in one."""
        return await self.database.write(index_environments.register_locked, new, generation, lock)

    async def environment(self, reference: VersionReference) -> EnvironmentVersion:
        """The version that it names. Raises ``EnvironmentUnknownError``."""
        return await self.database.read(index_environments.environment_version, reference)

    async def environment_body(self, name: str, version: int) -> EnvironmentBody:
        """What a version is. Raises ``EnvironmentUnknownError``."""
        return await self.database.read(index_environments.environment_body, name, version)

    async def same_version(self, name: str, definition_digest: str, settings_digest: str) -> EnvironmentVersion | None:
        """The newest version of that name with this definition and settings."""
        return await self.database.read(index_environments.same_version, name, definition_digest, settings_digest)

    async def environments(
        self, limit: int = 100, after: str = "", *, archived: bool = False, curated: CuratedRows = "without"
    ) -> list[EnvironmentRow]:
        """By name, those behind ``after``, each with its latest version."""
        return await self.database.scan(index_environments.environments, limit, after, archived, curated)

    async def versions(
        self, name: str, limit: int = 100, before: int | None = None, *, archived: bool = False
    ) -> list[EnvironmentVersion]:
        """Of one environment, the newest first. Raises ``EnvironmentUnknownError``."""
        return await self.database.scan(index_environments.versions, name, limit, before, archived)

    async def versions_of_definition(self, digest: str) -> list[EnvironmentVersion]:
        """All versions that hold this definition, by name and version."""
        return await self.database.scan(index_environments.versions_of_definition, digest)

    async def version_forms(self, wanted: Sequence[Digests]) -> list[Forms]:
        """The canonical definition and settings of each of ``wanted``, which must be those of versions."""
        return await self.database.scan(forms.version_forms, wanted)

    async def put_labels(self, name: str, labels: Sequence[str], version: int) -> EnvironmentVersion:
        """Set or move labels. Raises ``EnvironmentUnknownError``."""
        return await self.database.write(index_environments.put_labels, name, labels, version)

    async def drop_label(self, name: str, label: str) -> None:
        """Raises ``EnvironmentUnknownError``."""
        await self.database.write(index_environments.drop_label, name, label)

    async def set_archived(self, name: str, version: int | None, archived: bool) -> None:
        """Hide an environment, or one version, or bring it back. Raises ``EnvironmentUnknownError``."""
        await self.database.write(index_environments.set_archived, name, version, archived)

    # -- generations ---------------------------------------------------------------------------------------------

    async def current_generation(self, definition_digest: str, platform: str) -> Generation | None:
        return await self.database.read(index_generations.current_generation, definition_digest, platform)

    async def generation(self, definition_digest: str, platform: str, number: int) -> Generation | None:
        return await self.database.read(index_generations.generation, definition_digest, platform, number)

    async def generations(self, definition_digest: str) -> list[Generation]:
        """All of a definition, by platform and number."""
        return await self.database.read(index_generations.generations, definition_digest)

    async def generations_of_lock(self, lock_digest: str) -> list[Generation]:
        """All that chose this lock, the oldest first."""
        return await self.database.read(index_generations.generations_of_lock, lock_digest)

    async def add_generation(self, new: NewGeneration, lock: Lock) -> Generation:
        """Keep the lock, number it as the next generation (from 1, no gaps) and make it current, all in one."""
        return await self.database.write(index_generations.add_generation, new, lock)

    async def promote(self, definition_digest: str, platform: str, number: int) -> Generation:
        """Make that generation current; raises ``GenerationUnknownError``."""
        return await self.database.write(index_generations.promote, definition_digest, platform, number)

    async def roll_back(
        self, definition_digest: str, platform: str, number: int | None = None
    ) -> tuple[Generation, Generation]:
        """Make generation ``number``, or the one before the current one, current: what was, and what is now. Raises
        ``GenerationUnknownError``."""
        return await self.database.write(index_generations.roll_back, definition_digest, platform, number)

    # -- where packages are used ---------------------------------------------------------------------------------

    async def known_packages(self, name: str) -> list[KnownPackage]:
        """All versions of a package (its name in any spelling that PEP 503 takes for the same) that locks hold."""
        return await self.database.read(index_who.known_packages, name)

    async def where_used(self, name: str, ids: Sequence[int], limit: int = 100, part: UsePage | None = None) -> Uses:
        """What holds one of these packages (by ``KnownPackage.id``) of that name, or one more ``part`` of a kind.
        Raises ``PlaceInvalidError``."""
        return await self.database.scan(index_who.where_used, name, ids, limit, part)

    # -- artifacts, leases, pins ---------------------------------------------------------------------------------

    async def ready_artifact(self, kind: str, key: str) -> Artifact | None:
        return await self.database.read(index_artifacts.ready_artifact, kind, key)

    async def artifact(self, artifact_id: str) -> Artifact | None:
        """In whatever state; only a ``ready`` one may be used."""
        return await self.database.read(index_artifacts.artifact, artifact_id)

    async def artifacts(self) -> list[Artifact]:
        """All in whatever state, the oldest first."""
        return await self.database.scan(index_artifacts.artifacts)

    async def touch_artifact(self, artifact_id: str, when: str | None = None) -> None:
        """Record a use, now or at ``when``."""
        await self.database.write(index_artifacts.touch_artifact, artifact_id, when or utc_now())

    async def put_lease(self, lease_id: str, subject: str, holder: str, expires: str) -> None:
        """Protect an artifact's id or a lock digest until ``expires`` (RFC 3339 UTC); the same id again renews."""
        await self.database.write(index_artifacts.put_lease, lease_id, subject, holder, expires)

    async def drop_lease(self, lease_id: str) -> bool:
        return await self.database.write(index_artifacts.drop_lease, lease_id)

    async def leases(self, now: str | None = None) -> list[Lease]:
        """Those that have not expired."""
        return await self.database.read(index_artifacts.leases, now or utc_now())

    async def pin(self, subject: str) -> None:
        """Protect an artifact's id or a lock digest until it is unpinned."""
        await self.database.write(index_artifacts.pin, subject)

    async def unpin(self, subject: str) -> bool:
        return await self.database.write(index_artifacts.unpin, subject)

    async def pins(self) -> list[str]:
        return await self.database.read(index_artifacts.pins)

    # -- builds and runs -----------------------------------------------------------------------------------------

    async def insert_build(self, build: BuildRecord) -> None:
        await self.database.write(history.insert_record, build)

    async def update_build(self, build_id: str, **fields: object) -> BuildRecord:
        """Change fields; what it is afterwards. Raises ``RecordUnknownError``."""
        return await self.database.write(history.update_record, BuildRecord, build_id, fields)

    async def build(self, build_id: str) -> BuildRecord | None:
        return await self.database.read(history.record, BuildRecord, build_id)

    async def builds(self, limit: int = 100, before: str | None = None) -> list[BuildRecord]:
        """Newest first; ``before`` is the id of the last one of the page before."""
        return await self.database.scan(history.records, BuildRecord, limit, before)

    async def begin_run(
        self, run: RunRecord, seen: Known, settings: bytes, kind: str, fields: Mapping[str, object]
    ) -> tuple[RunRecord, Event]:
        """Keep a new run, the definition (as it was ``seen``) and the canonical settings that it runs in, and the
        event ``kind`` that tells of it: all of it or nothing."""
        return await self.database.write(history.begin_run, run, seen, settings, kind, fields)

    async def end_run(
        self, run_id: str, end: Mapping[str, object], kind: str, fields: Mapping[str, object]
    ) -> tuple[RunRecord, Event | None]:
        """Change a run to one that is over, with the event ``kind`` that tells of it. One that is over already stays as
        it is, without an event. Raises ``RecordUnknownError``."""
        return await self.database.write(history.end_run, run_id, end, kind, fields)

    async def update_run(self, run_id: str, **fields: object) -> RunRecord:
        """Change fields; what it is afterwards. Raises ``RecordUnknownError``."""
        return await self.database.write(history.update_record, RunRecord, run_id, fields)

    async def run(self, run_id: str) -> RunRecord | None:
        return await self.database.read(history.record, RunRecord, run_id)

    async def runs(self, limit: int = 100, before: str | None = None) -> list[RunRecord]:
        """Newest first; ``before`` is the id of the last one of the page before."""
        return await self.database.scan(history.records, RunRecord, limit, before)

    async def open_runs(self) -> list[RunRecord]:
        """Those that have not ended, the oldest first."""
        return await self.database.read(history.records_in, RunRecord, history.OPEN_RUN_STATES)

    async def open_builds(self) -> list[BuildRecord]:
        """Those that have not ended, the oldest first."""
        return await self.database.read(history.records_in, BuildRecord, OPEN_BUILD_STATES)

    # -- layers of images ----------------------------------------------------------------------------------------

    async def put_layer(self, layer: LayerRecord) -> None:
        """Keep a layer whose blob is complete, synced and in place."""
        await self.database.write(index_layers.put_layer, layer)

    async def layers(self, keys: Sequence[str]) -> dict[str, LayerRecord]:
        """Key to layer, for those that are kept."""
        return await self.database.read(index_layers.layers, keys)

    async def all_layers(self) -> list[LayerRecord]:
        """The last used first."""
        return await self.database.scan(index_layers.all_layers)

    async def touch_layers(self, keys: Sequence[str]) -> None:
        """Record a use."""
        await self.database.write(index_layers.touch_layers, keys)

    async def drop_layers(self, digests: Sequence[str]) -> None:
        """Forget the blobs of those digests."""
        await self.database.write(index_layers.drop_layers, digests)

    # -- images --------------------------------------------------------------------------------------------------

    async def put_base(self, base: BaseRecord) -> None:
        """Keep a base image, or what docker steps made."""
        await self.database.write(index_images.put_base, base)

    async def base(self, digest: str) -> BaseRecord | None:
        """By its config digest."""
        return await self.database.read(index_images.base, digest)

    async def publish_image(
        self,
        artifact: Artifact | None,
        image: ImageRecord,
        lock: Lock,
        generation: NewGeneration | Generation | None,
    ) -> tuple[Artifact | None, Generation | None]:
        """Record an image that is complete, with its lock and generation, all in one; ``artifact``: in the engine."""
        return await self.database.write(index_images.publish_image, artifact, image, lock, generation)

    async def put_image(self, image: ImageRecord) -> ImageRecord:
        """Keep what is known of an image; its places add up."""
        return await self.database.write(index_images.put_image, image)

    async def image(self, key: str) -> ImageRecord | None:
        """By its image key."""
        return await self.database.read(index_images.find_image, key)

    async def images(self) -> list[ImageRecord]:
        """All, the latest first."""
        return await self.database.scan(index_images.images)

    # -- events and durations ------------------------------------------------------------------------------------

    async def append_event(self, kind: str, fields: Mapping[str, object] | None = None) -> Event:
        return await self.database.write(history.append_event, kind, fields or {})

    async def events_since(self, seq: int, limit: int = 1000) -> list[Event]:
        """After number ``seq``, in order. If the first is not ``seq + 1``, those between were pruned (a gap)."""
        return await self.database.read(history.events_since, seq, limit)

    async def last_event(self) -> int:
        """The number that was given last; 0 before the first."""
        return await self.database.read(history.last_event)

    async def prune_events(self, keep: int) -> int:
        return await self.database.write(history.prune_events, keep)

    async def record_duration(self, step: str, seconds: float, bytes: int | None = None) -> None:
        await self.database.write(history.record_duration, step, seconds, bytes)

    async def estimates(self, steps: Sequence[str]) -> dict[str, Estimate]:
        return await self.database.read(history.estimates, steps)


def facts_of(
    connection: sqlite3.Connection, definition_digest: str, platform: str, steps: Sequence[str], number: int | None
) -> IndexFacts:
    """What ``Index.facts`` answers, on an open snapshot."""
    if number is None:
        found = index_generations.current_generation(connection, definition_digest, platform)
    else:
        found = index_generations.generation(connection, definition_digest, platform, number)
    return IndexFacts(
        known=found is not None or definitions.is_known(connection, definition_digest),
        generation=found,
        lock_known=found is not None,  # the schema lets no generation refer to a lock that is not there
        artifact=index_artifacts.ready_artifact(connection, "prefix", found.lock_digest) if found else None,
        estimates=history.estimates(connection, steps),
    )
