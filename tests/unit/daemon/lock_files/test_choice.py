"""Which lock of a lock file is used for a definition and a target, and what a solve prefers if none is."""

from __future__ import annotations

import pytest

from roost.daemon.lock_files.choice import LockAsked, choose_lock, format_command, show_path, tell_other_choices
from roost.model.canonical.form import digest_bytes
from roost.model.definition import NO_CHOICES, Choices
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


WEB = Choices(extras=("web",))
OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize("scope", sorted(FILE.locks))
def test_a_section_for_the_definition_and_the_scope_is_used(scope: str) -> None:
    for choices in (NO_CHOICES, WEB):  # options may change nothing
        chosen = choose_lock(FILE, LockAsked(path="p", definition_digest=DIGEST, scope=scope, choices=choices))
        assert (chosen.lock, chosen.reason, chosen.former) == (FILE.locks[scope], None, None)


@pytest.mark.parametrize(
    ("digest", "scope", "choices", "code", "is_compared"),
    [
        (OTHER, "linux-64", NO_CHOICES, "lock-stale", True),
        (OTHER, "linux-64", WEB, "lock-choices", True),
        (OTHER, "linux-aarch64", NO_CHOICES, "lock-stale", False),
        (DIGEST, "linux-aarch64", NO_CHOICES, "lock-file-platform-missing", False),
        (DIGEST, "osx-arm64+host", NO_CHOICES, "lock-file-platform-missing", False),
    ],
)
def test_what_does_not_fit_is_preferred(
    digest: str, scope: str, choices: Choices, code: str, is_compared: bool
) -> None:
    asked = LockAsked(path="p/roost.lock", definition_digest=digest, scope=scope, choices=choices)
    chosen = choose_lock(FILE, asked)
    assert chosen.lock is None
    assert chosen.reason is not None
    assert chosen.reason.message.startswith(f"{chosen.why}: ")
    assert (chosen.reason.code, chosen.why.startswith("p/roost.lock ")) == (code, True)
    assert chosen.former is not None
    assert (chosen.former.canonical, chosen.former.is_compared) == (FORM, is_compared)
    (package,) = chosen.former.lock.conda
    assert package.version == "1"
    assert bool(package.sha256) is is_compared, "of another platform only the versions are preferred"


@pytest.mark.parametrize(
    ("written", "now", "why", "is_said"),
    [
        (WEB, NO_CHOICES, "was written with --extra web, and this is without options", True),
        (NO_CHOICES, WEB, "was written without options, and this is with --extra web", False),
        (
            WEB,
            Choices(python="3.12", groups=("dev",)),
            "was written with --extra web, and this is with --python 3.12 --group dev",
            False,
        ),
        (WEB, WEB, "is for another content of the definition", True),
    ],
)
def test_other_options_are_not_told_as_another_content(written: Choices, now: Choices, why: str, is_said: bool) -> None:
    file = LockFile(canonical=FORM, choices=written, locks=FILE.locks)
    asked = LockAsked(path="roost.lock", definition_digest=OTHER, scope="linux-64", choices=now, command="COMMAND")
    chosen = choose_lock(file, asked)
    assert chosen.reason is not None
    assert why in chosen.why
    assert "`COMMAND`" in chosen.reason.message
    assert ("give --extra web" in chosen.reason.message) is (written != now and now == NO_CHOICES)
    assert chosen.is_said is is_said
    changed = tell_other_choices(written, now, "roost.lock")
    assert (changed is None) == (written == now)


def test_packages_of_one_run_are_told_in_silence() -> None:
    asked = LockAsked(path="p", definition_digest=OTHER, scope="linux-64", has_additions=True)
    chosen = choose_lock(FILE, asked)
    assert (chosen.why, chosen.is_said) == ("p is for the definition without --with", False)


def test_the_command_names_the_file_and_the_options() -> None:
    def command(path: str, file: str | None = None, options: Choices = NO_CHOICES, target: str = "") -> str:
        return format_command(path, file, options, target, cwd="/a/b")

    assert command("/a/b/dev.txt.roost.lock", None, WEB) == "roost lock --write -f dev.txt --extra web"
    assert command("/a/b/roost.lock", "a b.txt", WEB, "-t docker").endswith("-f 'a b.txt' --extra web -t docker")
    searched = [command(f"{folder}/roost.lock") for folder in ("/a/b", "/a", "")]
    assert searched == ["roost lock --write"] * 3
    elsewhere = [command(f"{folder}/roost.lock") for folder in ("/a/b/c d", "/a/bc", "/c")]
    assert elsewhere == [f"roost lock --write -f {folder}" for folder in ("'c d'", "/a/bc", "/c")]
    assert [show_path(path, "/a/b") for path in ("/a/b/c/d", "/a/bc", "/c")] == ["c/d", "/a/bc", "/c"]
