"""From the engines' words to the requirement that they are about."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.engines.uv.errors import WheelBuildError
from roost.daemon.explanations.causes import (
    Cause,
    find_conda_cause,
    find_conflict_cause,
    find_pip_cause,
    format_place,
    list_requirements,
)
from roost.daemon.explanations.explain import _describe_known, _find_cause, format_versions
from roost.daemon.explanations.well_known import WELL_KNOWN, find_well_known
from roost.model.definition import Conda, Definition, Pip, PipItem
from roost.model.errors import Location

TREE = """No set of packages satisfies the conda dependencies:
The following packages are incompatible
├─ scikit-learn * can be installed with any of the following options:
│  └─ scikit-learn 1.5.2 would require
│     └─ python >=3.11,<3.12.0a0, which can be installed with any of the following options:
└─ conda-forge::numpy >=2 cannot be installed because there are no viable options:
   └─ numpy 2.1.3, which conflicts with the versions reported above.
"""
NESTED = """No set of packages satisfies the conda dependencies:
wants cannot be installed because there are no viable options:
└─ wants 1.0 would require
   └─ lost >=12, for which no candidates were found.
"""
VIRTUAL = NESTED.replace("lost", "__cuda")
UNSATISFIED = "The pip requirements can't be satisfied: Because "
END = ", we can conclude that your requirements are unsatisfiable."


def requirements(conda: str = "", pip: str = ""):
    """Requirements of which the n-th is written in line n, conda's first."""
    specs = [text for text in conda.split("; ") if text]
    lines = [text for text in pip.split("; ") if text]
    places = {text: Location(path="/w/f", line=number, column=1) for number, text in enumerate(specs, 1)}
    items = [
        PipItem(kind="requirement", text=text, location=Location(path="/w/g", line=number, column=3))
        for number, text in enumerate(lines, 1)
    ]
    nested = PipItem(kind="requirements", text="g", items=tuple(items))
    definition = Definition(conda=Conda(dependencies=tuple(specs)), pip=Pip(requirements=(nested,)))
    return list_requirements(definition, places)


def said(cause: Cause | None) -> tuple[str, str, str, int | None]:
    assert cause is not None
    place = cause.requirement.location if cause.requirement else None
    return cause.kind, cause.name, cause.bound, place.line if place else None


CONDA = [
    ("No candidates were found for numpi.", "python; numpi", ("missing", "numpi", "", 2)),
    ("x\nNo candidates were found for numpy >=99.", "numpy>=99; python", ("missing", "numpy", ">=99", 1)),
    ("No candidates were found for python 3.12.*.", "python=3.11; python=3.12", ("missing", "python", "3.12.*", 2)),
    ("No candidates were found for Numpy_X 1.0.*.", "numpy-x 1.0", ("missing", "Numpy_X", "1.0.*", 1)),
    (TREE, "python; scikit-learn; conda-forge::numpy>=2", ("conflict", "numpy", ">=2", 3)),
    (NESTED, "python; wants", ("missing", "lost", ">=12", 2)),
    (VIRTUAL, "wants", ("conflict", "wants", "", 1)),
]
PIP = [
    (f"gret is in none of the package indexes asked and you require gret{END}", "a; gret", ("missing", "gret", "", 2)),
    (f"only x<=1.5 is available and you require x>=2{END}", "x; x>=2", ("versions", "x", ">=2", 2)),
    (f"there is no version of x==1.2 and you require x==1.2{END}", "x==1.2; y", ("versions", "x", "==1.2", 1)),
    (f"you require x>=1.2 and x<1.2{END}", "x>=1.2; x<1.2", ("conflict", "x", ">=1.2", 1)),
    (
        f"all versions of w depend on x>=2 and you require x==1, we can conclude that your requirements and w are "
        f"incompatible.\n      And because you require w{END}",
        "w; X[a]==1; z",
        ("conflict", "X", "==1", 2),
    ),
    (
        f"lost is in none of the package indexes asked and w depends on lost, we can conclude that all versions of w "
        f"cannot be used.\n And because you require w{END}",
        "z; w",
        ("missing", "lost", "", 2),
    ),
    (
        "the current Python version (3.11.7) does not satisfy Python>=3.13 and x==1 depends on Python>=3.13, we can "
        f"conclude that x==1 cannot be used.\n And because only x==1 is available and you require x{END}",
        "x",
        ("python", "x", ">=3.13", 1),
    ),
]


@pytest.mark.parametrize(("message", "written", "expected"), CONDA)
def test_the_requirement_of_conda_is_found(message, written, expected):
    assert said(find_conda_cause(message, requirements(written, "numpi; numpy; wants"))) == expected


@pytest.mark.parametrize(("message", "written", "expected"), PIP)
def test_the_requirement_of_pip_is_found_in_a_nested_file(message, written, expected):
    assert said(find_pip_cause(UNSATISFIED + message, requirements("x; gret", written))) == expected


def test_what_excludes_it_is_named_with_its_place():
    known = requirements("python; scikit-learn; conda-forge::numpy>=2", "numpy>=99")
    cause = find_conda_cause(TREE, known)
    assert _describe_known(cause) == (
        "conda-forge::numpy>=2 and scikit-learn (f:2:1) exclude each other: loosen one of them."
    )
    conflict = find_conflict_cause("numpy", ["numpy>=99", "scipy (which needs numpy>=2)"], known)
    assert said(conflict) == ("conflict", "numpy", "", 1)
    assert [each.text for each in conflict.others] == ["conda-forge::numpy>=2"]
    assert format_place(None) == ""


def test_what_a_request_added_has_no_place():
    items = (PipItem(kind="requirement", text="gret"),)
    known = list_requirements(Definition(pip=Pip(requirements=items)), {})
    cause = find_pip_cause(
        f"{UNSATISFIED}gret is in none of the package indexes asked and you require gret{END}", known
    )
    assert cause.requirement.location is None


WORDS = st.text(alphabet="ab -.:;[]>=<,\n├└─│", max_size=80)


@given(WORDS, st.sampled_from([*CONDA, *PIP]), st.integers(0, 60))
def test_any_text_has_a_cause_or_none(noise, case, position):
    text = case[0][:position] + noise + case[0][position:]
    known = requirements("a; b>=1; python 3.11.*", "a==1; b; x")
    for find in (find_conda_cause, find_pip_cause):
        cause = find(text, known)
        assert cause is None or cause.requirement is None or cause.requirement in known


@pytest.mark.parametrize(
    ("versions", "bound", "expected"),
    [
        ("1 2 3", ">=99", "1, 2 and 3"),
        ("1 2 3 4 5 6 7 8 9 10", "==4.5", "3, 4, 5, 6 and others, the newest 10"),
        ("1 2 3 4 5 6 7 8 9 10", ">=99", "9, 10 and older"),
        ("1 2 3 4 5 6 7 8 9 10", "0.1.*", "1, 2 and others, the newest 10"),
        ("2021a 2021b 2022a 2023 2024 2024b 2025", "", "2024b, 2025 and older"),
    ],
)
def test_versions_near_the_bound_are_listed(versions, bound, expected):
    assert format_versions(versions.split(), bound) == expected


def test_well_known_names_lead_to_another_one():
    assert find_well_known("sklearn", conda=True) == find_well_known("SKLearn", conda=False) == "scikit-learn"
    assert find_well_known("torch", conda=True) == "pytorch"
    assert find_well_known("torch", conda=False) is find_well_known("numpy", conda=False) is None
    assert list(WELL_KNOWN) == sorted(WELL_KNOWN)


def test_the_page_for_users_lists_them():
    page = " ".join((Path(__file__).parents[4] / "docs" / "environment-files.md").read_text(encoding="utf-8").split())
    for name, (pip, conda) in WELL_KNOWN.items():
        assert (f"`{name}` ({pip})" if pip == conda else f"`{name}` ({pip}; conda: {conda})") in page


def test_a_build_that_fails_is_the_fault_of_the_line_that_asks_for_it() -> None:
    listed = requirements(pip="six; sklearn; oldest==0.1")
    asked = _find_cause(WheelBuildError("failed", fields={"package": "Oldest"}), listed)
    assert asked is not None
    assert (asked.kind, asked.requirement) == ("build", listed[2])
    assert _describe_known(asked) is None
    renamed = _find_cause(WheelBuildError("failed", fields={"package": "sklearn"}), listed)
    assert renamed is not None
    assert _describe_known(renamed) == "sklearn is called scikit-learn in pip's index: require that."
    assert _find_cause(WheelBuildError("failed", fields={"package": "needed-by-six"}), listed) is None
