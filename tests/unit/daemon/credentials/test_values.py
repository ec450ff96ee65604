"""The values that a request brings are masked in every encoding, before any text is parsed."""

from __future__ import annotations

import base64
import json
import shlex
from contextvars import copy_context
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.daemon.credentials.redaction import redact, redact_value
from roost.daemon.credentials.values import SecretValues, begin_request, find_values, note_values, value_pattern
from roost.wire.plans import EnvironmentSelector
from roost.wire.runs import RunRequest

PASSWORD = "p@ss/w%rd:#1?x&<\"' \\ü"
ENCODE = {
    "raw": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "percent but /": quote,
    "form": quote_plus,
    "lower hex": lambda text: quote(text, safe="").replace("%2F", "%2f"),
    "url crate userinfo": lambda text: quote(text, safe="!$&'()*+,%~"),
    "json": lambda text: json.dumps(text)[1:-1],
    "json unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "python": lambda text: repr(text)[1:-1],
    "sh": shlex.quote,
    "header": lambda text: base64.b64encode(f"somebody:{text}".encode()).decode(),
    "docker auth": lambda text: base64.urlsafe_b64encode(f'{{"password":"{text}"}}'.encode()).decode(),
}


@pytest.mark.parametrize("encoding", ENCODE)
def test_a_value_is_masked_in_every_encoding(encoding: str) -> None:
    text = f"fatal: https://u:{ENCODE[encoding](PASSWORD)}@h/x: not found"
    masked = SecretValues({"P": PASSWORD}).mask(text)
    assert "${P}" in masked
    assert not any(part in masked for part in ("ss/w", "ss%2Fw", "rd:", "w%rd", "#1", "%231"))


characters = st.text(alphabet=st.sampled_from("@/%:#?&=+ '\"\\abcXYZ019ü"), min_size=4, max_size=12)


@given(characters, st.sampled_from(sorted(ENCODE.keys() - {"header", "docker auth"})))
@example("a/b@c#d", "raw")
def test_no_part_of_a_password_is_left_by_a_url(password: str, encoding: str) -> None:
    """Whatever the password is, the text without it is what a text with ``${P}`` is."""
    encoded = ENCODE[encoding](password)
    begin_request()
    note_values({"P": password})
    assert "${P}" in redact(f"[{encoded}]") or len(encoded) < 4
    shown = redact(f"error: https://u:{encoded}@h.example/simple/ failed")
    assert shown in {
        "error: https://***@h.example/simple/ failed",
        "error: https://u:'${P}'@h.example/simple/ failed",
    }, "masked as a whole, before the rules for URLs"
    begin_request()


def test_a_short_value_is_masked_as_user_or_password_only() -> None:
    values = SecretValues({"P": "a/b", "U": "me"})
    assert values.mask("https://me:a/b@h/me/a/b") == "https://${U}:${P}@h/me/a/b"


def test_values_for_other_purposes_stay() -> None:
    assert SecretValues({"PATH": "/usr/bin:/bin", "USER": "somebody"}).mask("/usr/bin:/bin somebody") == (
        "/usr/bin:/bin somebody"
    )


def test_the_longest_form_is_masked_first() -> None:
    assert SecretValues({"A": "secret", "B": "secret-longer"}).mask("secret-longer secret") == "${B} ${A}"


def test_a_request_masks_its_own_values_only() -> None:
    def request() -> str:
        begin_request()
        note_values({"P": PASSWORD})
        return redact(PASSWORD)

    assert copy_context().run(request) == "${P}"
    assert redact(PASSWORD) != "${P}"


def test_json_with_a_value_stays_json() -> None:
    begin_request()
    note_values({"P": PASSWORD})
    assert redact_value({"x": [f"a {PASSWORD} b"], "y": 1}) == {"x": ["a ${P} b"], "y": 1}
    begin_request()


def test_the_values_of_a_request_are_found() -> None:
    selector = EnvironmentSelector(cwd="/", environ={"A": "1"})
    request = RunRequest(what=selector, command=["x"], secrets={"B": "2"}, environ_of_client={"C": "3"})
    assert find_values(request) == {"A": "1", "B": "2"}
    assert find_values(None) == {}


@given(st.text(min_size=1, max_size=30))
def test_any_value_has_a_pattern(value: str) -> None:
    assert value_pattern(value).fullmatch(value)


def test_patterns_are_linear() -> None:
    """A long text that nearly has the value everywhere is searched without going back far."""
    values = SecretValues({"P": "%/" * 40 + "x"})
    assert values.mask("%/" * 20_000 + "y").endswith("y")
