"""Requests of the Python API: paths, pages of lists and the variables of a detached run."""

from __future__ import annotations

from typing import Any

import pytest

from roost.client.api.connection import PAGE_ROWS, WorkspaceConnection, path_to, process_variables


class PagedSession:
    """A session that answers with the given pages, one for each request."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = list(pages)
        self.targets: list[str] = []

    def request(self, method: str, target: str, body: object = None) -> dict[str, Any]:
        self.targets.append(target)
        return self.pages.pop(0)


def list_ids(session: PagedSession) -> list[object]:
    connection = WorkspaceConnection()
    connection._session = session
    return [row["id"] for row in connection._list_rows("/v1/runs", "runs", "before", state="failed")]


def test_a_path_is_quoted_and_leaves_out_values_that_are_none() -> None:
    assert path_to("environments", "a/b c", version=1, label=None) == "/v1/environments/a%2Fb%20c?version=1"
    assert path_to("runs", "..") == "/v1/runs/.."


def test_pages_are_requested_by_the_cursor_of_the_answer() -> None:
    session = PagedSession({"runs": [{"id": "b"}], "next": "b"}, {"runs": [{"id": "a"}], "next": None})
    assert list_ids(session) == ["b", "a"]
    assert session.targets == [
        f"/v1/runs?limit={PAGE_ROWS}&state=failed",
        f"/v1/runs?limit={PAGE_ROWS}&state=failed&before=b",
    ]


def test_pages_without_a_cursor_go_on_after_the_last_row_of_a_full_one() -> None:
    full = [{"id": number} for number in range(PAGE_ROWS)]
    session = PagedSession({"runs": full}, {"runs": [{"id": "last"}]})
    assert list_ids(session) == [*range(PAGE_ROWS), "last"]
    assert session.targets[1].endswith(f"&before={PAGE_ROWS - 1}")


def test_variables_that_are_not_utf8_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_TEST_TEXT", "é")
    monkeypatch.setenv("ROOST_TEST_BYTES", "\udcff")
    variables = process_variables()
    assert variables["ROOST_TEST_TEXT"] == "é"
    assert "ROOST_TEST_BYTES" not in variables
