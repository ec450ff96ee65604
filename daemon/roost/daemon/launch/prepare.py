"""Whether a ready prefix is still unchanged, and what a client needs to start a command in an environment."""

from __future__ import annotations

import os

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.definitions.stamps import ABSENT, is_unchanged, stamp
from roost.daemon.integrity.manifest import ManifestDamagedError, describe
from roost.daemon.integrity.trees import find_named_differences, load_manifest
from roost.daemon.launch.isolation import HOOK_VARIABLES, isolation_changes
from roost.model.records import Artifact, FileStamp, Generation, VariableChange
from roost.store.disk.layout import Layout
from roost.wire.environments import ChangeView
from roost.wire.plans import Reason
from roost.wire.runs import Launch


def find_drift(prefix: Artifact) -> Reason | None:
    """Return why a prefix that is recorded as ready can't be used: the first guarded file that was changed or deleted
    since the prefix was built. ``None`` if it can be used.

    Called on every hit. Blocking, some 10 µs for each guard; to say what else has changed takes 0.1 s.
    """
    for guard in prefix.stamps:
        if not is_unchanged(guard):
            return Reason(code="prefix-drifted", message=_describe_drift(prefix, guard))
    return None


def stamp_project_folder(named: str, folder: str) -> tuple[FileStamp, ...] | None:
    """Return guards that hold as long as ``named``, by which a request reaches a project, leads to its ``folder``: a
    launch plan may go by files that two folders share (hard links). ``None`` if it leads elsewhere by now. Blocks.

    Both have to be the same folder then, so a new one with the inode of a deleted one does not count.
    """
    if named == folder:
        return ()
    guards = FileStamp(path=named, identity=stamp(named)), FileStamp(path=folder, identity=stamp(folder))
    return guards if guards[0].identity == guards[1].identity != ABSENT else None


def prefix_changes(prefix: Artifact) -> tuple[VariableChange, ...]:
    """Return the changes to the caller's variables in ``prefix``, without the settings' variables."""
    return (*isolation_changes(prefix.activation), *prefix.activation)


def _describe_drift(prefix: Artifact, guard: FileStamp) -> str:
    # `bin/python` of a virtual environment leads to a Python of this machine, of which the manifest says nothing.
    target = os.path.realpath(guard.path)
    inside = target.startswith(os.path.realpath(prefix.path) + os.sep)
    if not inside or not prefix.manifest:
        state = "no longer exists" if stamp(guard.path) == ABSENT else "was changed since the prefix was built"
        if guard.identity.count(":") == 1:  # of a link to what is installed as editable, or of where it led
            return f"{guard.path} is not the folder any more that it was when the prefix was built"
        return f"{guard.path if inside else target} {state}"
    try:
        manifest = load_manifest(Layout.manifest_of(prefix.path), prefix.manifest)
    except ManifestDamagedError as error:
        return f"{guard.path} was changed outside of roost, and its manifest can't be used: {error.message}"
    differences = find_named_differences(prefix.path, manifest)
    if differences.altered:
        return f"{guard.path} was changed outside of roost: {describe(differences)}"
    return f"{guard.path} was touched outside of roost; the prefix is compared with its manifest before it is used"


def prefix_launch(resolved: ResolvedDefinition, prefix: Artifact, generation: Generation | None) -> Launch:
    """Return how to start a command in ``prefix``."""
    return Launch(
        prefix=prefix.path,
        lease=prefix.lease_path,
        changes=[msgspec.convert(msgspec.to_builtins(change), ChangeView) for change in prefix_changes(prefix)],
        hook_variables=list(HOOK_VARIABLES),
        variables=resolved.settings.variables,
        definition_digest=resolved.digest,
        lock_digest=generation.lock_digest if generation else prefix.key,
        generation=generation.number if generation else None,
        artifact=prefix.id,
        python=os.path.join(prefix.path, "bin", "python"),
    )


def interpreter_launch(resolved: ResolvedDefinition, interpreter: str) -> Launch:
    """Return how to start a command with a user-managed interpreter: its folder goes first in PATH, nothing else
    changes."""
    return Launch(
        prefix=os.path.dirname(os.path.dirname(interpreter)),
        lease=None,
        changes=[ChangeView(name="PATH", action="prepend", value=os.path.dirname(interpreter))],
        variables=resolved.settings.variables,
        definition_digest=resolved.digest,
        lock_digest=None,
        generation=None,
        artifact=None,
        python=interpreter,
    )
