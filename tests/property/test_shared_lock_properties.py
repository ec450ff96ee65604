"""A lock from a registry: what is pushed is read back, and whatever is changed in it afterwards is found."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.locks.artifact import (
    LOCK_TYPE,
    LockNewerError,
    LockUntrustedError,
    SharedLock,
    decode,
    encode,
    find_local_part,
    lock_descriptor,
    lock_tag,
)
from roost.daemon.locks.listed import check_provided, check_wheels_listed
from roost.daemon.locks.platform_markers import marker_environment
from roost.daemon.locks.verify_offline import LockExpectation, verify
from roost.daemon.oci.manifests import Manifest, parse_manifest
from roost.daemon.oci.references import parse_reference
from roost.model.definition import PipItem
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, RemoteInput, Wheel, digest_lock

FORGE = "https://conda.anaconda.org/conda-forge"
DEFINITION = "sha256:" + "d" * 64


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def package(name: str, version: str, *depends: str, subdir: str = "linux-64") -> CondaPackage:
    file_name = f"{name}-{version}-h0_0.conda"
    record = {"name": name, "version": version, "build": "h0_0", "subdir": subdir, "depends": list(depends)}
    return CondaPackage(
        name=name, version=version, build="h0_0", subdir=subdir, file_name=file_name,
        url=f"{FORGE}/{subdir}/{file_name}", sha256=sha256(file_name), size=10, record=dict(record),
    )  # fmt: skip


def wheel(name: str, version: str, **more: object) -> Wheel:
    file_name = f"{name}-{version}-py3-none-any.whl"
    fields = {"url": f"https://files.example/{name}/{file_name}", "sha256": sha256(file_name), "size": 5, **more}
    return Wheel(name=name, version=version, file_name=file_name, **fields)  # type: ignore[arg-type]


def requirement(text: str) -> PipItem:
    return PipItem(kind="requirement", text=text)


GIVEN = wheel("given", "1.0", kind="local", url=None)
DIRECT = wheel("direct", "2.0", kind="url")
LOCK = Lock(
    platform="linux-64",
    provider=CondaPython(),
    conda=(
        package("python", "3.11.5", "libzlib >=1.2"),
        package("libzlib", "1.3"),
        package("pip", "23.2", "python >=3.8", subdir="noarch"),
        package("numpy", "1.26.4", "python", "libzlib"),
    ),
    wheels=(wheel("greet", "1.5"), GIVEN, DIRECT),
)
SHARED = SharedLock(definition_digest=DEFINITION, platform="linux-64", lock=LOCK)
WANTED = LockExpectation(
    definition_digest=DEFINITION,
    platform="linux-64",
    subdir="linux-64",
    channels=(FORGE,),
    specs=("python=3.11", "numpy", "pip"),
    items=(
        requirement("greet>=1,<2"),
        requirement('never==9 ; sys_platform == "win32"'),
        requirement("numpy>=1"),
        PipItem(kind="wheel", text="given-1.0-py3-none-any.whl", digest=f"sha256:{GIVEN.sha256}", path="/x"),
        PipItem(kind="url", text=f"direct @ {DIRECT.url}#sha256={DIRECT.sha256}"),
    ),
    constraints=(requirement("greet!=1.4"), requirement("unused==1")),
)


def matches(spec: str, package: CondaPackage) -> bool:
    """Enough of a solver for these specs."""
    _, _, version = spec.partition("=")
    return package.version.startswith(version)


def judged(lock: Lock, wanted: LockExpectation = WANTED, **changed: object) -> list[str]:
    shared = msgspec.structs.replace(SHARED, lock=lock, **changed)
    return [str(each) for each in verify(shared, wanted, matches)]


def with_conda(name: str, **changed: object) -> Lock:
    conda = tuple(msgspec.structs.replace(p, **changed) if p.name == name else p for p in LOCK.conda)
    return msgspec.structs.replace(LOCK, conda=conda)


def with_wheel(name: str, **changed: object) -> Lock:
    wheels = tuple(msgspec.structs.replace(w, **changed) if w.name == name else w for w in LOCK.wheels)
    return msgspec.structs.replace(LOCK, wheels=wheels)


def test_the_lock_of_a_definition_is_taken_and_what_conda_must_provide_is_named() -> None:
    left = verify(SHARED, WANTED, matches)
    assert [str(each) for each in left] == ["numpy>=1"]
    check_provided(left, {"numpy": "1.26.4"})
    for provided in ({}, {"numpy": "0.9"}):
        with pytest.raises(LockUntrustedError):
            check_provided(left, provided)


SDIST = f"sha256:{'1' * 64}"
SOURCES = msgspec.structs.replace(
    WANTED,
    allow_built=True,
    items=(
        *WANTED.items,
        PipItem(kind="source", text="folder", digest=SDIST, path="/x/folder"),
        PipItem(kind="url", text="tool @ git+https://git.example/team/tool.git@main"),
    ),
)
EVIL = "https://evil.example/conda-forge/linux-64/numpy-1.26.4-h0_0.conda"
POISONS: dict[str, Callable[[], object]] = {
    "another definition": lambda: judged(LOCK, definition_digest="sha256:" + "e" * 64),
    "another platform": lambda: judged(msgspec.structs.replace(LOCK, platform="linux-aarch64")),
    "another platform outside": lambda: judged(LOCK, platform="linux-aarch64"),
    "a host Python": lambda: judged(
        msgspec.structs.replace(LOCK, provider=HostPython(version="3.11.5", executable="/usr/bin/python3"))
    ),
    "a channel of somebody else": lambda: judged(with_conda("numpy", url=EVIL)),
    "a channel whose name begins alike": lambda: judged(
        with_conda("numpy", url=LOCK.conda[3].url.replace("conda-forge", "conda-forge-evil"))
    ),
    "a path that climbs out": lambda: judged(
        with_conda("numpy", url=f"{FORGE}/linux-64/../../evil/linux-64/{LOCK.conda[3].file_name}")
    ),
    "a file of this machine": lambda: judged(with_conda("numpy", url="file:///tmp/numpy-1.26.4-h0_0.conda")),
    "no sha256": lambda: judged(with_conda("numpy", sha256="")),
    "a sha256 that is none": lambda: judged(with_conda("numpy", sha256="A" * 64)),
    "a record of another package": lambda: judged(with_conda("numpy", record={"name": "evil"})),
    "a record with another sha256": lambda: judged(with_conda("numpy", record={"sha256": "0" * 64})),
    "a file name that climbs out": lambda: judged(with_conda("numpy", file_name="../../x-1-0.conda")),
    "a file of another version": lambda: judged(with_conda("numpy", version="1.26.5")),
    "a package for elsewhere": lambda: judged(with_conda("numpy", subdir="osx-64")),
    "a spec that is not met": lambda: judged(LOCK, msgspec.structs.replace(WANTED, specs=("numpy=2",))),
    "a spec without a package": lambda: judged(LOCK, msgspec.structs.replace(WANTED, specs=("scipy", "numpy", "pip"))),
    "a package that nothing needs": lambda: judged(
        msgspec.structs.replace(LOCK, conda=(*LOCK.conda, package("evil", "1.0")))
    ),
    "a package twice": lambda: judged(msgspec.structs.replace(LOCK, conda=(*LOCK.conda, LOCK.conda[0]))),
    "a wheel twice": lambda: judged(msgspec.structs.replace(LOCK, wheels=(*LOCK.wheels, LOCK.wheels[0]))),
    "a version that no line allows": lambda: judged(with_wheel("greet", version="2.5")),
    "a version that a constraint forbids": lambda: judged(
        msgspec.structs.replace(LOCK, wheels=(wheel("greet", "1.4"), *LOCK.wheels[1:]))
    ),
    "a wheel that is none": lambda: judged(with_wheel("greet", file_name="greet.exe")),
    "a wheel without a sha256": lambda: judged(with_wheel("greet", sha256="")),
    "a wheel from a file": lambda: judged(with_wheel("greet", url="file:///tmp/greet-1.5-py3-none-any.whl")),
    "a wheel with a folder": lambda: judged(with_wheel("greet", path="/home/somebody")),
    "an editable folder": lambda: judged(with_wheel("greet", kind="editable")),
    "a wheel of a folder": lambda: judged(with_wheel("greet", folder="/home/me/greet")),
    "another given file": lambda: judged(with_wheel("given", sha256="0" * 64)),
    "another URL": lambda: judged(
        with_wheel("direct", url="https://evil.example/direct/direct-2.0-py3-none-any.whl")
    ),
    "an index's wheel said to be direct": lambda: judged(with_wheel("greet", kind="url")),
    "a built wheel of a catalogue": lambda: judged(with_wheel("greet", kind="built", url=None, origin=SDIST)),
    "a built wheel of a repository whose name is cut off": lambda: judged(
        with_wheel("greet", kind="built", url=None, origin="git+h@abc"), SOURCES
    ),
    "two built wheels of one folder": lambda: judged(
        msgspec.structs.replace(
            LOCK, wheels=tuple(msgspec.structs.replace(w, kind="built", url=None) for w in LOCK.wheels)
        ),
        SOURCES,
    ),
    "a built wheel beside a URL without a name": lambda: judged(
        with_wheel("greet", kind="built", url=None, origin=SDIST),
        msgspec.structs.replace(SOURCES, items=(*SOURCES.items, PipItem(kind="url", text="https://x/main.zip"))),
    ),
    "a built wheel of nobody's repository": lambda: judged(
        with_wheel("greet", kind="built", url=None, origin="git+https://evil.example/x@abc"),
        msgspec.structs.replace(WANTED, allow_built=True),
    ),
    "wheels without a pip section": lambda: judged(LOCK, msgspec.structs.replace(WANTED, items=(), constraints=())),
    "a remote file that nobody named": lambda: judged(
        msgspec.structs.replace(LOCK, inputs=(RemoteInput(url="https://x/r.txt", sha256="0" * 64),))
    ),
    "a digest that its line does not allow": lambda: judged(
        LOCK, msgspec.structs.replace(WANTED, items=(requirement(f"greet==1.5 --hash=sha256:{'0' * 64}"),))
    ),
}  # fmt: skip


@pytest.mark.parametrize("poison", POISONS)
def test_each_poison_is_found(poison: str) -> None:
    with pytest.raises(LockUntrustedError) as caught:
        POISONS[poison]()
    assert caught.value.code == "lock-poisoned"
    assert caught.value.hint


@pytest.mark.parametrize("origin", [None, SDIST, "git+https://git.example/team/tool@" + "a" * 40])
def test_what_was_built_of_what_the_definition_names_is_taken(origin: str | None) -> None:
    assert judged(with_wheel("greet", kind="built", url=None, origin=origin), SOURCES) == ["numpy>=1"]


def test_what_has_digests_in_the_definition_must_have_those() -> None:
    explicit = {package.url: package.sha256 for package in LOCK.conda}
    wanted = msgspec.structs.replace(WANTED, explicit=explicit, channels=())
    assert judged(LOCK, wanted) == ["numpy>=1"]
    url = LOCK.conda[0].url
    for changed in ({**explicit, url: "0" * 64}, {k: v for k, v in explicit.items() if k != url},
                    {**explicit, "https://x/more": "0" * 64}, {**explicit, url: "0" * 32}):  # fmt: skip
        with pytest.raises(LockUntrustedError):
            judged(LOCK, msgspec.structs.replace(wanted, explicit=changed))


@given(
    number=st.integers(0, 3),
    field=st.sampled_from(["name", "version", "build", "subdir", "file_name", "url", "sha256"]),
    value=st.text(max_size=20) | st.sampled_from(["evil", "0" * 64, EVIL, "noarch", "1.26.4"]),
)
def test_no_changed_field_of_a_package_leads_out_of_the_channels(number: int, field: str, value: str) -> None:
    changed = msgspec.structs.replace(LOCK.conda[number], **{field: value})
    lock = msgspec.structs.replace(LOCK, conda=(*LOCK.conda[:number], changed, *LOCK.conda[number + 1 :]))
    try:
        judged(lock)
    except LockUntrustedError:
        return
    assert changed.url == f"{FORGE}/{changed.subdir}/{changed.file_name}"
    assert re.fullmatch(r"[0-9a-f]{64}", changed.sha256)
    assert "/" not in changed.file_name


def test_indexes_have_the_last_word_on_wheels() -> None:
    listed = {w.name: {"version": w.version, "sha256s": w.sha256, "url": w.url or ""} for w in LOCK.wheels}
    check_wheels_listed(LOCK, listed)
    for changed in (
        {**listed, "greet": {**listed["greet"], "sha256s": "0" * 64}},
        {**listed, "greet": {**listed["greet"], "version": "1.6"}},
        {**listed, "greet": {**listed["greet"], "url": "https://other.example/greet-1.5-py3-none-any.whl"}},
        {**listed, "more": listed["greet"]},
        {k: v for k, v in listed.items() if k != "greet"},
    ):
        with pytest.raises(LockUntrustedError):
            check_wheels_listed(LOCK, changed)


digests = st.from_regex(r"\Asha256:[0-9a-f]{64}\Z")
platforms = st.from_regex(r"\A[a-z]{3,5}-[a-z0-9_]{2,8}(\+cuda[0-9]{1,2})?\Z")


@given(digests, digests, platforms, platforms)
def test_each_definition_and_platform_has_one_valid_tag(one: str, other: str, here: str, there: str) -> None:
    reference = parse_reference("registry.example.org/team/locks")
    for tag in (lock_tag(one, here), lock_tag(one, here, rebuild=other)):
        assert reference.with_tag(tag).tag == tag
    assert (lock_tag(one, here) == lock_tag(other, there)) == ((one, here) == (other, there))
    assert lock_tag(one, here) != lock_tag(one, here, rebuild=other)


def test_what_is_pushed_is_read_back_and_is_the_same_on_every_machine() -> None:
    artifact = encode(SHARED)
    manifest = parse_manifest(artifact.manifest)
    assert isinstance(manifest, Manifest)
    descriptor = lock_descriptor(manifest)
    data = {each.digest: content for each, content in artifact.blobs}[descriptor.digest]
    assert decode(data) == SHARED
    assert manifest.annotations["org.roost.lock"] == digest_lock(LOCK)
    assert encode(decode(data)) == artifact
    other = msgspec.structs.replace(manifest, artifact_type="application/vnd.other")
    for strange in (other, msgspec.structs.replace(manifest, layers=()), msgspec.structs.replace(
        manifest, layers=(msgspec.structs.replace(descriptor, size=1 << 40),))):  # fmt: skip
        with pytest.raises(LockUntrustedError):
            lock_descriptor(strange)
    assert manifest.artifact_type == LOCK_TYPE


@given(st.binary(max_size=300))
def test_any_bytes_are_a_lock_or_a_clear_error(data: bytes) -> None:
    with pytest.raises(LockUntrustedError):
        decode(data)


def test_a_lock_of_a_later_roost_is_told_from_a_poisoned_one() -> None:
    with pytest.raises(LockNewerError):
        decode(b'{"format": 99, "lock": "in a form of its own"}')


def test_what_others_can_t_use_is_shared_with_nobody() -> None:
    assert find_local_part(LOCK) is None
    host = HostPython(version="3.11.5", executable="/usr/bin/python3")
    for lock, word in (
        (msgspec.structs.replace(LOCK, provider=host), "Python"),
        (with_wheel("greet", kind="editable"), "editable"),
        (with_wheel("greet", kind="built", folder="/home/me/greet"), "the content of a folder of this machine"),
        (with_wheel("greet", sha256=""), "sha256"),
        (with_conda("numpy", sha256=""), "sha256"),
        (with_conda("numpy", url="file:///srv/numpy.conda"), "folder"),
    ):
        assert word in (find_local_part(lock) or "")


def test_markers_see_the_lock_s_python_and_platform() -> None:
    environment = marker_environment(LOCK, "linux-64")
    assert (environment["python_version"], environment["platform_machine"]) == ("3.11", "x86_64")
    assert marker_environment(LOCK, "osx-arm64")["sys_platform"] == "darwin"
    assert marker_environment(LOCK, "linux-aarch64")["platform_machine"] == "aarch64"


def with_lines(*texts: str) -> LockExpectation:
    lines = tuple(PipItem(kind="option", text=text) for text in texts)
    return msgspec.structs.replace(WANTED, items=(*WANTED.items, *lines))


def test_an_override_takes_the_place_of_what_lines_require() -> None:
    overridden = with_wheel(
        "greet", version="3.0", file_name="greet-3.0-py3-none-any.whl", url="https://f/greet-3.0-py3-none-any.whl"
    )
    with pytest.raises(LockUntrustedError, match="greet"):
        judged(overridden)
    assert judged(overridden, with_lines("--override Greet==3.0")) == ["numpy>=1"]
    with pytest.raises(LockUntrustedError, match=r"greet==4\.0 is requested"):
        judged(overridden, with_lines("--override greet==4.0"))
    assert judged(LOCK, with_lines("--override absent==1")) == ["numpy>=1"], "nothing has to require it"


def test_what_is_excluded_has_no_wheel() -> None:
    without = msgspec.structs.replace(LOCK, wheels=LOCK.wheels[1:])
    assert judged(without) == ["greet<2,>=1", "numpy>=1"]
    assert judged(without, with_lines("--exclude-dependency greet")) == ["numpy>=1"]
