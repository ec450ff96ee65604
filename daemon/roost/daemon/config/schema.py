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

    image: Annotated[str, Meta(description="Base image of definitions without one. Part of the digest.")] = (
        "debian:12-slim"
    )


class CondaSettings(Section, frozen=True, kw_only=True):
    """`[conda]`: sources of conda packages."""

    channels: Annotated[
        tuple[str, ...],
        Meta(description="Channels of definitions without any, highest priority first. Part of the digest."),
    ] = ("conda-forge",)
    mirrors: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="`[conda.mirrors]`: maps the URL prefix of a channel to a list of URLs (`https://`, "
            "`file://`) to try instead, in order. Digests and locks contain the channel's own URL."
        ),
    ] = {}
    auth_file: Annotated[
        str | None,
        Meta(
            description="JSON file of credentials in the format of `pixi auth login` and rattler. If absent: "
            "`~/.rattler/credentials.json`, if it exists. Its user names and passwords also apply to package indexes."
        ),
    ] = None


class PipSettings(Section, frozen=True, kw_only=True):
    """`[pip]`: sources of wheels."""

    index_url: Annotated[
        str | None,
        Meta(description="Package index of definitions without one. If absent: uv's default."),
    ] = None


class DockerSettings(Section, frozen=True, kw_only=True):
    """`[docker]`: the engine of the target `docker`."""

    host: Annotated[
        str | None,
        Meta(description="Address of the engine: `unix://…`, `tcp://…` or `ssh://…`. If absent: that of `context`."),
    ] = None
    context: Annotated[
        str | None,
        Meta(
            description="Docker context of the engine. If absent: `DOCKER_HOST` or `DOCKER_CONTEXT` where roost is "
            "called, else the current context of the docker command."
        ),
    ] = None
    base_policy: Annotated[
        Literal["pin", "warn", "follow"],
        Meta(
            description="What to do if the tag of a base image now refers to another image: `pin` uses the recorded "
            "image, `warn` uses it and prints a warning, `follow` creates a new generation on the new image."
        ),
    ] = "pin"


VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class RegistryCredentials(Section, frozen=True, kw_only=True):
    """`[registries.credentials."HOST"]`: the source of one registry's credentials, never the credentials themselves."""

    username_variable: Annotated[VariableName | None, Meta(description="Variable that contains the user name.")] = None
    password_variable: Annotated[
        VariableName | None, Meta(description="Variable that contains the password or token.")
    ] = None
    helper: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None,
        Meta(description="Docker credential helper, without `docker-credential-`."),
    ] = None
    docker_config: Annotated[
        str | None, Meta(description="Docker config to use: a `config.json`, or the folder that contains it.")
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
        Meta(description="Registry and repository prefix (`HOST/PREFIX`) through which locks and images are shared."),
    ] = None
    catalogues: Annotated[
        tuple[str, ...],
        Meta(description="Read-only registries, queried after the workspace: curated environments, locks and images."),
    ] = ()
    mirrors: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="`[registries.mirrors]`: maps a registry host to a list of `HOST[:PORT][/PREFIX]` to read from "
            "instead, in order. To fall back to the host itself, list it last. Reads that check a write, before and "
            "after it, always use the host itself."
        ),
    ] = {}
    insecure: Annotated[
        tuple[str, ...],
        Meta(description="Hosts, with port, to be accessed over plain HTTP. Loopback addresses always are."),
    ] = ()
    credentials: Annotated[
        dict[str, RegistryCredentials],
        Meta(
            description='`[registries.credentials."HOST"]`: the source of the credentials of a registry host, one of: '
            "`username_variable` and `password_variable` (variables of the daemon's environment), `helper` (a Docker "
            "credential helper, without `docker-credential-`), `docker_config` (a Docker config file, or its folder). "
            "Other hosts use Docker's own config and helpers."
        ),
    ] = {}


class CacheSettings(Section, frozen=True, kw_only=True):
    """`[cache]`: size and age limits of what is stored on disk."""

    budget_bytes: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Size limit in bytes for everything under the root; what nothing needs and nobody used lately "
            "is deleted beyond it. 0: no limit. If absent: 100 GB, or a fifth of the disk if that is less."
        ),
    ] = None
    min_free_bytes: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Free space in bytes that the disk of the root is to have. Below it, what was used lately is "
            "deleted too, if nothing needs it. 0: no floor. If absent: 5 % of the disk."
        ),
    ] = None
    image_bytes: Annotated[
        int,
        Meta(
            ge=0, description="Size limit in bytes for the images that roost made or pulled, in engines; 0: no limit."
        ),
    ] = 50_000_000_000
    prefix_days: Annotated[
        NonNegative,
        Meta(
            description="Days after its last use until a prefix, an image or local content may be deleted for a size."
        ),
    ] = 14.0
    package_days: Annotated[
        NonNegative,
        Meta(
            description="Days after its last use until a package, wheel or layer that no prefix has may be deleted for "
            "a size."
        ),
    ] = 7.0
    output_days: Annotated[
        NonNegative,
        Meta(description="Days after the end of a run until its output may be deleted, for a size or for free space."),
    ] = 30.0
    unmounted_days: Annotated[
        NonNegative,
        Meta(
            description="Days after its last use for which a prefix stays in any case if the disk of its environment "
            "file is not mounted, or can't be read."
        ),
    ] = 90.0
    verify_days: Annotated[
        NonNegative,
        Meta(
            description="Days after which every byte of a prefix is compared again with what was built, one prefix an "
            "hour while the daemon has nothing to do; 0: never."
        ),
    ] = 30.0


class BuildsSettings(Section, frozen=True, kw_only=True):
    """`[builds]`: concurrency of builds."""

    concurrency: Annotated[
        PositiveInt, Meta(description="Maximum number of builds that link or install at the same time; others wait.")
    ] = 2
    solves: Annotated[
        PositiveInt,
        Meta(description="Definitions that are solved, locked or attested at the same time; others wait in order."),
    ] = 4
    unpacked_bytes: Annotated[
        PositiveInt,
        Meta(description="Largest size in bytes of one package when it is unpacked; a larger one fails the build."),
    ] = 20_000_000_000


class RunsSettings(Section, frozen=True, kw_only=True):
    """`[runs]`: what is stored of runs."""

    output_bytes: Annotated[
        int,
        Meta(
            ge=100_000,
            description="Size in bytes up to which the output of a run is stored (with --detach or --keep-output). Of "
            "a longer one the first half of that and the newest part stay, and `roost runs logs` prints how much is "
            "left out between them. "
            "Needs a file system that can punch holes (ext4, XFS, Btrfs, tmpfs, ZFS); on others there is no bound.",
        ),
    ] = 200_000_000


class HistorySettings(Section, frozen=True, kw_only=True):
    """`[history]`: how long records of the past are stored. Runs, versions and locks stay for ever."""

    build_days: Annotated[
        NonNegative, Meta(description="Days for which builds that ended are recorded, with their logs; 0: for ever.")
    ] = 180.0
    definition_days: Annotated[
        NonNegative,
        Meta(
            description="Days after which a definition is forgotten that no run, version, build, image, lease or lock "
            "refers to; 0: never."
        ),
    ] = 90.0
    log_days: Annotated[
        NonNegative, Meta(description="Days for which rotated logs of the daemon are stored; 0: as `log_files` says.")
    ] = 90.0


class NetworkSettings(Section, frozen=True, kw_only=True):
    """`[network]`: time limits, retries and credential sources of downloads."""

    download_timeout_seconds: Annotated[
        float, Meta(gt=0, description="Seconds without received data after which a download is aborted.")
    ] = 60.0
    index_timeout_seconds: Annotated[
        float, Meta(gt=0, description="Time limit in seconds for one request to the index of a channel.")
    ] = 120.0
    retries: Annotated[int, Meta(ge=0, description="Number of retries of a failed download.")] = 3
    netrc: Annotated[
        str | None,
        Meta(
            description="netrc file with credentials for channels and indexes. If absent: `~/.netrc`; if empty: none. "
            "A `default` entry is ignored."
        ),
    ] = None
    keyring: Annotated[
        str, Meta(description="Command that prints passwords, called as `keyring get HOST USER`; a name or a path.")
    ] = "keyring"


class DaemonSettings(Section, frozen=True, kw_only=True):
    """`[daemon]`: the daemon process."""

    idle_exit_seconds: Annotated[
        NonNegative,
        Meta(
            description="Seconds without a request, build, stream or foreground run until the daemon exits; 0: never."
        ),
    ] = 3600.0
    idle_work_seconds: Annotated[
        NonNegative,
        Meta(
            description="Seconds without a request, build, stream or foreground run until the daemon does work that "
            "nobody waits for: verification, collection, compaction. A request interrupts it."
        ),
    ] = 30.0
    stop_timeout_seconds: Annotated[
        NonNegative, Meta(description="Seconds that the daemon waits for open requests and builds when it stops.")
    ] = 10.0
    event_retention: Annotated[PositiveInt, Meta(description="Number of events stored for `roost events`.")] = 100_000
    stream_queue: Annotated[
        PositiveInt,
        Meta(
            description="Number of lines buffered for a slow reader of a stream; beyond it, the reader is disconnected."
        ),
    ] = 10_000
    heartbeat_seconds: Annotated[
        float, Meta(gt=0, description="Seconds without a message after which a stream sends a heartbeat.")
    ] = 15.0
    log_bytes: Annotated[PositiveInt, Meta(description="Size in bytes at which `daemon.log` is rotated.")] = 5_000_000
    log_files: Annotated[PositiveInt, Meta(description="Number of rotated log files to retain.")] = 3


class WatchSettings(Section, frozen=True, kw_only=True):
    """`[watch]`: the file watcher."""

    debounce_seconds: Annotated[
        NonNegative,
        Meta(description="Seconds without a further change after which a change of a watched file is processed."),
    ] = 0.2
    files: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Number of definitions that are watched because a run, build or plan used them: the latest "
            "ones. 0: only those that `roost watch add` adds.",
        ),
    ] = 1000
    code: Annotated[
        Literal["known", "always"],
        Meta(
            description="Which code of packages and projects prebuilding may run (build backends, link and activation "
            "scripts, docker steps): `known` is what has run on this machine before, and everything else waits until "
            "somebody asks for it; `always` is all of it."
        ),
    ] = "known"
    on_battery: Annotated[bool, Meta(description="Whether anything is prebuilt while the machine runs on battery.")] = (
        False
    )
    max_load: Annotated[
        NonNegative,
        Meta(
            description="Load average of the last minute, divided by the number of processors, above which no prebuild "
            "begins; 0: no limit."
        ),
    ] = 1.5


class AuditSettings(Section, frozen=True, kw_only=True):
    """`[audit]`: advisories about packages."""

    database: Annotated[
        str | None,
        Meta(
            description="File or folder of OSV advisories that `roost env audit` reads without `--db`, such as the "
            "archive of PyPI's advisories that OSV publishes. Absolute, or with `~`. It is never fetched by roost."
        ),
    ] = None


class HostCredentials(Section, frozen=True, kw_only=True):
    """`[credentials."HOST"]`: the source of one host's credentials, never the credentials themselves."""

    username: Annotated[str | None, Meta(description="The user name. It is not treated as a secret.")] = None
    username_variable: Annotated[VariableName | None, Meta(description="Variable that contains the user name.")] = None
    password_variable: Annotated[
        VariableName | None, Meta(description="Variable that contains the password or token.")
    ] = None
    keyring: Annotated[bool, Meta(description="Get the password of `username` from the keyring.")] = False

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
    runs: RunsSettings = RunsSettings()
    history: HistorySettings = HistorySettings()
    network: NetworkSettings = NetworkSettings()
    credentials: Annotated[
        dict[str, HostCredentials],
        Meta(
            description='`[credentials."HOST[:PORT]"]`: the source of credentials for channels and indexes of a host: '
            "`username` or `username_variable`, and either `password_variable` (variables of the calling process) or "
            "`keyring = true`. Other hosts use `conda.auth_file` and `network.netrc`."
        ),
    ] = {}
    daemon: DaemonSettings = DaemonSettings()
    watch: WatchSettings = WatchSettings()
    audit: AuditSettings = AuditSettings()

    def __post_init__(self) -> None:
        invalid = next((host for host in self.credentials if not host or set(host) & set("/@ ")), None)
        if invalid is not None:
            raise ValueError(f"[credentials] names {invalid!r}; expected a host, with its port if need be")
