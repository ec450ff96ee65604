"""The client's frames of a run in a container are those of the wire."""

from __future__ import annotations

from socket import socketpair

from roost.client.launch import attach
from roost.wire.protocol import PROTOCOL
from roost.wire.runs import Frame


def test_the_client_and_the_wire_name_the_same_kinds():
    assert {kind.name: getattr(attach, kind.name) for kind in Frame} == {kind.name: kind.value for kind in Frame}
    assert attach.PROTOCOL == PROTOCOL


def test_output_that_is_kept_is_stored_as_it_arrives(monkeypatch):
    """Frames of both streams, in their order; what else arrives is none."""
    shown, kept = [], []
    monkeypatch.setattr(attach._Bridge, "_write_output", lambda self, kind, data: shown.append((kind, data)))
    frames = [(attach.STDOUT, b"a"), (attach.STDIN_TAKEN, b""), (attach.STDERR, b"b"), (attach.EXIT, b"3")]
    early = b"".join(bytes((kind, 0, 0, 0)) + len(data).to_bytes(4, "big") + data for kind, data in frames)
    own, other = socketpair()
    with own, other:
        bridge = attach._Bridge(own, None, early, at_terminal=False, store=kept.append)
        assert bridge.run() == 3
    assert (shown, kept) == ([(1, b"a"), (2, b"b")], [b"a", b"b"])
