"""The tables of the index, and the migrations from older schemas.

The schema's number is SQLite's ``user_version``. 0 is an empty file. ``MIGRATIONS[n]`` leads from n - 1 to n;
``runner`` runs those that are missing in one transaction.

Digests are text. Canonical forms and lock bodies are compressed with zlib. Builds, runs, events and layers store their
record as JSON beside the columns that are searched: a field that is added later needs no migration.
"""

from __future__ import annotations

import sqlite3

from roost.store.migrations.released import FIFTH, FIRST, FOURTH, SECOND, SIXTH, THIRD

SCHEMA_VERSION = 10
INCREMENTAL = 2
"""``auto_vacuum`` of an index whose free pages go back to the disk some at a time (sqlite.org/pragma.html). Indexes of
older versions have none until they are written anew."""

_SEVENTH = """
-- Watched files and folders: see watches.py. `origin` is `added` (by `watch add`) or `used` (by a run, build or plan).
-- `record` and `inputs` are JSON: what came of the last content; the paths that it was read from, with their states.
CREATE TABLE watches (
    id TEXT PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    origin TEXT NOT NULL CHECK (origin IN ('added', 'used')),
    paused INTEGER NOT NULL DEFAULT 0,
    last_used TEXT NOT NULL,
    record BLOB NOT NULL,
    inputs BLOB NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
-- What was reported last of a base image or an environment of a catalogue, so that each news is reported once.
CREATE TABLE watch_news (
    subject TEXT PRIMARY KEY,
    found TEXT NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
-- Bytes on disk by kind, kept by triggers on the tables that have the sizes, so that nobody has to add them up: see
-- collection.py. `prefix`: without what is shared with the caches.
CREATE TABLE disk_usage (
    kind TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO disk_usage (kind, bytes)
    SELECT kind, coalesce(sum(bytes - shared_bytes), 0) FROM artifacts GROUP BY kind;
CREATE TRIGGER artifact_bytes_added AFTER INSERT ON artifacts BEGIN
    INSERT INTO disk_usage (kind, bytes) VALUES (NEW.kind, NEW.bytes - NEW.shared_bytes)
        ON CONFLICT (kind) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER artifact_bytes_changed AFTER UPDATE OF bytes, shared_bytes ON artifacts BEGIN
    UPDATE disk_usage SET bytes = bytes + NEW.bytes - NEW.shared_bytes - OLD.bytes + OLD.shared_bytes
        WHERE kind = NEW.kind;
END;
CREATE TRIGGER artifact_bytes_dropped AFTER DELETE ON artifacts BEGIN
    UPDATE disk_usage SET bytes = bytes - OLD.bytes + OLD.shared_bytes WHERE kind = OLD.kind;
END;
-- What garbage collection remembers. `begins`: in a root that an older version filled, when it begins by itself.
CREATE TABLE collection_state (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO collection_state (name, value)
    SELECT 'begins', strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '+7 days') WHERE EXISTS (SELECT 1 FROM artifacts);
-- When work that the daemon does in idleness last ended: see upkeep.py.
CREATE TABLE idle_work (
    name TEXT PRIMARY KEY,
    ended TEXT NOT NULL
) WITHOUT ROWID;
-- When every byte of a prefix was last compared with its manifest; empty if that was when it was published.
ALTER TABLE artifacts ADD COLUMN checked TEXT NOT NULL DEFAULT '';
-- What is in the caches: see caches.py. `id` is the path below the root, `key` what locks call it, `stamp` the mtime of
-- its folder in ns when it was measured. `bytes` is null until then. `cached` is 0 if only prefixes still have its
-- files.
CREATE TABLE cached_files (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    bytes INTEGER,
    stamp INTEGER NOT NULL,
    last_used TEXT NOT NULL,
    cached INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE INDEX cached_files_key ON cached_files (key);
CREATE INDEX cached_files_unmeasured ON cached_files (id) WHERE bytes IS NULL;
-- What the lock of a prefix needs of the caches, from the start of its build until its row is deleted.
CREATE TABLE cache_uses (
    key TEXT NOT NULL,
    artifact TEXT NOT NULL,
    PRIMARY KEY (key, artifact)
) WITHOUT ROWID;
CREATE INDEX cache_uses_artifact ON cache_uses (artifact);
CREATE TRIGGER cached_bytes_added AFTER INSERT ON cached_files WHEN NEW.bytes IS NOT NULL BEGIN
    INSERT INTO disk_usage (kind, bytes) VALUES (NEW.kind, NEW.bytes)
        ON CONFLICT (kind) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER cached_bytes_changed AFTER UPDATE OF kind, bytes ON cached_files BEGIN
    UPDATE disk_usage SET bytes = bytes - coalesce(OLD.bytes, 0) WHERE kind = OLD.kind;
    INSERT INTO disk_usage (kind, bytes) VALUES (NEW.kind, coalesce(NEW.bytes, 0))
        ON CONFLICT (kind) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER cached_bytes_dropped AFTER DELETE ON cached_files WHEN OLD.bytes IS NOT NULL BEGIN
    UPDATE disk_usage SET bytes = bytes - OLD.bytes WHERE kind = OLD.kind;
END;
CREATE TRIGGER cache_uses_dropped AFTER DELETE ON artifacts WHEN OLD.kind = 'prefix' BEGIN
    DELETE FROM cached_files WHERE cached = 0 AND key IN (SELECT key FROM cache_uses WHERE artifact = OLD.id)
        AND NOT EXISTS (SELECT 1 FROM cache_uses AS u WHERE u.key = cached_files.key AND u.artifact <> OLD.id);
    DELETE FROM cache_uses WHERE artifact = OLD.id;
END;
-- Code of packages and projects that has run on this machine, by its content: see code_runs.py.
CREATE TABLE code_runs (
    content TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    first_run TEXT NOT NULL
) WITHOUT ROWID;
"""
_EIGHTH = """
-- What a step had to do, by which its duration is predicted: see history.py. `amounts` is JSON, names to numbers; null
-- in rows of older versions, which nothing is predicted from. `subject`: what is done, if only that tells how long it
-- takes.
ALTER TABLE durations ADD COLUMN amounts TEXT;
ALTER TABLE durations ADD COLUMN subject TEXT NOT NULL DEFAULT '';
-- How many files are in what is cached, and how many of them are Python sources, with their bytes; null if that was
-- measured by an older version.
ALTER TABLE cached_files ADD COLUMN files INTEGER;
ALTER TABLE cached_files ADD COLUMN sources INTEGER;
ALTER TABLE cached_files ADD COLUMN source_bytes INTEGER;
"""
_NINTH = """
-- Project layers: see locks.py. Each is a lock that has the lock `base` and the project of `folder`, whose build files
-- had the digest `files`. It is deleted with its last prefix.
CREATE TABLE project_layers (
    lock TEXT PRIMARY KEY,
    base TEXT NOT NULL,
    folder TEXT NOT NULL,
    files TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX project_layers_base ON project_layers (base, folder, files);
-- Where a generation's lock is from: `solve` (or a registry, or a bundle), or `file`: a lock file beside the definition
-- has it. Such a generation is current only for requests with that file. `file_lock`: the lock digest that the file
-- states, if wheels that stand as their source there were built here.
ALTER TABLE generations ADD COLUMN origin TEXT NOT NULL DEFAULT 'solve';
ALTER TABLE generations ADD COLUMN file_lock TEXT;
-- `unvouched`: null, unless channels or indexes did not answer when the lock of a lock file was first used: then empty
-- until they do, or why they refused it.
ALTER TABLE generations ADD COLUMN unvouched TEXT;
-- Whether some of a ready prefix's byte-code is still to be compiled: see daemon/prefixes/late_bytecode.py.
ALTER TABLE artifacts ADD COLUMN bytecode_due INTEGER NOT NULL DEFAULT 0;
CREATE INDEX artifacts_bytecode_due ON artifacts (created, id) WHERE bytecode_due = 1;
"""
_TENTH = """
-- What the history of runs is searched by, narrow rows beside the records: see records.py. `command` are its words with
-- a space between them.
CREATE TABLE run_facts (
    number INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    created TEXT NOT NULL,
    target TEXT NOT NULL,
    environment TEXT NOT NULL,
    version INTEGER,
    experiment TEXT NOT NULL,
    cwd TEXT NOT NULL,
    command TEXT NOT NULL
);
INSERT INTO run_facts
    SELECT number, state, created, coalesce(json_extract(r, '$.target'), ''),
        coalesce(json_extract(r, '$.environment_name'), ''), json_extract(r, '$.environment_version'),
        coalesce(json_extract(r, '$.experiment'), ''), coalesce(json_extract(r, '$.cwd'), ''),
        coalesce((SELECT substr(group_concat(value, ' '), 1, 4096) FROM json_each(r, '$.command')), '')
    FROM (SELECT number, state, created,
        CASE WHEN json_valid(CAST(record AS TEXT)) THEN CAST(record AS TEXT) ELSE '{}' END AS r FROM runs);
CREATE INDEX run_facts_environment ON run_facts (environment);
CREATE INDEX run_facts_experiment ON run_facts (experiment) WHERE experiment <> '';
CREATE TABLE run_tags (
    tag TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (tag, number)
) WITHOUT ROWID;
CREATE TRIGGER run_facts_added AFTER INSERT ON runs BEGIN
    INSERT INTO run_facts
        SELECT NEW.number, NEW.state, NEW.created, coalesce(json_extract(r, '$.target'), ''),
            coalesce(json_extract(r, '$.environment_name'), ''), json_extract(r, '$.environment_version'),
            coalesce(json_extract(r, '$.experiment'), ''), coalesce(json_extract(r, '$.cwd'), ''),
            coalesce((SELECT substr(group_concat(value, ' '), 1, 4096) FROM json_each(r, '$.command')), '')
        FROM (SELECT CAST(NEW.record AS TEXT) AS r);
    INSERT OR IGNORE INTO run_tags
        SELECT value, NEW.number FROM json_each(CAST(NEW.record AS TEXT), '$.tags') WHERE type = 'text';
END;
CREATE TRIGGER run_state_changed AFTER UPDATE OF state ON runs WHEN NEW.state IS NOT OLD.state BEGIN
    UPDATE run_facts SET state = NEW.state WHERE number = NEW.number;
END;
CREATE TRIGGER run_facts_dropped AFTER DELETE ON runs BEGIN
    DELETE FROM run_facts WHERE number = OLD.number;
    DELETE FROM run_tags WHERE number = OLD.number;
END;
-- Numbers of versions that were removed, or that runs name and no index has: they are given to no other version. `body`
-- is the digest of the content that had the number, empty if that is not known: the same content may have it again.
CREATE TABLE removed_versions (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    removed TEXT NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
-- The counterparts of `versions_added` and `bodies_added`: see removals.py.
CREATE TRIGGER versions_dropped AFTER DELETE ON versions BEGIN
    UPDATE lock_uses SET versions = versions - 1
        WHERE lock = (SELECT lock FROM lock_bodies WHERE body = OLD.body AND alone = 1);
END;
CREATE TRIGGER lock_bodies_dropped AFTER DELETE ON lock_bodies BEGIN
    UPDATE lock_uses SET
        versions = versions - OLD.alone * (SELECT count(*) FROM versions WHERE body = OLD.body),
        shared = shared - (NOT OLD.alone)
        WHERE lock = OLD.lock;
END;
CREATE TRIGGER bodies_dropped AFTER DELETE ON bodies BEGIN
    DELETE FROM lock_bodies WHERE body = OLD.id;
END;
-- Whose an automatic name of an environment is: see names.py. `key` is the same for all clones of a repository, `place`
-- where the name was claimed.
CREATE TABLE environment_origins (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    place TEXT NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX environment_origins_name ON environment_origins (name);
CREATE INDEX environment_origins_place ON environment_origins (place);
"""

MIGRATIONS: dict[int, str] = {
    1: FIRST,
    2: SECOND,
    3: THIRD,
    4: FOURTH,
    5: FIFTH,
    6: SIXTH,
    7: _SEVENTH,
    8: _EIGHTH,
    9: _NINTH,
    10: _TENTH,
}


def statements(script: str) -> list[str]:
    """Split a script into its statements, since ``executescript`` would commit before it runs.

    A ``;`` ends a statement, except within a trigger. No string literal in a script may contain one.
    """
    without_comments = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("--"))
    complete, pending = [], ""
    for part in without_comments.split(";"):
        pending += part
        if sqlite3.complete_statement(f"{pending};"):
            complete.append(pending.strip())
            pending = ""
        else:
            pending += ";"
    return [statement for statement in complete if statement]
