"""What a bundle says of its environments, and what of a machine must not be in it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from tests.golden.test_golden_digests import VECTORS, parsed

from roost.daemon.bundles.contents import (
    BundleContents,
    BundledEnvironment,
    decode_contents,
    encode_contents,
    list_origins,
    list_variables,
    make_portable_body,
    make_portable_lock,
    place_body,
)
from roost.daemon.bundles.errors import BundleInvalidError, BundleNewerError, BundleTooLargeError, BundleUnportableError
from roost.daemon.bundles.format import create_index, describe_file
from roost.daemon.locks.artifact import find_local_part
from roost.model.canonical.form import digest_definition, digest_settings
from roost.model.definition import Base, Defaults, Definition, Pip, PipItem
from roost.model.errors import Location
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Wheel, digest_lock
from roost.model.records import EnvironmentBody

SHA = "a" * 64
PACKAGE = CondaPackage(
    name="a", version="1", build="0", subdir="noarch", file_name="a-1-0.conda", url="file:///c/noarch/a-1-0.conda",
    sha256=SHA, record={"depends": []},
)  # fmt: skip
LOCK = Lock(platform="linux-64", provider=CondaPython(), conda=(PACKAGE,))


def environment(name: str, lock: Lock = LOCK) -> BundledEnvironment:
    body = EnvironmentBody(definition=Definition())
    return BundledEnvironment(name=name, definition_digest=f"sha256:{SHA}", scope="linux-64", body=body, lock=lock)


def test_the_order_in_which_environments_are_named_is_no_matter() -> None:
    one, two = environment("a"), environment("b")
    data = encode_contents(BundleContents(environments=(one, two)))
    assert data == encode_contents(BundleContents(environments=(two, one)))
    assert decode_contents(data, "x").environments == (one, two)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{", BundleInvalidError),
        (b"[]", BundleInvalidError),
        (b'{"environments":[{"lock":{"format":99}}]}', BundleNewerError),
        (b"[" * 100_000, BundleInvalidError),
    ],
)
def test_other_contents_are_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_contents(data, "x")


def test_no_path_of_the_machine_is_in_a_body_and_no_digest_changes() -> None:
    """Nested files, names that look like extras or markers, and what a hostile bundle might say."""
    place = Location(path="/home/me/requirements.txt", line=1)
    digest = f"sha256:{SHA}"
    items = (
        PipItem(kind="wheel", text="a-1-py3-none-any.whl[x]", digest=digest, path="/home/me/a-1-py3-none-any.whl"),
        PipItem(kind="source", text="odd [name] --x ; y", digest=digest, path="/home/me/odd [name] --x ; y"),
        PipItem(kind="option", text="--find-links wheels", digest=digest, path="/home/me/wheels"),
        PipItem(kind="constraints", text="c.txt", items=(PipItem(kind="requirement", text="a<2"),), path="/home/me/c"),
        PipItem(kind="requirement", text="b", location=place),
    )
    nested = PipItem(kind="requirements", text="more.txt", items=items, path="/home/me/more.txt", location=place)
    base = Base(context=digest, context_path="/home/me/context")
    body = EnvironmentBody(definition=Definition(base=base, pip=Pip(requirements=(nested,))))
    expected = digest_definition(body.definition, body.defaults)
    portable = make_portable_body(body)
    assert b"/home/me" not in msgspec.json.encode(portable)
    assert digest_definition(portable.definition, body.defaults) == expected
    for each in (portable, body):
        placed = place_body(each, "/root/snapshots")
        assert b"/home/me" not in msgspec.json.encode(placed)
        assert digest_definition(placed.definition, body.defaults) == expected
        wheel, source, *_ = placed.definition.pip.requirements[0].items
        assert (wheel.path, source.path) == (None, f"/root/snapshots/{SHA}/odd [name] --x ; y")
    climbing = PipItem(kind="source", text="..", digest=digest, path="/x/..")
    body = EnvironmentBody(definition=Definition(pip=Pip(requirements=(climbing,))))
    assert place_body(body, "/s").definition.pip.requirements[0].path == f"/s/{SHA}/content"


def test_a_lock_from_a_bundle_is_not_shared_but_goes_into_another_bundle() -> None:
    """One from a folder of packages too: the files are in the bundle, and not in a registry."""
    lock = msgspec.structs.replace(LOCK, bundle=f"sha256:{SHA}", unanswered={"p": "x"})
    assert "bundle" in (find_local_part(lock) or "")
    assert make_portable_lock(lock, "a") == LOCK
    assert digest_lock(lock) == digest_lock(LOCK)


@pytest.mark.parametrize(
    "lock",
    [
        Lock(platform="linux-64", provider=HostPython(version="3.11.2", executable="/usr/bin/python3")),
        Lock(platform="linux-64", provider=HostPython(version="3.11"), format=2),
        msgspec.structs.replace(LOCK, wheels=(Wheel(name="e", version="1", kind="editable", path="/home/me/e"),)),
        msgspec.structs.replace(LOCK, wheels=(Wheel(name="e", version="1", sha256=SHA, folder="/home/me/e"),)),
        msgspec.structs.replace(LOCK, conda=(msgspec.structs.replace(PACKAGE, sha256=""),)),
    ],
)
def test_a_lock_of_use_on_one_machine_only_is_refused(lock: Lock) -> None:
    with pytest.raises(BundleUnportableError, match="train"):
        make_portable_lock(lock, "train")


def test_variables_stand_for_themselves_and_origins_are_listed() -> None:
    wheel = Wheel(name="a", version="1", url="https://f.example/${TOKEN}/a.whl", sha256=SHA)
    each = environment("a", msgspec.structs.replace(LOCK, conda=(), wheels=(wheel,)))
    assert list_variables(each) == {"TOKEN": "${TOKEN}"}
    assert list(list_origins(each.lock)) == ["https://f.example"]


def test_more_than_one_bundle_may_have_is_refused() -> None:
    files = [describe_file(f"{number:064x}", 1, "application/x", "a" * 200) for number in range(20_000)]
    with pytest.raises(BundleTooLargeError, match="20,000 files"):
        create_index(b"{}", files)


def test_every_definition_has_its_digest_in_a_bundle_and_on_the_other_machine(tmp_path: Path) -> None:
    for number, vector in enumerate(VECTORS):
        folder = tmp_path / str(number)
        folder.mkdir()
        definition, settings = parsed(vector, folder)
        defaults = msgspec.convert(vector.get("defaults", {}), Defaults)
        body = EnvironmentBody(definition=definition, settings=settings, defaults=defaults)
        sent = msgspec.json.decode(msgspec.json.encode(make_portable_body(body)), type=EnvironmentBody)
        for each in (sent, place_body(sent, "/root/snapshots")):
            assert digest_definition(each.definition, each.defaults) == vector["digest"], vector["name"]
            assert digest_settings(each.settings) == vector["settings_digest"]
        if "-e " not in json.dumps(vector.get("files", "")) and not definition.conda.explicit:
            assert str(folder) not in msgspec.json.encode(sent).decode(), vector["name"]
