"""The wire form of errors: whatever an error holds, it can be sent."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.jobs.views import error_body
from roost.model.errors import CodedError, Location
from roost.wire.protocol import ErrorBody

texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=3)
values = st.recursive(
    scalars | st.just(Location(path="/\udcff", line=2**70)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(texts | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(texts, texts, texts, st.dictionaries(texts, values, max_size=3))
def test_any_error_can_be_sent(message: str, hint: str, path: str, fields: dict[str, object]) -> None:
    body = error_body(CodedError(message, hint=hint, location=Location(path=path), fields=fields))
    assert msgspec.json.decode(msgspec.json.encode(body), type=ErrorBody).code == "internal"


def test_bytes_that_are_not_text_show_as_escapes() -> None:
    body = error_body(
        CodedError("no \udcff", location=Location(path="/\udce9t"), fields={"a\udcff": ["\udcff", 2**64]})
    )
    assert (body.message, body.location.path if body.location else "") == ("no \\udcff", "/\\udce9t")
    assert body.fields == {"a\\udcff": ["\\udcff", "0x10000000000000000"]}
