"""Making the socket, taking systemd's, telling systemd."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator

import pytest

from roost.daemon.config.paths import SocketPathError
from roost.daemon.server.sockets import bind_socket, create_notifier, remove_socket, take_inherited_socket

pytestmark = pytest.mark.unprivileged


@pytest.fixture
def folder() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield path
    shutil.rmtree(path)


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_it_is_private_in_a_private_folder_whatever_the_umask(folder: str) -> None:
    before = os.umask(0)
    try:
        with bind_socket(f"{folder}/new/s", own_folder=True):
            assert (_mode(f"{folder}/new/s"), _mode(f"{folder}/new")) == (0o600, 0o700)
    finally:
        os.umask(before)


def test_roosts_own_folder_is_closed_to_others(folder: str) -> None:
    os.chmod(folder, 0o755)
    with bind_socket(f"{folder}/s", own_folder=True):
        assert _mode(folder) == 0o700


@pytest.mark.parametrize(("mode", "own"), [(0o755, False), (0o1777, True)])
def test_a_folder_of_others_is_refused_and_left_as_it_is(folder: str, mode: int, own: bool) -> None:
    os.chmod(folder, mode)
    with pytest.raises(SocketPathError, match="Other users can access"):
        bind_socket(f"{folder}/s", own_folder=own)
    assert _mode(folder) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(folder: str) -> None:
    os.chown(folder, 65534, 65534)
    with pytest.raises(SocketPathError, match="another user"):
        bind_socket(f"{folder}/s", own_folder=True)


def test_a_symlink_in_the_folders_place_is_refused(folder: str) -> None:
    os.symlink(folder, f"{folder}/link")
    with pytest.raises(SocketPathError, match="another user"):
        bind_socket(f"{folder}/link/s", own_folder=True)


def test_a_socket_left_behind_is_replaced(folder: str) -> None:
    with bind_socket(f"{folder}/s", own_folder=True):
        pass
    with bind_socket(f"{folder}/s", own_folder=True), socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/s")
    remove_socket(f"{folder}/s")
    remove_socket(f"{folder}/s")
    assert os.listdir(folder) == []


def test_a_path_that_is_too_long_is_refused_with_a_way_out(folder: str) -> None:
    with pytest.raises(SocketPathError) as caught:
        bind_socket(f"{folder}/{'s' * 120}", own_folder=True)
    assert "ROOST_SOCKET" in caught.value.hint


def test_systemds_socket_is_taken_and_its_variables_reach_no_child(folder: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{folder}/s")
        made.listen()
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "roost", "HOME": "/h"}
        descriptor = os.dup(made.fileno())
        os.set_inheritable(descriptor, True)
        taken = take_inherited_socket(environ, descriptor)
        assert taken is not None
        with taken:
            assert taken.getsockname() == f"{folder}/s"
            assert not taken.get_inheritable()
        assert environ == {"HOME": "/h"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_FDS": "1"},
    ],
)
def test_what_was_meant_for_another_process_is_left_alone(variables: dict[str, str]) -> None:
    assert take_inherited_socket(variables) is None
    assert variables == {}


def test_systemd_is_told_by_path_and_by_abstract_name(folder: str) -> None:
    for address, variable in ((f"{folder}/n", f"{folder}/n"), (f"\0{folder}", f"@{folder}")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            listener.settimeout(5)
            environ = {"NOTIFY_SOCKET": variable}
            create_notifier(environ)("READY=1")
            assert listener.recv(100) == b"READY=1"
            assert environ == {}


def test_nobody_to_tell_is_no_fault(folder: str) -> None:
    environ = {"NOTIFY_SOCKET": f"{folder}/gone"}
    assert create_notifier({})("READY=1") is None
    assert create_notifier(environ)("READY=1") is None
    assert environ == {}


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(SocketPathError, match=r"Can't create the socket /proc/nope/s: No such file or directory"):
        bind_socket("/proc/nope/s", own_folder=False)
