"""Which lock of a lock file is used for a definition and a target, and what a solve prefers if none is."""

from __future__ import annotations

import pytest

from roost.daemon.lock_files.choice import choose_lock
from roost.model.canonical.form import digest_bytes
from roost.model.lock_files.lock_file import LockFile
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock

FORM = b'{"conda":{"dependencies":["a"]},"format":1}'
DIGEST = digest_bytes(FORM)


def lock(platform: str, *, host: bool = False) -> Lock:
    package = CondaPackage(
        name="a", version="1", build="h1", subdir=platform, file_name="a-1-h1.conda", url="u", sha256="f" * 64
    )
    provider = HostPython(version="3.11") if host else CondaPython()
    return Lock(platform=platform, provider=provider, conda=() if host else (package,), format=2 if host else 1)


FILE = LockFile(
    canonical=FORM,
    locks={"linux-64": lock("linux-64"), "linux-64+host": lock("linux-64", host=True), "osx-arm64": lock("osx-arm64")},
)


@pytest.mark.parametrize("scope", sorted(FILE.locks))
def test_a_section_for_the_definition_and_the_scope_is_used(scope: str) -> None:
    for has_choices in (False, True):  # it may have been written with the same options
        chosen = choose_lock(FILE, "p", DIGEST, scope, has_choices=has_choices)
        assert (chosen.lock, chosen.reason, chosen.former) == (FILE.locks[scope], None, None)


@pytest.mark.parametrize(
    ("digest", "scope", "has_choices", "code", "is_compared"),
    [
        ("sha256:" + "0" * 64, "linux-64", False, "lock-stale", True),
        ("sha256:" + "0" * 64, "linux-64", True, "lock-choices", True),
        ("sha256:" + "0" * 64, "linux-aarch64", False, "lock-stale", False),
        (DIGEST, "linux-aarch64", False, "lock-file-platform-missing", False),
        (DIGEST, "osx-arm64+host", False, "lock-file-platform-missing", False),
    ],
)
def test_what_does_not_fit_is_preferred(
    digest: str, scope: str, has_choices: bool, code: str, is_compared: bool
) -> None:
    chosen = choose_lock(FILE, "/p/roost.lock", digest, scope, has_choices=has_choices)
    assert chosen.lock is None
    assert chosen.reason is not None
    assert (chosen.reason.code, "/p/roost.lock" in chosen.reason.message) == (code, True)
    assert chosen.former is not None
    assert (chosen.former.canonical, chosen.former.is_compared) == (FORM, is_compared)
    (package,) = chosen.former.lock.conda
    assert package.version == "1"
    assert bool(package.sha256) is is_compared, "of another platform only the versions are preferred"
