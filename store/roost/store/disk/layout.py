"""Paths of everything that lies under one root."""

from __future__ import annotations

import base64
import os
import secrets

FOLDERS = (
    "prefixes",
    "packages",
    "wheels",
    "layers",
    "stage",
    "trash",
    "logs",
    "runs",
    "snapshots",
    "launch",
    "workers",
)

PREFIX_NAME_BYTES = 17
"""Length of a prefix folder's name: 8 hex digits of the lock digest, a dash, 8 base32 characters."""


class Layout:
    """Paths under one root. Creates no file and no folder, except in ``make_folders``."""

    def __init__(self, root: str) -> None:
        # The working folder is only needed for a relative root: os.getcwd() is a blocking call.
        self.root = os.path.normpath(root if os.path.isabs(root) else os.path.join(os.getcwd(), root))
        self.index_path = os.path.join(self.root, "index.db")
        self.lock_path = os.path.join(self.root, "lock")
        self.format_path = os.path.join(self.root, "format")
        self.prefixes = os.path.join(self.root, "prefixes")
        self.packages = os.path.join(self.root, "packages")
        self.wheels = os.path.join(self.root, "wheels")
        self.layers = os.path.join(self.root, "layers")
        self.stage = os.path.join(self.root, "stage")
        self.trash = os.path.join(self.root, "trash")
        self.logs = os.path.join(self.root, "logs")
        self.runs = os.path.join(self.root, "runs")
        self.snapshots = os.path.join(self.root, "snapshots")
        self.launch = os.path.join(self.root, "launch")
        self.programs = os.path.join(self.root, "bin")
        self.completions = os.path.join(self.root, "completions")
        self.workers = os.path.join(self.root, "workers")

    def make_folders(self) -> None:
        """Create the root and every missing folder in it, with access for the owner only. Blocking."""
        for name in ("", *FOLDERS):
            os.makedirs(os.path.join(self.root, name), mode=0o700, exist_ok=True)

    def new_prefix(self, lock_digest: str) -> str:
        """Return a prefix path that was never used before: 40 random bits after the start of the lock digest."""
        digits = lock_digest.removeprefix("sha256:")[:8]
        suffix = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        return os.path.join(self.prefixes, f"{digits}-{suffix}")

    def lease_of(self, prefix: str) -> str:
        """Return the path of the lease file of ``prefix``."""
        return prefix + ".lease"

    @staticmethod
    def manifest_of(prefix: str) -> str:
        """Return the path of the manifest of ``prefix``: see ``roost.daemon.integrity.manifest``."""
        return prefix + ".manifest"

    @staticmethod
    def record_of(prefix: str) -> str:
        """Return the path of the record of ``prefix``: see ``roost.store.disk.prefix_records``."""
        return prefix + ".record"

    @staticmethod
    def linked_of(prefix: str) -> str:
        """Return the path of the record of byte-code that was linked into ``prefix`` after its manifest was written."""
        return prefix + ".bytecode"

    @staticmethod
    def descriptions_of(prefix: str) -> tuple[str, ...]:
        """Return the paths of the files beside ``prefix`` that are deleted with it, but for its lease file."""
        return (Layout.manifest_of(prefix), Layout.record_of(prefix), Layout.linked_of(prefix))

    def run_folder(self, run_id: str) -> str:
        """Return the folder in which the supervisor of a run writes ``lock``, ``pid``, ``output`` and ``exit``."""
        return os.path.join(self.runs, run_id)
