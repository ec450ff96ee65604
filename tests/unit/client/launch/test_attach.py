"""The client's frames of a run in a container are those of the wire."""

from __future__ import annotations

from roost.client.launch import attach
from roost.wire.protocol import PROTOCOL
from roost.wire.runs import Frame


def test_the_client_and_the_wire_name_the_same_kinds():
    assert {kind.name: getattr(attach, kind.name) for kind in Frame} == {kind.name: kind.value for kind in Frame}
    assert attach.PROTOCOL == PROTOCOL
