"""Where a variable may be in a text, and where it is found if it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.syntax.variables import find_misplaced_variable


@pytest.mark.parametrize(
    "text",
    [
        "six==1.16.0",
        "--index-url https://${USER}:${PASS}@h.example/simple",
        "--index-url https://${TOKEN}@${HOST}:${PORT}/simple",
        "git+https://${TOKEN}@h.example/x@v1",
        "x @ git+ssh://git@${HOST}/x ; os_name == 'posix'",
        "https://h.example/t/${TOKEN}/channel",
        "https://h.example/x.whl?sig=${SIGNATURE}&v=1#sha256=0",
        "https://u:pre${P}post@h.example/x",
        "six==$V",  # neither pip nor uv replaces it
        "six==%V%",
        "six==${ V }",
        "$",
    ],
)
def test_who_asks_and_whom_may_be_variables(text):
    assert find_misplaced_variable(text) is None


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("six==${V}", "${V}"),
        ("six==${v}", "${v}"),
        ("six==$${V}", "${V}"),
        ("six==\\${V}", "${V}"),
        ("${NAME}", "${NAME}"),
        ("six ; python_version < '${V}'", "${V}"),
        ("six --hash=sha256:${H}", "${H}"),
        ("--index-url ${INDEX}", "${INDEX}"),
        ("--index-url ${SCHEME}://h.example/simple", "${SCHEME}"),
        ("--index-url https://h.example/${TEAM}/simple", "${TEAM}"),
        ("--trusted-host ${HOST}", "${HOST}"),
        ("git+https://${TOKEN}@h.example/x@${REV}", "${REV}"),
        ("git+https://h.example/x#egg=${NAME}", "${NAME}"),
        ("git@${HOST}:x", "${HOST}"),
        ("https://h.example/x?version=${V}", "${V}"),
        ("https://${USER:-me}@h.example/x", "${USER:-me}"),
        ("-r ${FOLDER}/more.txt", "${FOLDER}"),
    ],
)
def test_what_decides_which_packages_are_meant_may_not(text, reference):
    found = find_misplaced_variable(text)
    assert found is not None
    assert found.text == reference
    assert text[found.offset :].startswith(reference)


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ("$CHANNEL", True),
        ("https://h.example/$CHANNEL", True),
        ("https://h.example/t/$TOKEN/channel", True),
        ("https://$USER:${PASS}@h.example/channel", True),
        ("https://u:pa$$word@h.example/channel", False),
        ("numpy=^1.*$", False),
        ("$CHANNEL::numpy", True),
    ],
)
def test_conda_replaces_names_without_braces_too(text, is_refused):
    assert (find_misplaced_variable(text, conda=True) is not None) == is_refused
    assert find_misplaced_variable(text) is None


@given(st.lists(st.sampled_from(["${A}", "https://", "@", "/", "/t/", " ", "h", "?sig=", ":", "#", "$B"]), max_size=12))
def test_a_reference_that_is_found_is_there(pieces):
    text = "".join(pieces)
    found = find_misplaced_variable(text)
    if found is not None:
        assert text[found.offset : found.offset + len(found.text)] == found.text == "${A}"
    else:
        assert "${A}" not in text or "://" in text
