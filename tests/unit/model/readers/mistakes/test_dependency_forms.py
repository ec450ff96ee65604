from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.model.readers.mistakes.test_near_keys import read

from roost.model.readers.mistakes.dependency_forms import INSTALLERS
from roost.model.syntax.match_specs import normalise_match_spec


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("python: 3.11", "python=3.11"),
        ("python: '3.11'", "python=3.11"),
        ("python: 3.10", "python=3.10"),
        ("python: ==3.11", "python==3.11"),
        ("numpy: '>=1.20, <2'", "numpy>=1.20,<2"),
        ("numpy: '*'", "numpy"),
        ("numpy: 1.26.*", "numpy=1.26.*"),
        ("numpy:", "numpy"),
        ("conda-forge::numpy: 1.26", "conda-forge::numpy=1.26"),
        ("{python: 3.11, numpy: 1.26}", "python=3.11"),
    ],
)
def test_a_package_written_as_a_mapping_is_an_error_that_shows_condas_form(written, spec):
    errors = read(f"dependencies:\n- pip\n- {written}\n").errors
    assert errors[0].code == "dependency-form"
    assert errors[0].hint == f"Write `- {spec}`."
    assert errors[0].location is not None
    assert errors[0].location.line == 3


@pytest.mark.parametrize("written", ["python: ^3.11", "numpy: {version: 1.26}", "numpy: 'a b|'"])
def test_a_version_that_conda_cannot_have_is_an_error_all_the_same(written):
    (error,) = read(f"dependencies:\n- {written}\n").errors
    assert error.code in ("dependency-form", "match-spec-invalid")
    assert "`- NAME=1.2`" in error.hint


@pytest.mark.parametrize("key", ["Pip", "PIP", "pips", "ppi"])
def test_a_near_miss_of_pip_is_an_error(key):
    (error,) = read(f"dependencies:\n- python\n- {key}: [six]\n").errors
    assert (error.code, error.location and error.location.line) == ("dependency-form", 3)
    assert "did you mean 'pip'" in error.message


@pytest.mark.parametrize(
    "written", ["npm: [express]", "npm: express", "sel(win): pywin32", "'sel(win)': [a, b]", "unknown: [a]", "cran:"]
)
def test_what_conda_passes_over_stays_a_warning(written):
    document = read(f"dependencies:\n- python\n- {written}\n")
    assert [problem.code for problem in document.problems] == ["section-unknown"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dependencies:\n  python: 3.11\n  numpy: '*'\n", "`- python=3.11`"),
        ("dependencies: {pip: [six]}\n", "`- python=3.11`"),
        ("dependencies: numpy\n", "`- python=3.11`"),
        ("dependencies: numpy pandas\n", "`- python=3.11`"),
    ],
)
def test_dependencies_that_are_no_list_are_an_error_that_shows_a_line(text, shown):
    (error,) = read(text).errors
    assert "expected a list" in error.message
    assert shown in error.hint


@pytest.mark.parametrize(
    ("written", "requirement"),
    [
        ("requests: 2.31", "requests==2.31"),
        ("six: '>=1.16'", "six>=1.16"),
        ("six: =1.16", "six==1.16"),
        ("six:", "six"),
    ],
)
def test_a_requirement_written_as_a_mapping_shows_pips_form(written, requirement):
    (error,) = read(f"dependencies:\n- pip:\n  - {written}\n").errors
    assert error.hint == f"Write `- {requirement}`."


OTHERS = {*INSTALLERS, "null", "true", "false"}


@given(
    name=st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True).filter(lambda name: name not in OTHERS),
    version=st.from_regex(r"[1-9][0-9]{0,2}(\.[0-9]{1,3}){0,2}", fullmatch=True),
)
def test_what_is_shown_is_a_spec_of_that_package_and_version(name, version):
    errors = read(f"dependencies:\n- {name}: {version}\n").errors
    spec = errors[0].fields["spec"]
    assert normalise_match_spec(spec) == spec == f"{name}={version}"


def test_a_package_whose_name_is_near_pip_is_a_package():
    (error,) = read("dependencies:\n- zip: 3.0\n").errors
    assert error.hint == "Write `- zip=3.0`."
