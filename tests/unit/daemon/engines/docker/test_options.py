"""The options of ``[container]`` as the engine gets them: read as `docker run` reads them, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from roost.daemon.engines.docker.errors import ContainerArgumentError
from roost.daemon.engines.docker.options import container_body
from roost.daemon.engines.docker.values import ContainerSpec


def _body(*arguments: str) -> dict[str, Any]:
    return container_body(ContainerSpec(image="any", command=["true"], cwd="/w", user="7:8", arguments=arguments))


@pytest.mark.parametrize("arguments", [("-e", "TOKEN"), ("-e TOKEN",), ("-eTOKEN",), ("--env=TOKEN",)])
def test_a_variable_without_a_value_is_refused(arguments: tuple[str, ...]):
    with pytest.raises(ContainerArgumentError, match="--env TOKEN has no value") as caught:
        _body("-e", "OTHER=1", *arguments)
    assert "`--secret TOKEN`" in caught.value.hint
    assert "`--var TOKEN=VALUE`" in caught.value.hint


def test_a_variable_may_be_empty_and_hold_blanks_and_equals_signs():
    assert _body("-e", "A=", "--env B=x y=z")["Env"][-2:] == ["A=", "B=x y=z"]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), "mode=0700,uid=7,gid=8"),
        (("--user 1234:5678",), "mode=0700,uid=1234,gid=5678"),
        (("-u", "1234"), "mode=0700,uid=1234,gid=0"),
        (("--user=1234:staff",), "mode=0700,uid=1234,gid=0"),
        (("--user 010:010",), "mode=0700,uid=10,gid=10"),
        (("--user nobody",), "mode=1777"),
        (("--user nobody:1234",), "mode=1777"),
        (("--user :1234",), "mode=1777"),
        (("--user ١٢",), "mode=1777"),
    ],
)
def test_home_is_for_the_user_that_the_command_runs_as(arguments: tuple[str, ...], options: str):
    assert _body(*arguments)["HostConfig"]["Tmpfs"] == {"/home/roost": f"rw,exec,{options}"}


def _read_only(said: str) -> bool:
    [_, mount] = _body(f"--mount type=bind,source=/a,target=/b{said}")["HostConfig"]["Mounts"]
    assert (mount["Type"], mount["Source"], mount["Target"]) == ("bind", "/a", "/b")
    read_only: bool = mount["ReadOnly"]
    return read_only


@pytest.mark.parametrize("key", ["readonly", "ro"])
def test_whether_a_mount_is_read_only_is_read_as_docker_reads_it(key: str):
    assert not _read_only("")
    assert _read_only(f",{key}")
    assert all(_read_only(f",{key}={value}") for value in ("1", "t", "T", "TRUE", "true", "True"))
    assert not any(_read_only(f",{key}={value}") for value in ("0", "f", "F", "FALSE", "false", "False"))
    assert not _read_only(f",readonly,{key}=false"), "the last one holds"
    for value in ("", "no", "tRUE", "2"):
        with pytest.raises(ContainerArgumentError, match=f"{key} is neither true nor false: '{value}'"):
            _read_only(f",{key}={value}")


def test_a_device_is_asked_for_by_its_path_or_by_its_name_in_cdi():
    named = ["nvidia.com/gpu=0", "vendor.com/class=name", "v/c-1.x_y=a:b.c"]
    paths = ["/dev/fuse", "/dev/a=b", "/dev/sda:/dev/xvda:r"]
    host = _body("--gpus all", *(f"--device={each}" for each in (*named, *paths)))["HostConfig"]
    assert [each["PathOnHost"] for each in host["Devices"]] == ["/dev/fuse", "/dev/a=b", "/dev/sda"]
    gpus, cdi = host["DeviceRequests"]
    assert (gpus["Driver"], gpus["Count"]) == ("", -1)
    assert (cdi["Driver"], cdi["DeviceIDs"], cdi["Count"]) == ("cdi", named, 0)


@pytest.mark.parametrize("path", ["vendor.com=name", "vendor.com/class=", "1/class=name", "v/c=n-", "v/c/d=n"])
def test_what_is_no_name_in_cdi_is_a_path(path: str):
    host = _body("--device", path)["HostConfig"]
    assert "DeviceRequests" not in host
    assert host["Devices"][0]["PathOnHost"] == path
