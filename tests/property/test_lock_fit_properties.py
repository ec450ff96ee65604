"""Which interpreters fit a lock: by provider, by the tags that ``packaging`` knows, and by recorded markers."""

from __future__ import annotations

import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from roost.daemon.engines.host_python.fit import find_misfit, marker_environment, needed_system, provider_of
from roost.daemon.engines.host_python.interpreters import Interpreter, own_interpreter, probe_interpreter
from roost.daemon.engines.host_python.tags import accepted_tags
from roost.model.locks.lock import CondaPython, HostPython, Lock, MarkerOutcome, Wheel, digest_lock, with_format
from roost.model.locks.markers import (
    VOLATILE,
    evaluate_marker,
    find_changed_outcome,
    is_volatile,
    record_markers,
    record_python_specifiers,
)


def interpreter(
    minor: int, patch: int, *, glibc: str = "2.36", kind: str = "cpython", free: bool = False
) -> Interpreter:
    version = f"3.{minor}.{patch}"
    soabi = f"pypy3{minor}-pp73-x86_64-linux-gnu" if kind == "pypy" else ""
    return Interpreter(
        version=version,
        executable=f"/opt/{kind}-{version}{'t' if free else ''}/bin/python",
        implementation=kind,
        libc=f"glibc {glibc}" if glibc else "",
        free_threaded=free,
        soabi=soabi,
        platform="linux-x86_64",
        markers={
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_machine": "x86_64",
            "platform_python_implementation": {"cpython": "CPython", "pypy": "PyPy"}[kind],
            "platform_release": "6.1.0",
            "platform_system": "Linux",
            "platform_version": "#1 SMP",
            "python_version": f"3.{minor}",
            "python_full_version": version,
            "implementation_name": kind,
            "implementation_version": version,
        },
    )


interpreters = st.builds(
    interpreter,
    st.integers(9, 14),
    st.integers(0, 20),
    glibc=st.sampled_from(["2.17", "2.28", "2.31", "2.36", "2.41", ""]),
    kind=st.sampled_from(["cpython", "cpython", "pypy"]),
    free=st.booleans(),
).filter(lambda each: not (each.free_threaded and (each.implementation == "pypy" or each.minor < "3.13")))

FILES = [
    "six-1-py2.py3-none-any.whl",
    "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "a-1-cp311-cp311-manylinux_2_34_x86_64.whl",
    "a-1-cp39-abi3-manylinux_2_28_x86_64.whl",
    "a-1-cp313-cp313t-manylinux_2_28_x86_64.whl",
    "a-1-pp39-pypy39_pp73-manylinux_2_17_x86_64.whl",
    "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
    "a-1-cp311-cp311-macosx_11_0_arm64.whl",
    "a-1-py3-none-linux_x86_64.whl",
]
SPECIFIERS = [
    ">=3.9",
    "!=3.11.4",
    ">=3.11.5",
    "<3.14",
    "==3.12.*",
    ">3.11",
    "~=3.10.2",
    "<=3.12",
    "!=3.13.*",
    ">=3.8,!=3.9.7",
]
MARKERS = [
    'tomli; python_full_version <= "3.11.0a6"',
    'b; python_full_version < "3.10.2"',
    'c; python_version < "3.11"',
    "d; sys_platform == 'win32' and python_full_version >= '3.9'",
    'e; platform_release >= "5" and extra == "x"',
    'f; implementation_version > "3.12.4"',
    "g",
    "not a requirement at all ;;",
]


@given(interpreters, st.lists(st.sampled_from(FILES), max_size=4), st.lists(st.sampled_from(MARKERS), max_size=4),
       st.lists(st.sampled_from(SPECIFIERS), max_size=3), interpreters)  # fmt: skip
def test_a_machine_fits_exactly_if_provider_tags_and_outcomes_do(maker, files, markers, specifiers, other):
    environment = marker_environment(maker)
    wheels = tuple(Wheel(name=f"w{n}", version="1", file_name=name, sha256="1" * 64) for n, name in enumerate(files))
    outcomes = record_markers(markers, environment) + record_python_specifiers(specifiers, environment)
    lock = with_format(Lock(platform="linux-64", provider=provider_of(maker), wheels=wheels, markers=outcomes))
    own_fits = all(accepted_tags(maker) & parse_wheel_filename(name)[3] for name in files)
    assert (find_misfit(lock, maker) is None) == own_fits
    same_python = (maker.minor, maker.implementation, maker.free_threaded) == (
        other.minor, other.implementation, other.free_threaded)  # fmt: skip
    same_tags = all(accepted_tags(other) & parse_wheel_filename(name)[3] for name in files)
    there = marker_environment(other)
    same_outcomes = all(evaluate_marker(each, there) == each.applies for each in outcomes)
    fits = find_misfit(lock, other) is None
    assert fits == (same_python and same_tags and same_outcomes)
    if fits:  # whatever any of the requirements says, both machines give the same answer to it
        for text in markers:
            assert record_markers([text], environment) == record_markers([text], there)
        for text in specifiers:
            allowed = [record_python_specifiers([text], e) for e in (environment, there)]
            assert allowed[0] == allowed[1]


@given(interpreters, interpreters, st.sampled_from(SPECIFIERS))
def test_what_is_not_recorded_of_a_specifier_depends_on_x_y_only(one, other, specifier):
    from packaging.specifiers import SpecifierSet

    if one.minor == other.minor and not find_changed_outcome(
        record_python_specifiers([specifier], marker_environment(one)), marker_environment(other)
    ):
        assert SpecifierSet(specifier).contains(one.version) == SpecifierSet(specifier).contains(other.version)


@given(interpreters)
def test_older_glibc_and_other_threading_accept_no_more(one):
    older = msgspec.structs.replace(one, libc="glibc 2.17")
    assert one.libc in ("", "glibc 2.17") or accepted_tags(older) < accepted_tags(one)
    none = msgspec.structs.replace(one, libc="")
    assert not any("manylinux" in tag.platform for tag in accepted_tags(none))


@given(interpreters, interpreters)
def test_a_wheel_built_elsewhere_needs_the_glibc_it_was_built_against(maker, other):
    built = Wheel(name="w", version="1", kind="built", file_name="w-1-py3-none-linux_x86_64.whl", sha256="1" * 64)
    system = dict(needed_system((built,), maker))
    lock = with_format(Lock(platform="linux-64", provider=provider_of(maker), wheels=(built,), system=system))
    assert find_misfit(lock, maker) is None
    if find_misfit(lock, other) is None and maker.libc:
        assert float(other.libc[6:]) >= float(maker.libc[6:])


@given(interpreters)
def test_the_digest_knows_no_executable_and_no_patch_level(one):
    other = msgspec.structs.replace(one, version=f"{one.minor}.77", executable="/elsewhere/python")
    locks = [with_format(Lock(platform="linux-64", provider=provider_of(each))) for each in (one, other)]
    assert digest_lock(locks[0]) == digest_lock(locks[1])


def test_the_tags_of_this_python_are_those_that_packaging_finds_for_it():
    own = probe_interpreter(own_interpreter())
    assert own is not None
    assert accepted_tags(own) == frozenset(sys_tags())
    assert own.markers["python_full_version"] == ".".join(map(str, sys.version_info[:3]))


def test_only_markers_that_a_fitting_machine_may_answer_otherwise_are_recorded():
    environment = marker_environment(interpreter(11, 2))
    recorded = record_markers(MARKERS, environment)
    assert {each.marker for each in recorded} == {
        'python_full_version <= "3.11.0a6"',
        'python_full_version < "3.10.2"',
        'sys_platform == "win32" and python_full_version >= "3.9"',
        'platform_release >= "5" and extra == "x"',
        'implementation_version > "3.12.4"',
    }
    assert all(is_volatile(name) for name in VOLATILE)
    assert not is_volatile('sys_platform == "python_full_version"')


@pytest.mark.parametrize(
    "marker", ["(" * 900 + 'python_full_version > "3"' + ")" * 900, "x" * 10**6, 'python_full_version > "a"', ""]
)
def test_a_marker_that_somebody_made_up_keeps_a_lock_away_and_breaks_nothing(marker):
    maker = interpreter(11, 7)
    made_up = MarkerOutcome(marker=marker, applies=True)
    lock = with_format(Lock(platform="linux-64", provider=provider_of(maker), markers=(made_up,)))
    assert "does not hold" in (find_misfit(lock, maker) or "")


def test_a_wheel_name_of_endless_tags_does_not_fit():
    maker = interpreter(11, 7)
    name = f"a-1-{'.'.join(['py3'] * 300)}-{'.'.join(['none'] * 300)}-{'.'.join(['any'] * 300)}.whl"
    wheel = Wheel(name="a", version="1", file_name=name, sha256="1" * 64)
    lock = with_format(Lock(platform="linux-64", provider=provider_of(maker), wheels=(wheel,)))
    assert "does not fit" in (find_misfit(lock, maker) or "")


def test_the_reason_says_what_does_not_fit():
    maker = interpreter(11, 7)
    wheel = Wheel(name="a", version="1", file_name=FILES[2], sha256="1" * 64)
    lock = with_format(
        Lock(
            platform="linux-64",
            provider=provider_of(maker),
            wheels=(wheel,),
            markers=(MarkerOutcome(marker='python_full_version >= "3.11.4"', applies=True),),
        )
    )
    assert find_misfit(lock, interpreter(12, 1)) == "it is cpython 3.12"
    assert find_misfit(lock, interpreter(11, 7, glibc="2.31")) == f"{FILES[2]} does not fit it (glibc 2.31)"
    assert find_misfit(lock, interpreter(11, 2)) == (
        'the packages were chosen by python_full_version >= "3.11.4", which does not hold for it (Python 3.11.2)'
    )
    conda = msgspec.structs.replace(lock, provider=CondaPython())
    assert find_misfit(conda, maker) == "the lock has a Python of its own"
    bound = msgspec.structs.replace(lock, provider=HostPython(version="3.11.7", executable="/x"), format=1)
    assert find_misfit(bound, maker) == "it is cpython 3.11"
