"""What a rerun says of what is no longer as it was: an interpreter, and packages that can't be had."""

from __future__ import annotations

import pytest

from roost.daemon.engines.conda.errors import PackageDigestMismatchError, PackageMissingError, PostLinkError
from roost.daemon.engines.uv.errors import WheelDigestMismatchError
from roost.daemon.engines.uv.translation import url_gone
from roost.daemon.locks.missing_packages import explain_missing_package
from roost.daemon.runs.reruns import RunUnrepeatableError, check_repeatable, find_interpreter_changes
from roost.model.errors import BuildError, CodedError
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel
from roost.model.records import RunRecord

SIX = CondaPackage(
    name="six",
    version="1.16.0",
    build="0",
    subdir="noarch",
    file_name="six-1.16.0-0.conda",
    url="https://example.org/c/noarch/six-1.16.0-0.conda",
    sha256="a" * 64,
)
TOY = Wheel(name="toy", version="2", file_name="toy-2.whl", url="https://example.org/f/toy-2.whl", sha256="b" * 64)
LOCK = Lock(platform="linux-64", provider=CondaPython(), conda=(SIX,), wheels=(TOY,))


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (PackageMissingError("x", fields={"file_name": SIX.file_name}), SIX),
        (PackageMissingError("x", fields={"url": SIX.url}), SIX),
        (url_gone(TOY.url or ""), TOY),
        (PackageDigestMismatchError("x", fields={"url": SIX.url}), SIX),
        (WheelDigestMismatchError("x", fields={"package": "toy"}), TOY),
        (WheelDigestMismatchError("toy-2.whl: expected …, received …"), TOY),
    ],
)
def test_the_package_is_named_with_its_place_and_its_digest(error: CodedError, package: CondaPackage | Wheel) -> None:
    told = explain_missing_package(error, LOCK)
    assert f"{package.name} {package.version}" in told.message
    assert str(package.url) in told.message
    assert package.sha256 in told.hint
    assert (told.fields["package"], told.fields["url"]) == (package.name, package.url)
    wrong = isinstance(error, (PackageDigestMismatchError, WheelDigestMismatchError))
    assert (told.code, told.exit_status) == ("digest-mismatch" if wrong else "package-missing", 4)


def test_an_editable_folder_that_is_gone_is_named() -> None:
    mine = Wheel(name="mine", version="1", kind="editable", path="/home/me/mine")
    error = BuildError("uv failed: Distribution not found at: file:///home/me/mine")
    told = explain_missing_package(error, Lock(platform="linux-64", provider=CondaPython(), wheels=(mine,)))
    assert "mine 1 is an editable install of /home/me/mine" in told.message
    assert told.code == "package-missing"


def test_other_failures_and_packages_that_nobody_named_stay_as_they_are() -> None:
    for error in (PostLinkError("six-1.16.0-0.conda failed"), PackageMissingError("no word on which")):
        assert explain_missing_package(error, LOCK) is error


THEN = {"path": "/p/python", "version": "3.11.7", "mtime": 1.0, "executable": "/usr/bin/python3.11"}


def test_changes_of_an_interpreter() -> None:
    assert find_interpreter_changes(THEN, dict(THEN)) == {}
    assert find_interpreter_changes(THEN, {**THEN, "mtime": 2.0}) == {"mtime": {"before": 1.0, "after": 2.0}}
    old = {name: THEN[name] for name in ("path", "version", "mtime")}
    assert find_interpreter_changes(old, THEN) == {}, "what was not recorded then is no change"


def test_what_recorded_nothing_can_not_be_run_again() -> None:
    fields = {"id": "r", "state": "failed", "target": "local", "command": ("x",), "cwd": "/", "created": "t"}
    run = RunRecord(**fields, definition_digest="sha256:d", settings_digest="sha256:s")  # type: ignore[arg-type]
    with pytest.raises(RunUnrepeatableError):
        check_repeatable(run)
