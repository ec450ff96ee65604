"""Lock files as text: what is written is read back, and what was changed is refused with its line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.definition import Choices
from roost.model.lock_files.lock_file import LockFile, normalise_choices, scope_of, to_portable
from roost.model.lock_files.parsing import (
    LockFileConflictError,
    LockFileInvalidError,
    LockFileNewerError,
    parse_lock_file,
)
from roost.model.lock_files.writing import write_lock_file
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Wheel, WheelSource, digest_lock

CANONICAL = b'{"conda":{"channels":["conda-forge"],"dependencies":["a"]},"format":1}'


def conda(name: str, version: str = "1") -> CondaPackage:
    file_name = f"{name}-{version}-0.conda"
    return CondaPackage(
        name=name,
        version=version,
        build="0",
        subdir="noarch",
        file_name=file_name,
        url=f"https://c.example/noarch/{file_name}",
        sha256="a" * 64,
        record={"depends": ["b >=1"], "name": name},
    )


def lock(*names: str, platform: str = "linux-64") -> Lock:
    return Lock(platform=platform, provider=CondaPython(), conda=tuple(map(conda, names)), system={"__glibc": "2.28"})


def text_of(*locks: Lock) -> str:
    return write_lock_file(LockFile(canonical=CANONICAL, locks={scope_of(each): each for each in locks}))


TEXT = text_of(lock("a", "b", "c"), lock("a", platform="osx-arm64"))
NAMES = st.lists(st.text(min_size=1, max_size=5), max_size=6, unique=True)


@given(names=NAMES, wheels=NAMES, host=st.booleans())
def test_what_is_written_is_read_back(names: list[str], wheels: list[str], host: bool) -> None:
    provider = HostPython(version="3.11") if host else CondaPython()
    before = Lock(
        platform="linux-64",
        provider=provider,
        conda=tuple(map(conda, names)),
        wheels=tuple(Wheel(name=name, version="1", sha256="e" * 64) for name in wheels),
        format=2 if host else 1,
    )
    text = text_of(before)
    after = parse_lock_file(text.encode(), "/p/roost.lock")
    (read,) = after.locks.values()
    assert digest_lock(read) == digest_lock(before)
    assert {each.name: each for each in read.conda} == {each.name: each for each in before.conda}
    assert write_lock_file(after) == text


@pytest.mark.parametrize("text", [TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT])
def test_line_ends_of_windows_and_a_mark_change_nothing(text: str) -> None:
    assert write_lock_file(parse_lock_file(text.encode(), "p")) == TEXT


def test_one_more_package_changes_three_lines() -> None:
    before, after = text_of(lock("a", "c")).splitlines(), text_of(lock("c", "a", "b")).splitlines()
    assert len(set(after) - set(before)) == 3  # the package and both digests
    assert len(set(before) - set(after)) == 2


@pytest.mark.parametrize("number", range(1, len(TEXT.splitlines())))
def test_a_file_that_was_cut_is_refused(number: int) -> None:
    with pytest.raises(LockFileInvalidError) as caught:
        parse_lock_file("\n".join(TEXT.splitlines()[:number]).encode(), "p")
    assert caught.value.location is not None


@given(data=st.data())
def test_a_changed_line_is_never_used(data: st.DataObject) -> None:
    lines = TEXT.splitlines()
    written = [n for n, line in enumerate(lines) if line and not line.startswith("#")]
    number = data.draw(st.sampled_from(written))
    at = data.draw(st.integers(0, len(lines[number]) - 1))
    changed = data.draw(st.characters(categories=["L", "N"]).filter(lambda letter: letter != lines[number][at]))
    lines[number] = lines[number][:at] + changed + lines[number][at + 1 :]
    with pytest.raises((LockFileInvalidError, LockFileNewerError)) as caught:
        parse_lock_file("\n".join(lines).encode(), "p")
    assert caught.value.location is not None
    assert caught.value.location.line is not None


@given(data=st.data())
def test_a_line_that_is_put_elsewhere_changes_nothing_or_is_refused(data: st.DataObject) -> None:
    lines = TEXT.splitlines()
    number, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    match data.draw(st.sampled_from(["delete", "repeat", "swap", "replace", "comment"])):
        case "delete":
            del lines[number]
        case "repeat":
            lines.insert(other, lines[number])
        case "swap":
            lines[number], lines[other] = lines[other], lines[number]
        case "replace":
            lines[number] = lines[other]
        case _:
            lines[number] = f"# {lines[number]}"
    with suppress(LockFileInvalidError):
        assert write_lock_file(parse_lock_file("\n".join(lines).encode(), "p")) == TEXT


def test_a_merge_conflict_is_named_with_its_line_and_the_command() -> None:
    lines = TEXT.splitlines()
    lines[5:5] = ["<<<<<<< HEAD", "=======", ">>>>>>> other"]
    with pytest.raises(LockFileConflictError) as caught:
        parse_lock_file("\n".join(lines).encode(), "/p/roost.lock")
    assert str(caught.value.location) == "/p/roost.lock:6"
    assert "roost lock --write" in (caught.value.hint or "")


def test_a_newer_format_is_named() -> None:
    with pytest.raises(LockFileNewerError, match="format 2"):
        parse_lock_file(TEXT.replace("format 1\n", "format 2\n", 1).encode(), "p")


CHOICES = Choices(python="3.12", extras=("a-b", "web"), groups=("dev",))


def test_choices_are_stated_normalised_and_only_as_they_are_written() -> None:
    given = Choices(python="3.12", extras=("web", "A_b", "a.b"), groups=("dev",))
    text = write_lock_file(LockFile(canonical=CANONICAL, choices=normalise_choices(given)))
    assert parse_lock_file(text.encode(), "p").choices == CHOICES
    line = 'choices {"python":"3.12","extras":["a-b","web"],"groups":["dev"]}'
    assert line in text.splitlines()
    others = ['{"extras":["web","a-b"]}', '{"extras":["A"]}', "{}", '{"python":"x"}', '{"extras":["web"],"more":1}']
    for other in [*(f"choices {each}" for each in others), f"{line}\n{line}", "choices", "choices 1"]:
        with pytest.raises(LockFileInvalidError):
            parse_lock_file(text.replace(line, other).encode(), "p")


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xff\xfe", TEXT.encode() + b"more\n", b"[linux-64]\n"])
def test_what_is_no_lock_file_is_refused(data: bytes) -> None:
    with pytest.raises(LockFileInvalidError):
        parse_lock_file(data, "p")


def test_a_wheel_that_was_built_stands_as_its_source_on_every_machine() -> None:
    source = WheelSource(kind="sdist", url="https://i.example/a-1.tar.gz", sha256="b" * 64)
    digests = set()
    for sha256 in ("1" * 64, "2" * 64):
        built = Wheel(name="a", version="1", kind="built", file_name="a-1-cp311.whl", sha256=sha256, source=source)
        portable = to_portable(Lock(platform="linux-64", provider=CondaPython(), wheels=(built,)))
        assert sha256 not in text_of(portable)
        digests.add(digest_lock(portable))
    assert len(digests) == 1
