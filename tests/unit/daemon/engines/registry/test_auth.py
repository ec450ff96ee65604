"""Challenges as servers really send them, and when to come again."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from yarl import URL

from roost.daemon.caller.current import use_caller
from roost.daemon.engines.registry.auth import parse_challenges, proxy_for
from roost.daemon.engines.registry.credentials import RegistryLogin
from roost.daemon.engines.registry.http import parse_retry_after

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (
            ['Bearer realm="https://auth.example/token",service="a, b",scope="repository:x:pull,push"'],
            [
                (
                    "bearer",
                    {"realm": "https://auth.example/token", "service": "a, b", "scope": "repository:x:pull,push"},
                )
            ],
        ),
        (['Bearer realm="a", Basic realm="b"'], [("bearer", {"realm": "a"}), ("basic", {"realm": "b"})]),
        (["Negotiate", 'BASIC Realm="q\\"uoted"'], [("negotiate", {}), ("basic", {"realm": 'q"uoted'})]),
        (["Negotiate, Basic realm=plain"], [("negotiate", {}), ("basic", {"realm": "plain"})]),
        (['Bearer realm="x" , error = "invalid_token"'], [("bearer", {"realm": "x", "error": "invalid_token"})]),
        ([""], []),
        (["=== nothing of the kind"], []),
    ],
)
def test_challenges_are_taken_apart(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(c.scheme, dict(c.parameters)) for c in parse_challenges(headers)] == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_when_to_come_again(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_credentials_are_not_shown() -> None:
    assert "secret" not in repr(RegistryLogin("somebody", "secret"))
    assert "secret" not in f"{RegistryLogin(identity_token='secret')}"


def test_proxies_are_those_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://starter.example:3128")
    assert proxy_for(URL("https://far.example/v2/")) is None
    with use_caller({"https_proxy": "http://proxy.example:3128", "no_proxy": "near.example"}):
        assert proxy_for(URL("https://far.example/v2/")) == "http://proxy.example:3128"
        assert proxy_for(URL("https://near.example/v2/")) is None
        assert proxy_for(URL("https://127.0.0.1:5000/v2/")) is None
