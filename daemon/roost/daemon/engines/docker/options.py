"""What a container is started with: a run's own needs, and ``[container]`` of its definition, as the API has it.

``arguments`` are options of ``docker run``, by the names of Docker's "docker container run" reference. What is not in
the table here is refused by name: an option that is dropped in silence would change what runs.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from docker.errors import DockerException
from docker.types import DeviceRequest, Ulimit
from docker.utils import parse_bytes, parse_devices
from docker.utils.ports import build_port_bindings

from roost.model.errors import InvalidDefinitionError

Json = dict[str, Any]
HOME = "/home/roost"
"""A file system in memory, the user's own: images know nothing of the uid that runs in them."""
NO_OUTPUT: Json = {"Type": "none", "Config": {}}
ALL_OUTPUT: Json = {
    "Type": "json-file",
    "Config": {"max-size": "1p", "max-file": "1", "compress": "false", "mode": "blocking"},
}
"""Of the engine's log of a container: one file without an end, whatever the engine's own defaults (Docker, "JSON File
logging driver"). It is read again by a daemon that was away."""


class ContainerArgumentError(InvalidDefinitionError):
    """One of ``[container]`` that roost does not pass on, or can't read, or that names what the engine has not."""

    code = "container-argument"


@dataclass(frozen=True)
class ContainerSpec:
    """One container. ``command`` replaces the image's entry point; ``cwd`` is mounted at its own path."""

    image: str
    command: Sequence[str]
    cwd: str
    user: str
    """``uid:gid``."""
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    console: tuple[int, int] | None = None
    """Rows and columns of the terminal that it gets; ``None``: no terminal."""
    stdin: bool = True
    keep_output: bool = False
    """The engine keeps what it prints until the container is removed."""
    shm_size: str | None = None
    arguments: Sequence[str] = ()
    name: str | None = None
    platform: str | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ContainerArgumentError(
            f"[container] arguments: {message}", hint=f"Roost passes on: {', '.join(sorted(_known()))}."
        )


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
"""A device by its name in the Container Device Interface, ``vendor/class=name``, and not by its path."""
_READ_ONLY = ("readonly", "ro")
_TRUTHS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_TRUTHS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)
"""As Go's strconv.ParseBool has them."""


def _known() -> list[str]:
    return [*_ONE, *_MANY, *_SIZES, *_NUMBERS, *_FLAGS, *_OTHERS, *_OTHER_LISTS]


def _parser() -> _Parser:
    parser = _Parser(prog="arguments", add_help=False, allow_abbrev=False)

    def add(names: Sequence[str], **how: Any) -> None:  # noqa: ANN401 - argparse's own
        for name in names:
            parser.add_argument(name, *([_SHORT[name]] if name in _SHORT else []), dest=name, **how)

    add([*_ONE, *_SIZES, *_OTHERS])
    add(list(_NUMBERS), type=int)
    add([*_MANY, *_OTHER_LISTS], action="append", default=[])
    add(list(_FLAGS), action="store_true")
    return parser


def parse_arguments(arguments: Sequence[str]) -> Json:
    """The options by their long names. Each item is an option (``--ipc=host``), an option and its value in one
    (``--ipc host``) or one word. Raises ContainerArgumentError."""
    words = [word for item in arguments for word in _words(item)]
    return vars(_parser().parse_args(words))


def _words(item: str) -> list[str]:
    """``-e A=b c`` keeps its blanks: only the first parts an option from its value."""
    name, blank, value = item.partition(" ")
    return [name, value.strip()] if blank and name.startswith("-") and "=" not in name else [item]


def container_body(spec: ContainerSpec) -> Json:
    """The body of the API's "Create a container". Raises ContainerArgumentError."""
    options = parse_arguments(spec.arguments)
    try:
        return _body(spec, options)
    except (DockerException, ValueError) as error:
        raise ContainerArgumentError(
            f"[container]: {error}", hint="Write its options as `docker run` takes them."
        ) from error


def _body(spec: ContainerSpec, options: Json) -> Json:
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
        **_said({"Hostname": options["--hostname"], "StopSignal": options["--stop-signal"]}),
        "ExposedPorts": {port: {} for port in _ports(options["--publish"])},
        "HostConfig": _host_config(spec, options, own_home=own_home),
    }


def _check_variables(given: Sequence[str]) -> None:
    """Each has its value: `docker run` would take it from its caller, and the engine take the variable away."""
    bare = [each for each in given if "=" not in each]
    if bare:
        raise ContainerArgumentError(
            f"[container] arguments: --env {bare[0]} has no value, and roost takes none from the caller unasked",
            hint=f"Take it out and run with `--secret {bare[0]}`, which passes the caller's value on, "
            f"or with `--var {bare[0]}=VALUE`.",
        )


def _host_config(spec: ContainerSpec, options: Json, *, own_home: bool) -> Json:
    home = {} if own_home else {HOME: _home(options["--user"] or spec.user)}
    tmpfs = dict(each.partition(":")[::2] for each in options["--tmpfs"])
    shm_size = options["--shm-size"] or spec.shm_size
    cdi = [each for each in options["--device"] if _CDI_NAME.fullmatch(each)]
    config = {
        "Init": True,
        "Mounts": [*_working_folder(spec.cwd), *map(_mount, options["--mount"])],
        "Binds": options["--volume"],
        "Tmpfs": {**home, **tmpfs},
        "ConsoleSize": list(spec.console) if spec.console else None,  # engines before API 1.42 wait for a resize
        "LogConfig": ALL_OUTPUT if spec.keep_output else NO_OUTPUT,
        "ShmSize": parse_bytes(shm_size) if shm_size else None,
        "DeviceRequests": [
            *([_gpus(options["--gpus"])] if options["--gpus"] else []),
            *([DeviceRequest(driver="cdi", device_ids=cdi)] if cdi else []),
        ],
        "Devices": parse_devices([each for each in options["--device"] if each not in cdi]),
        "Ulimits": [_ulimit(each) for each in options["--ulimit"]],
        "Sysctls": dict(each.partition("=")[::2] for each in options["--sysctl"]),
        "NanoCpus": int(float(options["--cpus"]) * 1e9) if options["--cpus"] else None,
        "PortBindings": _ports(options["--publish"]),
        **{key: options[name] for name, key in {**_ONE, **_MANY, **_NUMBERS, **_FLAGS}.items()},
        **{key: parse_bytes(options[name]) if options[name] else None for name, key in _SIZES.items()},
    }
    return _said(config)


def _home(user: str) -> str:
    """The user's own; anybody's where the user is a name, which the image alone can tell the number of."""
    uid, _, gid = user.partition(":")
    if not _is_number(uid):
        return "rw,exec,mode=1777"
    return f"rw,exec,mode=0700,uid={int(uid)},gid={int(gid) if _is_number(gid) else 0}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _said(config: Json) -> Json:
    return {key: value for key, value in config.items() if value not in (None, [], {}, False)}


def _working_folder(cwd: str) -> list[Json]:
    if cwd == "/":
        raise ContainerArgumentError(
            "The working folder is /, which can't be mounted into a container", hint="Change to a folder of your own."
        )
    return [{"Type": "bind", "Source": cwd, "Target": cwd}]


def _mount(text: str) -> Json:
    """``type=bind,source=/a,target=/b,readonly``."""
    fields = [each.partition("=") for each in next(csv.reader([text]))]
    said = {key: value for key, _, value in fields}
    target = said.get("target") or said.get("destination") or said.get("dst")
    source = said.get("source") or said.get("src", "")
    strange = set(said) - {"type", "source", "src", "target", "destination", "dst", *_READ_ONLY}
    if strange or not target:
        raise ValueError(f"--mount {text}: {'no target' if not target else f'unknown: {sorted(strange)}'}")
    read_only = [_truth(text, key, value) if given else True for key, given, value in fields if key in _READ_ONLY]
    return {
        "Type": said.get("type", "volume"),
        "Source": source,
        "Target": target,
        "ReadOnly": bool(read_only and read_only[-1]),
    }


def _truth(text: str, key: str, value: str) -> bool:
    if value not in _TRUTHS:
        raise ValueError(f"--mount {text}: {key} is neither true nor false: {value!r}")
    return _TRUTHS[value]


def _gpus(text: str) -> DeviceRequest:
    """``all``, a number, or ``device=0,2`` (quoted or not)."""
    text = text.strip("\"'")
    kind, found, value = text.partition("=")
    capabilities = [["gpu"]]
    if found and kind == "device":
        return DeviceRequest(device_ids=value.split(","), capabilities=capabilities)
    if found:
        raise ValueError(f"--gpus {text}: give all, a number, or device=…")
    return DeviceRequest(count=-1 if text == "all" else int(text), capabilities=capabilities)


def _ulimit(text: str) -> Ulimit:
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    return Ulimit(name=name, soft=int(soft), hard=int(hard or soft))


def _ports(published: Sequence[str]) -> Json:
    """``[[ip:]host:]container[/udp]`` as the API has it."""
    ports: Json = {}
    for port, bindings in build_port_bindings(list(published)).items():
        name = port if "/" in port else f"{port}/tcp"
        ports[name] = [_binding(each) for each in bindings]
    return ports


def _binding(found: object) -> Json:
    if isinstance(found, tuple):
        return {"HostIp": found[0], "HostPort": str(found[1] or "")}
    return {"HostPort": str(found or "")}
