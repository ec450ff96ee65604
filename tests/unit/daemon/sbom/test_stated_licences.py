"""What packages state of themselves."""

from __future__ import annotations

import pytest

from roost.daemon.sbom.distributions import describe_distribution, parse_headers
from roost.daemon.sbom.inventory import Licence
from roost.daemon.sbom.licences import choose_licence, read_licence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", Licence(expression="MIT")),
        ("mit or apache-2.0", Licence(expression="MIT OR Apache-2.0")),
        ("GPL-3.0-only WITH GCC-exception-3.1", Licence(expression="GPL-3.0-only WITH GCC-exception-3.1")),
        ("LicenseRef-Proprietary", Licence(expression="LicenseRef-Proprietary")),
        ("BSD", Licence(name="BSD")),
        ("MIT\x1b[31m and more", Licence(name="MIT\\x1b[31m and more")),
        ("Copyright 2020\nPermission is hereby granted", Licence(name="Copyright 2020")),
        ("x" * 1000, Licence(name="x" * 119 + "…")),
        ("(" * 5000 + "MIT" + ")" * 5000, Licence(name="(" * 119 + "…")),
        (" UNKNOWN ", None),
        ("", None),
    ],
)
def test_a_licence_is_an_expression_or_the_packages_words(text: str, expected: Licence | None) -> None:
    assert read_licence(text) == expected


MIT = "License :: OSI Approved :: MIT License"
APACHE = "License :: OSI Approved :: Apache Software License"


@pytest.mark.parametrize(
    ("expression", "text", "classifiers", "expected"),
    [
        ("BSD-3-Clause", "MIT", [MIT], Licence(expression="BSD-3-Clause")),
        ("", "Apache-2.0", [APACHE], Licence(expression="Apache-2.0")),
        ("", "see LICENSE", [MIT], Licence(expression="MIT")),
        ("", "", [APACHE], Licence(name="Apache Software License")),
        ("", "", [MIT, APACHE], Licence(name="MIT License, Apache Software License")),
        ("", "own terms", [APACHE], Licence(name="own terms")),
        ("", "", ["License :: OSI Approved", "Topic :: X"], None),
    ],
)
def test_core_metadata_states_a_licence_in_three_ways(
    expression: str, text: str, classifiers: list[str], expected: Licence | None
) -> None:
    assert choose_licence(expression, text, classifiers) == expected


def test_headers_end_at_the_readme_and_continue_on_indented_lines() -> None:
    data = b"Name: A.b\nVersion: 1\nLicense: one\n\ttwo\nRequires-Dist: x\nRequires-Dist: y>1\n\nVersion: 9\n"
    assert parse_headers(data) == parse_headers(data.replace(b"\n", b"\r\n"))
    assert parse_headers(data) == {
        "name": ["A.b"], "version": ["1"], "license": ["one\ntwo"], "requires-dist": ["x", "y>1"],
    }  # fmt: skip
    assert parse_headers(b"\xff\n no header\n:\n") == {"": [""]}
    assert describe_distribution({}).requires == ()
    assert describe_distribution(parse_headers(data)).requires == ("x", "y>1")
