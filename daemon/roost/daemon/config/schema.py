"""Every setting of the daemon: its name, type, default and meaning, once.

``config.toml`` is this tree in TOML. ``roost doctor`` and ``CONFIG.md`` show the description of each field; a test
fails if a setting has none. Times are in seconds, ages in days, sizes in bytes. A setting that changes a solve is part
of the digest (channels, base image, index), or only changes how the same content is reached (mirrors): no setting gives
two machines different content under one digest.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PositiveInt = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[float, Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class of all tables: an unknown key is an error."""


class BaseSettings(Section, frozen=True, kw_only=True):
    """`[base]`: the default base image."""

    image: Annotated[str, Meta(description="Base image of a definition that names none; written into the digest.")] = (
        "debian:12-slim"
    )


class CondaSettings(Section, frozen=True, kw_only=True):
    """`[conda]`: sources of conda packages."""

    channels: Annotated[
        tuple[str, ...],
        Meta(description="Channels of a definition that names none, first before last; written into the digest."),
    ] = ("conda-forge",)
    mirrors: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="`[conda.mirrors]`: URL prefix of a channel to the URLs (`https://`, `file://`) that are asked "
            "in its place, in order. Digests and locks keep the channel's own URL."
        ),
    ] = {}
    auth_file: Annotated[
        str | None,
        Meta(
            description="JSON file of credentials, as `pixi auth login` and rattler write it; absent: "
            "`~/.rattler/credentials.json` where that is there. Its users and passwords count for indexes too."
        ),
    ] = None


class PipSettings(Section, frozen=True, kw_only=True):
    """`[pip]`: sources of wheels."""

    index_url: Annotated[
        str | None,
        Meta(description="Package index of a definition that names none; absent: uv's own default."),
    ] = None


class DockerSettings(Section, frozen=True, kw_only=True):
    """`[docker]`: the engine of the target `docker`."""

    host: Annotated[
        str | None, Meta(description="Address of the engine: `unix://…`, `tcp://…` or `ssh://…`; absent: by `context`.")
    ] = None
    context: Annotated[
        str | None,
        Meta(description="Docker context that names the engine; absent: the one that the docker command uses."),
    ] = None
    base_policy: Annotated[
        Literal["pin", "warn", "follow"],
        Meta(
            description="When a base image's tag names another image than before: `pin` keeps the recorded one, `warn` "
            "keeps it and says so, `follow` makes a new generation on the other."
        ),
    ] = "pin"


VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class RegistryCredentials(Section, frozen=True, kw_only=True):
    """`[registries.credentials."HOST"]`: the source of one registry's credentials, never the credentials themselves."""

    username_variable: Annotated[VariableName | None, Meta(description="Variable with the user's name.")] = None
    password_variable: Annotated[VariableName | None, Meta(description="Variable with the password or token.")] = None
    helper: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None,
        Meta(description="Docker credential helper, without `docker-credential-`."),
    ] = None
    docker_config: Annotated[
        str | None, Meta(description="Docker config (`config.json`, or the folder that has it) to look into.")
    ] = None

    def __post_init__(self) -> None:
        variables = (self.username_variable, self.password_variable)
        if (variables[0] is None) != (variables[1] is None):
            raise ValueError("username_variable and password_variable go together")
        sources = [source for source in (variables[0], self.helper, self.docker_config) if source is not None]
        if len(sources) != 1:
            raise ValueError("expected one of username_variable and password_variable, helper, or docker_config")


class RegistriesSettings(Section, frozen=True, kw_only=True):
    """`[registries]`: registries that images and locks are read from and written to."""

    workspace: Annotated[
        str | None,
        Meta(description="Registry and repository prefix (`HOST/PREFIX`) that locks and images are shared in."),
    ] = None
    catalogues: Annotated[
        tuple[str, ...],
        Meta(description="Registries that are only read, after the workspace: curated environments, locks and images."),
    ] = ()
    mirrors: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="`[registries.mirrors]`: registry host to the `HOST[:PORT][/PREFIX]` that are read from in its "
            "place, in order; name the host itself last to fall back to it. What is looked at before and after a write "
            "is always the host's own."
        ),
    ] = {}
    insecure: Annotated[
        tuple[str, ...],
        Meta(description="Hosts (with their port) that are talked to over plain http, as loopback always is."),
    ] = ()
    credentials: Annotated[
        dict[str, RegistryCredentials],
        Meta(
            description='`[registries.credentials."HOST"]`: where the credentials of a registry host are, one of: '
            "`username_variable` and `password_variable` (variables of the daemon's environment), `helper` (a Docker "
            "credential helper, without `docker-credential-`), `docker_config` (a Docker config file, or its folder). "
            "Hosts that are not named: Docker's own config and helpers."
        ),
    ] = {}


class CacheSettings(Section, frozen=True, kw_only=True):
    """`[cache]`: size and age limits of what is stored on disk."""

    budget_bytes: Annotated[
        int, Meta(ge=0, description="Bytes that prefixes, packages and wheels may take together; 0: no bound.")
    ] = 50_000_000_000
    prefix_days: Annotated[
        NonNegative, Meta(description="Days after its last use that a prefix may be collected for want of space.")
    ] = 14.0
    package_days: Annotated[
        NonNegative, Meta(description="Days after its last use that a package or wheel may be collected.")
    ] = 60.0


class BuildsSettings(Section, frozen=True, kw_only=True):
    """`[builds]`: concurrency of builds."""

    concurrency: Annotated[
        PositiveInt, Meta(description="Builds that link or install at the same time; others wait.")
    ] = 2


class NetworkSettings(Section, frozen=True, kw_only=True):
    """`[network]`: time limits, retries and credential sources of downloads."""

    download_timeout_seconds: Annotated[
        float, Meta(gt=0, description="Seconds without a byte after which a download is given up.")
    ] = 60.0
    index_timeout_seconds: Annotated[
        float, Meta(gt=0, description="Seconds for one exchange about a channel's index, after which it is given up.")
    ] = 120.0
    retries: Annotated[int, Meta(ge=0, description="Times that a failed download is tried again.")] = 3
    netrc: Annotated[
        str | None,
        Meta(
            description="netrc file with credentials for channels and indexes; absent: `~/.netrc`; empty: none. "
            "Its `default` entry does not count."
        ),
    ] = None
    keyring: Annotated[
        str, Meta(description="Command that gives passwords, called as `keyring get HOST USER`; a name or a path.")
    ] = "keyring"


class DaemonSettings(Section, frozen=True, kw_only=True):
    """`[daemon]`: the daemon process."""

    idle_exit_seconds: Annotated[
        NonNegative,
        Meta(description="Seconds without a request, build, stream or foreground run after which it ends; 0: never."),
    ] = 3600.0
    stop_timeout_seconds: Annotated[
        NonNegative, Meta(description="Seconds that a stop waits for open requests and builds to end.")
    ] = 10.0
    event_retention: Annotated[PositiveInt, Meta(description="Events that are kept for `roost events`.")] = 100_000
    stream_queue: Annotated[
        PositiveInt, Meta(description="Lines that wait for a slow reader of a stream before it is dropped.")
    ] = 10_000
    heartbeat_seconds: Annotated[
        float, Meta(gt=0, description="Seconds of silence after which a stream sends a heartbeat.")
    ] = 15.0
    log_bytes: Annotated[PositiveInt, Meta(description="Bytes at which `daemon.log` is rotated.")] = 5_000_000
    log_files: Annotated[PositiveInt, Meta(description="Rotated logs that are kept.")] = 3


class WatchSettings(Section, frozen=True, kw_only=True):
    """`[watch]`: the file watcher."""

    debounce_seconds: Annotated[
        NonNegative, Meta(description="Seconds of quiet after a change of a watched file before it is acted on.")
    ] = 0.5


class HostCredentials(Section, frozen=True, kw_only=True):
    """`[credentials."HOST"]`: the source of one host's credentials, never the credentials themselves."""

    username: Annotated[str | None, Meta(description="The user, which is no secret.")] = None
    username_variable: Annotated[VariableName | None, Meta(description="Variable with the user's name.")] = None
    password_variable: Annotated[VariableName | None, Meta(description="Variable with the password or token.")] = None
    keyring: Annotated[bool, Meta(description="Ask the keyring for the password of `username`.")] = False

    def __post_init__(self) -> None:
        if (self.password_variable is None) != self.keyring:
            raise ValueError("expected one of password_variable and keyring = true")
        if (self.username is None) == (self.username_variable is None):
            raise ValueError("expected one of username and username_variable")
        if self.keyring and self.username is None:
            raise ValueError("keyring = true goes with username")


class ConfigFile(Section, frozen=True, kw_only=True):
    """The complete ``config.toml``."""

    base: BaseSettings = BaseSettings()
    conda: CondaSettings = CondaSettings()
    pip: PipSettings = PipSettings()
    docker: DockerSettings = DockerSettings()
    registries: RegistriesSettings = RegistriesSettings()
    cache: CacheSettings = CacheSettings()
    builds: BuildsSettings = BuildsSettings()
    network: NetworkSettings = NetworkSettings()
    credentials: Annotated[
        dict[str, HostCredentials],
        Meta(
            description='`[credentials."HOST[:PORT]"]`: where the credentials for channels and indexes of a host are: '
            "`username` or `username_variable`, and one of `password_variable` (variables where roost is called) and "
            "`keyring = true`. Hosts that are not named: `conda.auth_file`, `network.netrc`."
        ),
    ] = {}
    daemon: DaemonSettings = DaemonSettings()
    watch: WatchSettings = WatchSettings()

    def __post_init__(self) -> None:
        invalid = next((host for host in self.credentials if not host or set(host) & set("/@ ")), None)
        if invalid is not None:
            raise ValueError(f"[credentials] names {invalid!r}; expected a host, with its port if need be")
