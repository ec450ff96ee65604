"""Variables of this process in requests."""

from __future__ import annotations

from roost.client.errors import ClientError
from roost.client.transport.variables import add_missing_variables


def test_variables_are_sent_only_when_asked_for_and_only_once(monkeypatch):
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("TWO", "2")
    error = ClientError({"code": "variable-missing", "fields": {"variables": ["ONE", "NOT_SET_ANYWHERE"]}})
    first = add_missing_variables({"what": {"cwd": "/"}}, error)
    assert first == {"what": {"cwd": "/", "environ": {"ONE": "1"}}}
    assert add_missing_variables(first, error) is None
    more = ClientError({"code": "variable-missing", "fields": {"variables": ["TWO"]}})
    assert add_missing_variables(first, more)["what"]["environ"] == {"ONE": "1", "TWO": "2"}
    assert add_missing_variables(first, ClientError({"code": "other"})) is None
