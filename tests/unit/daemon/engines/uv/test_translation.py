"""What uv says, translated: texts are of uv 0.13, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.engines.uv import errors
from roost.daemon.engines.uv.install import AttemptLog
from roost.daemon.engines.uv.sources.build_requirements import read_build_requirements
from roost.daemon.engines.uv.translation import (
    conda_conflict,
    extract_explanation,
    find_needed_builds,
    translate_failure,
)
from roost.model.errors import StoreFullError

DNS = """error: Failed to download `numpy @ https://x.example/numpy-1.26.4-py3-none-any.whl`
  cause: Request failed after 3 retries in 10.9s
  cause: Failed to fetch: https://x.example/numpy-1.26.4-py3-none-any.whl
  cause: error sending request for url (https://x.example/numpy-1.26.4-py3-none-any.whl)
  cause: client error (Connect)
  cause: dns error
  cause: failed to lookup address information: Name or service not known"""
MISMATCH = f"""error: Failed to download `six==1.17.0`
  cause: Hash mismatch for `six==1.17.0`

         Expected:
           sha256:{"5" * 64}

         Computed:
           sha256:{"4" * 64}"""
UNSATISFIABLE = """error: No solution found when resolving dependencies
  cause: Because scipy>=1.18.1 depends on numpy>=2.0.0,<2.8 and numpy==1.26.4, we can conclude that scipy>=1.18.1\
 cannot be used.
         And because you require scipy==1.18.1, we can conclude that your requirements are unsatisfiable."""
ONLY = """error: No solution found when resolving dependencies
  cause: Because only the following versions of numpy are available:
             numpy<2.0.0
             numpy>=2.8
         and scipy>=1.18.1 depends on numpy>=2.0.0,<2.8, we can conclude that scipy>=1.18.1 cannot be used."""
SOURCES = """error: No solution found when resolving dependencies
  cause: Because all versions of docopt have no usable wheels and you require docopt, we can conclude\
 that your requirements are unsatisfiable.

hint: Wheels are required for `docopt`\
 because building from source is disabled for all packages (i.e., with `--no-build`)"""


@pytest.mark.parametrize(
    ("stderr", "expected", "word"),
    [
        (DNS, errors.IndexUnreachableError, "https://x.example/numpy-1.26.4"),
        (MISMATCH, errors.WheelDigestMismatchError, "six==1.17.0: expected sha256:555"),
        (UNSATISFIABLE, errors.PipUnsatisfiableError, "scipy>=1.18.1 cannot be used"),
        ("error: x\n  cause: No space left on device (os error 28)", StoreFullError, "No space"),
        (
            "error: Failed to fetch: https://x.example/\n cause: HTTP status client error (401 Unauthorized)",
            errors.IndexDeniedError,
            "x.example",
        ),
        (
            "error: Failed to build `x`\n  cause: The build backend returned an error",
            errors.WheelBuildError,
            "backend",
        ),
        ("error: Failed to extract archive\n cause: invalid zip", errors.WheelCorruptError, "zip"),
        (
            "error: Failed to fetch: https://x.example/a\n cause: HTTP status client error (404 Not Found)",
            errors.UrlGoneError,
            "nothing at https://x.example/a",
        ),
        ("error: something new", errors.UvFailedError, "something new"),
        ("", errors.UvFailedError, "printed nothing"),
    ],
)
def test_each_failure_has_its_error(stderr: str, expected: type[Exception], word: str) -> None:
    error = translate_failure(stderr, 1, "locking")
    assert type(error) is expected
    assert word in error.message
    assert "error:" not in error.message
    assert "cause:" not in error.message


def test_a_signal_is_a_crash() -> None:
    error = translate_failure(MISMATCH, -9, "installing")
    assert isinstance(error, errors.UvCrashedError)
    assert "signal 9" in error.message


@pytest.mark.parametrize("text", [UNSATISFIABLE, ONLY])
def test_a_conflict_names_conda_and_pip(text: str) -> None:
    error = conda_conflict(extract_explanation(text), {"numpy": "1.26.4", "scipy-stubs": "1", "python": "3.11"})
    assert error is not None
    assert "conda provides numpy 1.26.4" in error.message
    assert "scipy>=1.18.1 (which needs numpy>=2.0.0,<2.8)" in error.message
    assert error.fields["package"] == "numpy"


def test_what_the_provided_version_allows_is_no_culprit() -> None:
    text = "Because you require a>=1 and b==2 depends on a<1, we can conclude that nothing fits."
    error = conda_conflict(text, {"a": "1.5"})
    assert error is not None
    assert error.fields["pip"] == ["b==2 (which needs a<1)"]


def test_a_failure_about_other_things_is_no_conflict() -> None:
    assert conda_conflict(extract_explanation(UNSATISFIABLE), {"pandas": "2.0", "num": "1"}) is None


def test_everyday_words_are_no_packages() -> None:
    text = "Because a==1 has no wheels with a matching tag and you require a==1, the requirements of pip do not fit."
    assert conda_conflict(text, {"pip": "24.0", "wheels": "1"}) is None


def test_uvs_own_hint_is_handed_on() -> None:
    said = "\nhint: Pre-releases are available for `a` in the requested range (try: `--prerelease=allow`)"
    error = translate_failure(f"error: No solution found when resolving dependencies{said}", 1, "locking")
    assert error.hint.endswith("(try: `--pre` in the requirements)")


NOWHERE = """error: No solution found when resolving dependencies
  cause: Because {name} was not found in the {place} and you require {name}, we can conclude\
 that your requirements are unsatisfiable."""
BACKEND = """Using Python 3.11.7 environment at: /x
   Building demo @ file:///x
error: Failed to build `demo @ file:///x`
  cause: The build backend returned an error
  cause: Call to `hatchling.absent.get_requires_for_build_editable` failed (exit status: 1)

         [stderr]
         Traceback (most recent call last):
           File "<string>", line 8, in <module>
         ModuleNotFoundError: No module named 'hatchling.absent'

hint: This error likely indicates that `demo@0.1` depends on `hatchling.absent`. Add it under:

[tool.uv.extra-build-dependencies]
demo = ["hatchling.absent"]

or `uv pip install hatchling.absent` into the environment."""


@pytest.mark.parametrize("place", ["package registry", "provided package locations"])
def test_a_package_that_is_nowhere_is_a_matter_of_its_name(place: str) -> None:
    error = translate_failure(NOWHERE.format(name="nope", place=place), 1, "locking", ["https://h/simple", "PyPI"])
    assert error.hint == (
        "Check the spelling of nope, or name the index that has it (https://h/simple, PyPI were asked)."
    )
    assert "registry" not in error.message
    assert "`--python 3.12`" in translate_failure(NOWHERE.format(name="python", place=place), 1, "locking").hint


def test_what_uv_advises_is_left_out_and_a_missing_module_is_named() -> None:
    error = translate_failure(BACKEND, 1, "installing")
    assert error.message.split("\n")[-1].strip() == "ModuleNotFoundError: No module named 'hatchling.absent'"
    assert not any(word in error.message for word in ("Using Python", "Building demo", "extra-build", "pip install"))
    assert (error.fields["module"], "compiler" in error.hint) == ("hatchling.absent", False)
    assert "compiler" in translate_failure(BACKEND.replace("No module named", "none:"), 1, "installing").hint


def test_an_attempt_that_another_one_answers_leaves_nothing_in_the_log() -> None:
    refused = "error: Failed to resolve\n  cause: Hash-checking is required, but no trusted hash was provided for: x"
    log: list[str] = []
    attempt = AttemptLog(log.append)
    for line in ("Resolved 2 packages in 234ms", "Prepared 1 package in 1ms", *refused.split("\n")):
        attempt.add_line(line)
    assert log == ["Prepared 1 package in 1ms"]
    AttemptLog(log.append).add_failure(BACKEND)
    assert log[1:3] == ["   Building demo @ file:///x", "error: Failed to build `demo @ file:///x`"]
    assert log[-1].endswith("'hatchling.absent'")


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        ('["a", "b>=1; python_version > \'3\'"]', ("a", "b>=1; python_version > '3'")),
        ('["a @ file:///x"]', ()),
        ("1", ()),
    ],
)
def test_what_a_project_requires_for_its_build(requires: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    assert read_build_requirements(str(tmp_path)) == ()
    (tmp_path / "pyproject.toml").write_text(f"[build-system]\nrequires = {requires}\n")
    assert read_build_requirements(str(tmp_path)) == expected


def test_needed_builds_are_named() -> None:
    assert find_needed_builds(SOURCES) == {"docopt"}
    assert find_needed_builds("error: Building source distributions is disabled") == set()
    assert find_needed_builds(UNSATISFIABLE) is None
