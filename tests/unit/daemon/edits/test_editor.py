"""Which requests name a file that can be edited."""

from __future__ import annotations

from typing import Any

import pytest

from roost.daemon.edits.editor import check_request
from roost.model.errors import InvalidRequestError
from roost.wire.edits import EditRequest
from roost.wire.plans import EnvironmentSelector


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"environment": "train"}, "roost env edit train"),
        ({"image": "debian:12"}, "Name it with -f"),
        ({"text": "six\n"}, "Name it with -f"),
        ({"document": {}}, "Name it with -f"),
        ({"run": "r1"}, "Name it with -f"),
        ({"lock": "sha256:" + "0" * 64}, "Name no generation"),
        ({"lock": "sha256:0"}, "Write all of it"),
        ({"file": "a", "environment": "b"}, "at most one"),
    ],
)
def test_what_is_no_file_is_refused(fields: dict[str, Any], hint: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        check_request(EditRequest(what=EnvironmentSelector(cwd="/p", **fields), add=["six"]))
    assert hint in error.value.hint


def test_a_request_without_packages_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        check_request(EditRequest(what=EnvironmentSelector(cwd="/p")))
