"""The protocol of the client's two ways to the daemon."""

from __future__ import annotations

from roost.client.launch import hot
from roost.client.transport import connection
from roost.wire import protocol


def test_both_halves_of_the_client_speak_one_protocol():
    assert hot.PROTOCOL == connection.PROTOCOL == protocol.PROTOCOL
