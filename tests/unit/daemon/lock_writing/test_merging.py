"""The new content of a lock file: what stays, what is dropped, and what can't be in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.lock_writing.merging import merge_locks
from roost.daemon.lock_writing.portability import LockFileLocalError, make_portable
from roost.model.lock_files.lock_file import LockFile
from roost.model.lock_files.parsing import parse_lock_file
from roost.model.lock_files.writing import write_lock_file
from roost.model.locks.lock import CondaPython, HostPython, Lock, Wheel, WheelSource

FORMS = st.sampled_from([b'{"format":1}', b'{"conda":{"dependencies":["b"]},"format":1}'])
SCOPES = ("linux-64", "linux-aarch64", "osx-arm64", "win-64")


def lock(platform: str, name: str) -> Lock:
    wheel = Wheel(name=name, version="1", file_name=f"{name}-1-py3-none-any.whl", url="https://h/f", sha256="a" * 64)
    return Lock(platform=platform, provider=CondaPython(), wheels=(wheel,))


LOCKS = st.fixed_dictionaries(
    {}, optional={scope: st.sampled_from([lock(scope, "a"), lock(scope, "b")]) for scope in SCOPES}
)
FILES = st.none() | st.builds(lambda form, locks: LockFile(canonical=form, locks=locks), FORMS, LOCKS)


@given(former=FILES, form=FORMS, locks=LOCKS, whole=st.booleans())
def test_other_platforms_stay_for_the_same_definition_only(
    former: LockFile | None, form: bytes, locks: dict[str, Lock], whole: bool
) -> None:
    merged = merge_locks(former, form, locks, whole=whole)
    before = former.locks if former is not None else {}
    fits = former is not None and former.canonical == form and not whole
    assert merged.file.canonical == form
    assert merged.file.locks == {**(before if fits else {}), **locks}
    states = {each.scope: each.state for each in merged.sections}
    assert set(states) == {*before, *merged.file.locks}, "nothing goes in silence"
    assert {scope for scope, state in states.items() if state == "dropped"} == set(before) - set(merged.file.locks)
    for scope, state in states.items():
        assert (state == "new") is (scope not in before)
    text = write_lock_file(merged.file)
    assert write_lock_file(parse_lock_file(text.encode(), "p")) == text
    assert merge_locks(merged.file, form, locks, whole=False).file == merged.file, "writing again changes nothing"


SDIST = WheelSource(kind="sdist", url="https://i/a-1.tar.gz", sha256="b" * 64)
HERE = HostPython(version="3.11.2", executable="/usr/bin/python3")


@pytest.mark.parametrize(
    ("wheel", "provider"),
    [
        (Wheel(name="a", version="1", kind="editable", path="/home/u/a"), CondaPython()),
        (Wheel(name="a", version="1", kind="built", file_name="a-1.whl", sha256="a" * 64), CondaPython()),
        (Wheel(name="a", version="1", kind="built", sha256="a" * 64, folder="/home/u/a", source=SDIST), CondaPython()),
        (Wheel(name="a", version="1", file_name="a-1.whl", url="https://h/a-1.whl"), CondaPython()),
        (Wheel(name="a", version="1", file_name="a-1.whl", url="https://h/a-1.whl", sha256="a" * 64), HERE),
    ],
)
def test_what_is_of_use_on_one_machine_only_is_in_no_file(wheel: Wheel, provider: CondaPython | HostPython) -> None:
    with pytest.raises(LockFileLocalError) as caught:
        make_portable(Lock(platform="linux-64", provider=provider, wheels=(wheel,)), "linux-64")
    assert "linux-64" in caught.value.message
    assert caught.value.hint
