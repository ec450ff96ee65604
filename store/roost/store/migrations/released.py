"""Scripts of the schemas that were released: they are never edited, comments excepted. See ``schema``."""

from __future__ import annotations

FIRST = """
CREATE TABLE definitions (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    canonical BLOB NOT NULL,
    created TEXT NOT NULL
);
-- Where a definition was seen; the latest sighting has the largest id. '' stands for no name or no path.
CREATE TABLE sightings (
    id INTEGER PRIMARY KEY,
    definition INTEGER NOT NULL REFERENCES definitions (id),
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    UNIQUE (definition, name, source)
);
CREATE INDEX sightings_name ON sightings (name, id);
CREATE INDEX sightings_source ON sightings (source, id);
CREATE TABLE settings (
    digest TEXT PRIMARY KEY,
    canonical BLOB NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE locks (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    platform TEXT NOT NULL,
    body BLOB NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE generations (
    definition_digest TEXT NOT NULL,
    platform TEXT NOT NULL,
    number INTEGER NOT NULL,
    lock_digest TEXT NOT NULL REFERENCES locks (digest),
    created TEXT NOT NULL,
    current INTEGER NOT NULL,
    as_of TEXT,
    base_digest TEXT,
    steps_digest TEXT,
    PRIMARY KEY (definition_digest, platform, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX generations_current ON generations (definition_digest, platform) WHERE current = 1;
CREATE INDEX generations_lock ON generations (lock_digest);
CREATE TABLE artifacts (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    platform TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('building', 'ready', 'retired', 'deleting')),
    path TEXT NOT NULL UNIQUE,
    lease_path TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    shared_bytes INTEGER NOT NULL,
    created TEXT NOT NULL,
    last_used TEXT NOT NULL,
    activation BLOB NOT NULL,
    guards BLOB NOT NULL,
    build_id TEXT
);
-- One ready artifact for one content: the artifact of a second publisher of the same lock can't become ready.
CREATE UNIQUE INDEX artifacts_ready ON artifacts (kind, key) WHERE state = 'ready';
CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX leases_subject ON leases (subject);
CREATE TABLE pins (
    subject TEXT PRIMARY KEY,
    created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE builds (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    definition_digest TEXT NOT NULL,
    lock_digest TEXT,
    created TEXT NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX builds_state ON builds (state);
CREATE INDEX builds_definition ON builds (definition_digest);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    definition_digest TEXT NOT NULL,
    lock_digest TEXT,
    created TEXT NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX runs_state ON runs (state);
CREATE INDEX runs_definition ON runs (definition_digest);
CREATE INDEX runs_lock ON runs (lock_digest);
CREATE TABLE environments (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition_digest TEXT NOT NULL,
    settings_digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    created TEXT NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE INDEX environments_definition ON environments (definition_digest);
CREATE TABLE labels (
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (name, label),
    FOREIGN KEY (name, version) REFERENCES environments (name, version)
) WITHOUT ROWID;
-- AUTOINCREMENT: the number of a pruned event is never used again.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    fields BLOB NOT NULL
);
CREATE TABLE durations (
    id INTEGER PRIMARY KEY,
    step TEXT NOT NULL,
    seconds REAL NOT NULL,
    bytes INTEGER
);
CREATE INDEX durations_step ON durations (step, id);
"""

SECOND = """
-- Layers of images that were written on this machine, one per key: see layers.py.
CREATE TABLE layers (
    key TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    created TEXT NOT NULL,
    last_used TEXT NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX layers_digest ON layers (digest);
"""

THIRD = """
-- Base images, and results of docker steps on top of one, with all that assembling an image needs: see images.py.
CREATE TABLE bases (
    digest TEXT PRIMARY KEY,
    created TEXT NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
-- Images that were built or pulled on this machine, by image key.
CREATE TABLE images (
    key TEXT PRIMARY KEY,
    config_digest TEXT NOT NULL,
    definition_digest TEXT NOT NULL,
    lock_digest TEXT NOT NULL,
    created TEXT NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX images_config ON images (config_digest);
CREATE INDEX images_definition ON images (definition_digest);
"""

FOURTH = """
-- The first tables for these were never written to, so nothing is copied.
DROP TABLE labels;
DROP TABLE environments;
CREATE TABLE environments (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0
);
-- Content of versions: whole definition and settings, with the defaults at the time of their digests.
CREATE TABLE bodies (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    definition_digest TEXT NOT NULL,
    settings_digest TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX bodies_definition ON bodies (definition_digest, settings_digest);
CREATE TABLE versions (
    environment INTEGER NOT NULL REFERENCES environments (id),
    version INTEGER NOT NULL,
    body INTEGER NOT NULL REFERENCES bodies (id),
    kind TEXT NOT NULL,
    created TEXT NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0,
    origin TEXT,
    PRIMARY KEY (environment, version)
) WITHOUT ROWID;
CREATE INDEX versions_body ON versions (body);
CREATE TABLE labels (
    environment INTEGER NOT NULL,
    label TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (environment, label),
    FOREIGN KEY (environment, version) REFERENCES versions (environment, version)
) WITHOUT ROWID;
CREATE INDEX labels_version ON labels (environment, version);
"""

FIFTH = """
-- Which lock holds which package: see packages.py. Names of conda and pip are one by PEP 503; `spelled` is conda's.
CREATE TABLE package_names (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE packages (
    id INTEGER PRIMARY KEY,
    name INTEGER NOT NULL REFERENCES package_names (id),
    kind TEXT NOT NULL,
    spelled TEXT NOT NULL,
    version TEXT NOT NULL,
    build TEXT NOT NULL,
    UNIQUE (name, kind, spelled, version, build)
);
-- Spans of locks first: one lock's packages go into a few pages, not into one for each package. `several` is 1 if the
-- lock holds more than this package under the name. No foreign keys: they would cost a search for every row.
CREATE TABLE contents (
    span INTEGER NOT NULL,
    name INTEGER NOT NULL,
    lock INTEGER NOT NULL,
    package INTEGER NOT NULL,
    several INTEGER NOT NULL,
    PRIMARY KEY (span, name, lock, package)
) WITHOUT ROWID;
-- Counts of rows that refer to a lock: adding these up is faster than finding the rows. `current` counts the current
-- generations; `versions` the versions of environments whose definition has this lock alone; `shared` the bodies with
-- this lock and others.
CREATE TABLE lock_uses (
    lock INTEGER PRIMARY KEY,
    generations INTEGER NOT NULL,
    current INTEGER NOT NULL,
    images INTEGER NOT NULL,
    prefixes INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    versions INTEGER NOT NULL DEFAULT 0,
    shared INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX lock_uses_images ON lock_uses (lock) WHERE images > 0;
CREATE INDEX lock_uses_prefixes ON lock_uses (lock) WHERE prefixes > 0;
-- The bodies of environments whose definition has this lock as a result, in any generation.
CREATE TABLE lock_bodies (
    lock INTEGER NOT NULL,
    body INTEGER NOT NULL,
    alone INTEGER NOT NULL,
    PRIMARY KEY (lock, body)
) WITHOUT ROWID;
CREATE INDEX lock_bodies_body ON lock_bodies (body, alone);
CREATE TRIGGER lock_bodies_added AFTER INSERT ON lock_bodies BEGIN
    UPDATE lock_uses SET
        versions = versions + NEW.alone * (SELECT count(*) FROM versions WHERE body = NEW.body),
        shared = shared + (NOT NEW.alone)
        WHERE lock = NEW.lock;
    UPDATE lock_bodies SET alone = 0 WHERE body = NEW.body AND alone = 1 AND lock <> NEW.lock;
END;
CREATE TRIGGER lock_bodies_joined AFTER UPDATE OF alone ON lock_bodies WHEN OLD.alone AND NOT NEW.alone BEGIN
    UPDATE lock_uses SET
        versions = versions - (SELECT count(*) FROM versions WHERE body = NEW.body),
        shared = shared + 1
        WHERE lock = NEW.lock;
END;
CREATE TRIGGER versions_added AFTER INSERT ON versions BEGIN
    UPDATE lock_uses SET versions = versions + 1
        WHERE lock = (SELECT lock FROM lock_bodies WHERE body = NEW.body AND alone = 1);
END;
CREATE INDEX images_lock ON images (lock_digest);
INSERT INTO lock_uses (lock, generations, current, images, prefixes, runs)
    SELECT l.id, 0, 0,
        (SELECT count(*) FROM images AS i WHERE i.lock_digest = l.digest),
        (SELECT count(*) FROM artifacts AS a WHERE a.kind = 'prefix' AND a.key = l.digest AND a.state = 'ready'),
        (SELECT count(*) FROM runs AS r WHERE r.lock_digest = l.digest)
    FROM locks AS l;
UPDATE lock_uses SET (generations, current) =
    (SELECT count(*), coalesce(sum(g.current), 0) FROM locks AS l JOIN generations AS g ON g.lock_digest = l.digest
        WHERE l.id = lock_uses.lock);
INSERT INTO lock_bodies (lock, body, alone)
    SELECT DISTINCT l.id, b.id, (SELECT count(DISTINCT o.lock_digest) FROM generations AS o
        WHERE o.definition_digest = g.definition_digest) = 1
    FROM generations AS g JOIN locks AS l ON l.digest = g.lock_digest
    JOIN bodies AS b ON b.definition_digest = g.definition_digest;
CREATE TRIGGER locks_added AFTER INSERT ON locks BEGIN
    INSERT INTO lock_uses (lock, generations, current, images, prefixes, runs) VALUES (
        NEW.id, 0, 0,
        (SELECT count(*) FROM images WHERE lock_digest = NEW.digest),
        (SELECT count(*) FROM artifacts WHERE kind = 'prefix' AND key = NEW.digest AND state = 'ready'),
        (SELECT count(*) FROM runs WHERE lock_digest = NEW.digest)
    );
END;
CREATE TRIGGER generations_added AFTER INSERT ON generations BEGIN
    UPDATE lock_uses SET generations = generations + 1, current = current + NEW.current
        WHERE lock = (SELECT id FROM locks WHERE digest = NEW.lock_digest);
    INSERT INTO lock_bodies (lock, body, alone)
        SELECT l.id, b.id, NOT EXISTS (SELECT 1 FROM lock_bodies AS y WHERE y.body = b.id)
        FROM locks AS l CROSS JOIN bodies AS b
        WHERE l.digest = NEW.lock_digest AND b.definition_digest = NEW.definition_digest
            AND NOT EXISTS (SELECT 1 FROM lock_bodies AS x WHERE x.lock = l.id AND x.body = b.id);
END;
CREATE TRIGGER generations_moved AFTER UPDATE OF current ON generations WHEN NEW.current <> OLD.current BEGIN
    UPDATE lock_uses SET current = current + NEW.current - OLD.current
        WHERE lock = (SELECT id FROM locks WHERE digest = NEW.lock_digest);
END;
CREATE TRIGGER bodies_added AFTER INSERT ON bodies BEGIN
    INSERT INTO lock_bodies (lock, body, alone)
        SELECT DISTINCT l.id, NEW.id, (SELECT count(DISTINCT o.lock_digest) FROM generations AS o
            WHERE o.definition_digest = NEW.definition_digest) = 1
        FROM generations AS g JOIN locks AS l ON l.digest = g.lock_digest
        WHERE g.definition_digest = NEW.definition_digest;
END;
-- Counted anew instead of added to: a row that replaces another fires no trigger for the deleted one.
CREATE TRIGGER images_added AFTER INSERT ON images BEGIN
    UPDATE lock_uses SET images = (SELECT count(*) FROM images WHERE lock_digest = NEW.lock_digest)
        WHERE lock = (SELECT id FROM locks WHERE digest = NEW.lock_digest);
END;
CREATE TRIGGER images_dropped AFTER DELETE ON images BEGIN
    UPDATE lock_uses SET images = (SELECT count(*) FROM images WHERE lock_digest = OLD.lock_digest)
        WHERE lock = (SELECT id FROM locks WHERE digest = OLD.lock_digest);
END;
CREATE TRIGGER artifacts_added AFTER INSERT ON artifacts WHEN NEW.kind = 'prefix' AND NEW.state = 'ready' BEGIN
    UPDATE lock_uses SET prefixes = 1 WHERE lock = (SELECT id FROM locks WHERE digest = NEW.key);
END;
CREATE TRIGGER artifacts_changed AFTER UPDATE OF state ON artifacts WHEN NEW.kind = 'prefix' BEGIN
    UPDATE lock_uses SET prefixes =
        (SELECT count(*) FROM artifacts WHERE kind = 'prefix' AND key = NEW.key AND state = 'ready')
        WHERE lock = (SELECT id FROM locks WHERE digest = NEW.key);
END;
CREATE TRIGGER artifacts_dropped AFTER DELETE ON artifacts WHEN OLD.kind = 'prefix' AND OLD.state = 'ready' BEGIN
    UPDATE lock_uses SET prefixes = 0 WHERE lock = (SELECT id FROM locks WHERE digest = OLD.key);
END;
CREATE TRIGGER runs_added AFTER INSERT ON runs WHEN NEW.lock_digest IS NOT NULL BEGIN
    UPDATE lock_uses SET runs = runs + 1 WHERE lock = (SELECT id FROM locks WHERE digest = NEW.lock_digest);
END;
CREATE TRIGGER runs_changed AFTER UPDATE OF lock_digest ON runs WHEN NEW.lock_digest IS NOT OLD.lock_digest BEGIN
    UPDATE lock_uses SET runs = runs - 1 WHERE lock = (SELECT id FROM locks WHERE digest = OLD.lock_digest);
    UPDATE lock_uses SET runs = runs + 1 WHERE lock = (SELECT id FROM locks WHERE digest = NEW.lock_digest);
END;
CREATE TRIGGER runs_dropped AFTER DELETE ON runs WHEN OLD.lock_digest IS NOT NULL BEGIN
    UPDATE lock_uses SET runs = runs - 1 WHERE lock = (SELECT id FROM locks WHERE digest = OLD.lock_digest);
END;
"""

SIXTH = """
-- Which version of roost brought the index to which schema, for the refusal by an older one: see runner.py.
CREATE TABLE schema_history (
    schema INTEGER PRIMARY KEY,
    roost TEXT NOT NULL,
    created TEXT NOT NULL
);
-- Of a prefix on a Python of this machine: JSON with its executable and its version.
ALTER TABLE artifacts ADD COLUMN python TEXT;
-- Digest of the manifest beside a prefix; empty for an image, and for a prefix of format 1.
ALTER TABLE artifacts ADD COLUMN manifest TEXT NOT NULL DEFAULT '';
-- A lease names its target; what it protects are its subjects: ids and keys of artifacts, lock digests, and
-- <lock digest>@<base digest> for all images of the two. See leases.py.
ALTER TABLE leases RENAME TO old_leases;
CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    generation INTEGER,
    definition_digest TEXT,
    holder TEXT NOT NULL,
    created TEXT NOT NULL,
    expires TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX leases_definition ON leases (definition_digest) WHERE definition_digest IS NOT NULL;
CREATE TABLE lease_subjects (
    subject TEXT NOT NULL,
    lease TEXT NOT NULL,
    PRIMARY KEY (subject, lease)
) WITHOUT ROWID;
CREATE INDEX lease_subjects_lease ON lease_subjects (lease);
INSERT INTO leases SELECT id, 'artifact', subject, NULL, NULL, holder, '', expires FROM old_leases;
INSERT INTO lease_subjects SELECT subject, id FROM old_leases;
DROP TABLE old_leases;
CREATE TRIGGER leases_dropped AFTER DELETE ON leases BEGIN
    DELETE FROM lease_subjects WHERE lease = OLD.id;
END;
-- A lease on an environment follows its definition.
CREATE TRIGGER generations_leased AFTER INSERT ON generations WHEN NEW.current = 1 BEGIN
    INSERT OR IGNORE INTO lease_subjects
        SELECT NEW.lock_digest, id FROM leases WHERE definition_digest = NEW.definition_digest AND kind = 'environment';
    INSERT OR IGNORE INTO lease_subjects
        SELECT NEW.lock_digest || '@' || NEW.base_digest, id FROM leases
        WHERE definition_digest = NEW.definition_digest AND kind = 'environment' AND NEW.base_digest IS NOT NULL;
END;
CREATE TRIGGER generations_leased_again AFTER UPDATE OF current, base_digest ON generations WHEN NEW.current = 1 BEGIN
    INSERT OR IGNORE INTO lease_subjects
        SELECT NEW.lock_digest, id FROM leases WHERE definition_digest = NEW.definition_digest AND kind = 'environment';
    INSERT OR IGNORE INTO lease_subjects
        SELECT NEW.lock_digest || '@' || NEW.base_digest, id FROM leases
        WHERE definition_digest = NEW.definition_digest AND kind = 'environment' AND NEW.base_digest IS NOT NULL;
END;
"""
