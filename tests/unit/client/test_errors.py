"""Error bodies as text."""

from __future__ import annotations

import os

from roost.client.errors import format_error, format_location_prefix


def test_an_error_is_two_lines_with_the_place_first():
    body = {
        "code": "x",
        "message": "bad\n\n  └─ thing\n",
        "hint": "fix it",
        "location": {"path": "a.yml", "line": 3, "column": 7},
    }
    assert format_error(body) == "roost: a.yml:3:7: bad\n  |   └─ thing\n  fix it"
    assert format_error({"message": "m", "location": {"path": "a", "line": None, "column": None}}).startswith(
        "roost: a: m\n  Fix the file"
    )
    assert format_error({"message": "m"}).startswith("roost: m\n  See `roost daemon logs`")
    twice = {"message": "/w/a.yml and /w/a.yaml both lie there", "location": {"path": "/w/a.yml"}}
    assert format_location_prefix({"path": os.path.abspath("a"), "line": 1}, "m", absolute=True).startswith("/")
    assert format_error(twice).startswith("roost: /w/a.yml and")


def test_further_errors_of_a_file_have_a_line_each_up_to_a_few():
    where = {"path": "a.yml", "line": 3, "column": 7}
    problems = [
        {"severity": "warning", "message": "unused", "location": where},
        *({"severity": "error", "message": f"bad {n}", "location": {**where, "line": n}} for n in range(3, 10)),
    ]
    body = {"message": "bad 3", "hint": "fix it", "location": where, "fields": {"problems": problems}}
    assert format_error(body).split("\n") == [
        "roost: a.yml:3:7: bad 3",
        "  fix it",
        *(f"roost: a.yml:{n}:7: bad {n}" for n in range(4, 8)),
        "  … and 2 more",
    ]
    alone = format_error({**body, "fields": {"problems": problems[:2]}})
    assert alone == "roost: a.yml:3:7: bad 3\n  fix it"
