"""The body of the API's "Create a container": a run's own needs, and ``[container]`` of its definition.

``arguments`` are options of ``docker run``, with the names of Docker's "docker container run" reference. Options that
are not in the tables here are refused by name: one that is dropped in silence would change what runs.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from docker.errors import DockerException
from docker.types import DeviceRequest, Ulimit
from docker.utils import parse_bytes, parse_devices
from docker.utils.ports import build_port_bindings

from roost.daemon.engines.docker.errors import ContainerArgumentError
from roost.daemon.engines.docker.values import ContainerSpec, Json

HOME = "/home/roost"
"""HOME in a container: an in-memory file system that the user owns, since images don't know the uid of the user."""
NO_OUTPUT: Json = {"Type": "none", "Config": {}}
ALL_OUTPUT: Json = {
    "Type": "json-file",
    "Config": {"max-size": "1p", "max-file": "1", "compress": "false", "mode": "blocking"},
}
"""The engine's log of a container: one file without a size limit, whatever the engine's own defaults (Docker, "JSON
File logging driver"). A daemon that was restarted reads it again."""

_ONE = {
    "--network": "NetworkMode",
    "--ipc": "IpcMode",
    "--pid": "PidMode",
    "--uts": "UTSMode",
    "--userns": "UsernsMode",
    "--cgroupns": "CgroupnsMode",
    "--cpuset-cpus": "CpusetCpus",
    "--cpuset-mems": "CpusetMems",
    "--runtime": "Runtime",
}
_MANY = {
    "--cap-add": "CapAdd",
    "--cap-drop": "CapDrop",
    "--security-opt": "SecurityOpt",
    "--group-add": "GroupAdd",
    "--add-host": "ExtraHosts",
    "--dns": "Dns",
    "--dns-search": "DnsSearch",
    "--volumes-from": "VolumesFrom",
}
_SIZES = {"--memory": "Memory", "--memory-swap": "MemorySwap", "--memory-reservation": "MemoryReservation"}
_NUMBERS = {"--cpu-shares": "CpuShares", "--pids-limit": "PidsLimit", "--oom-score-adj": "OomScoreAdj"}
_FLAGS = {"--privileged": "Privileged", "--read-only": "ReadonlyRootfs", "--oom-kill-disable": "OomKillDisable"}
_OTHERS = ("--gpus", "--shm-size", "--cpus", "--user", "--workdir", "--hostname", "--stop-signal")
_OTHER_LISTS = ("--ulimit", "--device", "--env", "--label", "--tmpfs", "--volume", "--mount", "--publish", "--sysctl")
_SHORT = {"--memory": "-m", "--cpu-shares": "-c", "--user": "-u", "--workdir": "-w", "--hostname": "-h", "--env": "-e"}
_SHORT |= {"--label": "-l", "--volume": "-v", "--publish": "-p", "--network": "--net"}
_CDI_KIND = "[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_CDI_NAME = re.compile(f"{_CDI_KIND}/{_CDI_KIND}=[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?")
"""A device's name in the Container Device Interface, ``vendor/class=name``, in contrast to a path."""
_READ_ONLY = ("readonly", "ro")
_GO_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_GO_BOOLEANS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)
"""As in Go's strconv.ParseBool."""


class _ArgumentParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        names = [*_ONE, *_MANY, *_SIZES, *_NUMBERS, *_FLAGS, *_OTHERS, *_OTHER_LISTS]
        raise ContainerArgumentError(
            f"[container] arguments: {message}", hint=f"Supported arguments: {', '.join(sorted(names))}."
        )


def _build_parser() -> _ArgumentParser:
    parser = _ArgumentParser(prog="arguments", add_help=False, allow_abbrev=False)

    def add(names: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - argparse's own
        for name in names:
            parser.add_argument(name, *([_SHORT[name]] if name in _SHORT else []), dest=name, **options)

    add([*_ONE, *_SIZES, *_OTHERS])
    add(list(_NUMBERS), type=int)
    add([*_MANY, *_OTHER_LISTS], action="append", default=[])
    add(list(_FLAGS), action="store_true")
    return parser


def parse_arguments(arguments: Sequence[str]) -> Json:
    """Return the values of options by their long names.

    Each item is an option (``--ipc=host``), an option and its value (``--ipc host``) or one word.

    Raises: ContainerArgumentError if an option is not supported or has no valid value.
    """
    words = [word for item in arguments for word in _split_argument(item)]
    return vars(_build_parser().parse_args(words))


def _split_argument(item: str) -> list[str]:
    """Split an option from its value at the first blank: the value of ``-e A=b c`` keeps its own."""
    name, blank, value = item.partition(" ")
    return [name, value.strip()] if blank and name.startswith("-") and "=" not in name else [item]


def container_body(spec: ContainerSpec) -> Json:
    """Return the body of the API's "Create a container". Raises: ContainerArgumentError."""
    options = parse_arguments(spec.arguments)
    try:
        return _body_from_options(spec, options)
    except (DockerException, ValueError) as error:
        raise ContainerArgumentError(
            f"[container]: {error}", hint="Write its options as `docker run` takes them."
        ) from error


def _body_from_options(spec: ContainerSpec, options: Json) -> Json:
    _check_variables(options["--env"])
    own_home = "HOME" in spec.variables or any(each.startswith("HOME=") for each in options["--env"])
    variables = {**({} if own_home else {"HOME": HOME}), **spec.variables}
    return {
        "Image": spec.image,
        "Entrypoint": list(spec.command[:1]),
        "Cmd": list(spec.command[1:]),
        "User": options["--user"] or spec.user,
        "WorkingDir": options["--workdir"] or spec.cwd,
        "Env": [*(f"{name}={value}" for name, value in variables.items()), *options["--env"]],
        "Labels": {**dict(each.partition("=")[::2] for each in options["--label"]), **spec.labels},
        "Tty": spec.console is not None,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin,
        "AttachStdin": spec.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        **_without_defaults({"Hostname": options["--hostname"], "StopSignal": options["--stop-signal"]}),
        "ExposedPorts": {port: {} for port in _port_bindings(options["--publish"])},
        "HostConfig": _host_config(spec, options, own_home=own_home),
    }


def _check_variables(lines: Sequence[str]) -> None:
    """Refuse variables without a value: `docker run` reads it from its caller, and the engine unsets the variable."""
    bare = [each for each in lines if "=" not in each]
    if bare:
        raise ContainerArgumentError(
            f"[container] arguments: --env {bare[0]} has no value, and roost does not take it from the caller",
            hint=f"Remove it and run with `--secret {bare[0]}`, which passes the caller's value on, "
            f"or with `--var {bare[0]}=VALUE`.",
        )


def _host_config(spec: ContainerSpec, options: Json, *, own_home: bool) -> Json:
    home = {} if own_home else {HOME: _home_options(options["--user"] or spec.user)}
    tmpfs = dict(each.partition(":")[::2] for each in options["--tmpfs"])
    shm_size = options["--shm-size"] or spec.shm_size
    cdi_devices = [each for each in options["--device"] if _CDI_NAME.fullmatch(each)]
    config = {
        "Init": True,
        "Mounts": [_working_folder_mount(spec.cwd), *map(_parse_mount, options["--mount"])],
        "Binds": options["--volume"],
        "Tmpfs": {**home, **tmpfs},
        "ConsoleSize": list(spec.console) if spec.console else None,  # engines before API 1.42 wait for a resize
        "LogConfig": ALL_OUTPUT if spec.keep_output else NO_OUTPUT,
        "ShmSize": parse_bytes(shm_size) if shm_size else None,
        "DeviceRequests": [
            *([_parse_gpus(options["--gpus"])] if options["--gpus"] else []),
            *([DeviceRequest(driver="cdi", device_ids=cdi_devices)] if cdi_devices else []),
        ],
        "Devices": parse_devices([each for each in options["--device"] if each not in cdi_devices]),
        "Ulimits": [_parse_ulimit(each) for each in options["--ulimit"]],
        "Sysctls": dict(each.partition("=")[::2] for each in options["--sysctl"]),
        "NanoCpus": int(float(options["--cpus"]) * 1e9) if options["--cpus"] else None,
        "PortBindings": _port_bindings(options["--publish"]),
        **{key: options[name] for name, key in {**_ONE, **_MANY, **_NUMBERS, **_FLAGS}.items()},
        **{key: parse_bytes(options[name]) if options[name] else None for name, key in _SIZES.items()},
    }
    return _without_defaults(config)


def _home_options(user: str) -> str:
    """Return the mount options of HOME: owned by the uid, or writable for all if only the image knows the uid."""
    uid, _, gid = user.partition(":")
    if not _is_number(uid):
        return "rw,exec,mode=1777"
    return f"rw,exec,mode=0700,uid={int(uid)},gid={int(gid) if _is_number(gid) else 0}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _without_defaults(config: Json) -> Json:
    return {key: value for key, value in config.items() if value not in (None, [], {}, False)}


def _working_folder_mount(cwd: str) -> Json:
    if cwd == "/":
        raise ContainerArgumentError(
            "The working folder is /, which can't be mounted into a container", hint="Change to a folder of your own."
        )
    return {"Type": "bind", "Source": cwd, "Target": cwd}


def _parse_mount(text: str) -> Json:
    """Parse ``type=bind,source=/a,target=/b,readonly``. Raises: ValueError."""
    fields = [each.partition("=") for each in next(csv.reader([text]))]
    values = {key: value for key, _, value in fields}
    target = values.get("target") or values.get("destination") or values.get("dst")
    source = values.get("source") or values.get("src", "")
    unknown = set(values) - {"type", "source", "src", "target", "destination", "dst", *_READ_ONLY}
    if unknown or not target:
        raise ValueError(f"--mount {text}: {'no target' if not target else f'unknown: {sorted(unknown)}'}")
    read_only = [_parse_boolean(text, key, value) if sep else True for key, sep, value in fields if key in _READ_ONLY]
    return {
        "Type": values.get("type", "volume"),
        "Source": source,
        "Target": target,
        "ReadOnly": bool(read_only and read_only[-1]),
    }


def _parse_boolean(text: str, key: str, value: str) -> bool:
    if value not in _GO_BOOLEANS:
        raise ValueError(f"--mount {text}: {key} is neither true nor false: {value!r}")
    return _GO_BOOLEANS[value]


def _parse_gpus(text: str) -> DeviceRequest:
    """Parse ``all``, a number, or ``device=0,2`` (quoted or not). Raises: ValueError."""
    text = text.strip("\"'")
    kind, equals, value = text.partition("=")
    capabilities = [["gpu"]]
    if equals and kind == "device":
        return DeviceRequest(device_ids=value.split(","), capabilities=capabilities)
    if equals:
        raise ValueError(f"--gpus {text}: give all, a number, or device=…")
    return DeviceRequest(count=-1 if text == "all" else int(text), capabilities=capabilities)


def _parse_ulimit(text: str) -> Ulimit:
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    return Ulimit(name=name, soft=int(soft), hard=int(hard or soft))


def _port_bindings(published: Sequence[str]) -> Json:
    """Return ``[[ip:]host:]container[/udp]`` texts in the API's form."""
    ports: Json = {}
    for port, bindings in build_port_bindings(list(published)).items():
        name = port if "/" in port else f"{port}/tcp"
        ports[name] = [_host_port(each) for each in bindings]
    return ports


def _host_port(binding: object) -> Json:
    """Return the API's form of a binding of the SDK: ``(ip, port)`` or ``port``."""
    if isinstance(binding, tuple):
        return {"HostIp": binding[0], "HostPort": str(binding[1] or "")}
    return {"HostPort": str(binding or "")}
