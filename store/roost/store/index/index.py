"""The index: all records of roost, in SQLite. Every method is one transaction or one snapshot, and one hop to a thread.

Any method may raise ``StoreFullError`` (a write on a full disk, of which nothing is stored), ``IndexDamagedError`` or
``StoreError``. Methods that write return when the change is on the disk.
"""

from __future__ import annotations

from roost.store.index import names, removals, transactions
from roost.store.index.database import Database
from roost.store.index.queries import Queries, Read, Scan, Write
from roost.store.index.tables.artifacts import ArtifactTable, PinTable
from roost.store.index.tables.caches import CacheTable
from roost.store.index.tables.code_runs import CodeRunTable
from roost.store.index.tables.collection import CollectionTable
from roost.store.index.tables.definitions import DefinitionTable
from roost.store.index.tables.environments import EnvironmentTable
from roost.store.index.tables.generations import GenerationTable
from roost.store.index.tables.history import DurationTable, EventTable
from roost.store.index.tables.images import BaseTable, ImageTable
from roost.store.index.tables.layers import LayerTable
from roost.store.index.tables.leases import LeaseTable
from roost.store.index.tables.locks import LockTable
from roost.store.index.tables.records import BuildTable, RunTable
from roost.store.index.tables.upkeep import UpkeepTable
from roost.store.index.tables.watches import WatchTable
from roost.store.index.tables.where_used import PackageTable
from roost.store.migrations.examination import list_faults


class Index(Queries):
    """One object per table family; transactions that span families are methods of the index itself.

    ``database`` runs queries that no class declares, such as those of tests; callers use the objects.
    """

    load_facts = Read(transactions.load_facts)
    find_claimed_name = Read(names.find_claimed_name)
    list_owners = Read(names.list_owners)
    claim_name = Write(names.claim_name)
    publish_prefix = Write(transactions.publish_prefix)
    reuse_prefix = Write(transactions.reuse_prefix)
    publish_image = Write(transactions.publish_image)
    register_locked = Write(transactions.register_locked)
    record_bundle = Write(transactions.record_bundle)
    remove_versions = Write(removals.remove_versions)
    begin_run = Write(transactions.begin_run)
    mark_running = Write(transactions.mark_running)
    end_run = Write(transactions.end_run)
    fail_open_builds = Write(transactions.fail_open_builds)
    end_open_runs = Write(transactions.end_open_runs)
    wait_for_writes = Write(transactions.wait_for_writes)
    list_faults = Scan(list_faults)

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.artifacts = ArtifactTable(database)
        self.bases = BaseTable(database)
        self.builds = BuildTable(database)
        self.caches = CacheTable(database)
        self.code_runs = CodeRunTable(database)
        self.collection = CollectionTable(database)
        self.definitions = DefinitionTable(database)
        self.durations = DurationTable(database)
        self.environments = EnvironmentTable(database)
        self.events = EventTable(database)
        self.generations = GenerationTable(database)
        self.images = ImageTable(database)
        self.layers = LayerTable(database)
        self.leases = LeaseTable(database)
        self.locks = LockTable(database)
        self.packages = PackageTable(database)
        self.pins = PinTable(database)
        self.runs = RunTable(database)
        self.watches = WatchTable(database)
        self.upkeep = UpkeepTable(database)

    @classmethod
    async def open(cls, path: str, roost_version: str | None = None) -> Index:
        """Open or create the index at ``path``. Raises as ``Database.open``."""
        return cls(await Database.open(path, roost_version))

    async def close(self) -> None:
        """Close all connections."""
        await self.database.close()
