"""The engines of one root, created on first use, and the workers that native code of theirs runs in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from roost.daemon.background.code import KnownCode
from roost.daemon.caller.current import caller_variables
from roost.daemon.caller.variables import select_docker
from roost.daemon.config.config import Config
from roost.daemon.config.source import ConfigSource
from roost.daemon.credentials.host import find_credentials
from roost.daemon.engines.docker.labels import ROOT_LABEL, root_name
from roost.daemon.engines.host_python import provided
from roost.daemon.jobs.holds import Holds
from roost.daemon.jobs.work_limit import WorkLimit
from roost.daemon.workers.pool import WorkerPool
from roost.store.disk.layout import Layout

if TYPE_CHECKING:
    from roost.daemon.engines.conda.channels import CondaConfig
    from roost.daemon.engines.conda.engine import CondaEngine
    from roost.daemon.engines.conda.rules import CondaRules
    from roost.daemon.engines.docker.engine import DockerEngine
    from roost.daemon.engines.docker.values import DockerConfig
    from roost.daemon.engines.registry.engine import RegistryClient
    from roost.daemon.engines.registry.values import RegistryConfig
    from roost.daemon.engines.uv.engine import PipConfig, PipEngine

_CREDENTIAL_SEARCHES = 8
"""Each may run a keyring's command."""


class Engines:
    """One engine of each kind for a root, created on first use.

    Whenever an engine is requested, it gets the configuration in force. Engines are never replaced: each is the only
    owner of its cache folder.
    """

    def __init__(self, layout: Layout, source: ConfigSource, known_code: KnownCode | None = None) -> None:
        self.known_code = known_code or KnownCode()
        """Code that has run on this machine."""
        self._layout = layout
        self._source = source
        self.workers = WorkerPool(layout.workers)
        self.holds = Holds()
        """What is in use of the caches of all engines."""
        self._applied: dict[str, Config] = {}
        """The configuration that each engine has, by the engine's name."""
        self._conda: CondaEngine | None = None
        self._rules: CondaRules | None = None
        self._pip: PipEngine | None = None
        self._dockers: dict[tuple[tuple[str, str], ...], DockerEngine] = {}
        """By the caller's variables that name an engine."""
        self._registry: RegistryClient | None = None
        self._creating = asyncio.Lock()
        provided.use_folder(self.pythons_folder)
        self._asking = asyncio.Semaphore(_CREDENTIAL_SEARCHES)
        self.solving = WorkLimit(source.config.builds.solves)
        """Bounds the choice of packages: processes of uv, solves of conda, and their connections. Whoever holds it must
        not ask for it again."""
        self.stepping = WorkLimit(source.config.builds.concurrency)
        """Bounds docker steps and Dockerfiles, each of which holds a thread of the engine's client."""

    async def conda(self) -> CondaEngine:
        """Return the engine for conda packages."""
        async with self._creating:
            if self._conda is None:
                self._conda = await asyncio.to_thread(self._create_conda)
            if (config := self._changed_config("conda")) is not None:
                self._conda.configure(_conda_config(config))
        return self._conda

    def conda_rules(self) -> CondaRules:
        """Return conda's rules of specs and versions."""
        if self._rules is None:
            from roost.daemon.engines.conda.rules import CondaRules

            self._rules = CondaRules(self.workers)
        return self._rules

    async def pip(self) -> PipEngine:
        """Return the engine for pip packages."""
        async with self._creating:
            if self._pip is None:
                self._pip = await asyncio.to_thread(self._create_pip)
            if (config := self._changed_config("pip")) is not None:
                self._pip.configure(_pip_config(config))
        return self._pip

    async def registry(self) -> RegistryClient:
        """Return the client of all registries."""
        async with self._creating:
            if self._registry is None:
                self._registry = await asyncio.to_thread(self._create_registry)
            if (config := self._changed_config("registry")) is not None:
                self._registry.configure(_registry_config(config))
        return self._registry

    async def docker(self) -> DockerEngine:
        """Return the client of the Docker engine that the config or the caller names."""
        variables = self.docker_variables()
        key = tuple(sorted(variables.items()))
        async with self._creating:
            if key not in self._dockers:
                self._dockers[key] = await asyncio.to_thread(self._create_docker, variables)
            if (config := self._changed_config(f"docker {key}")) is not None:
                self._dockers[key].configure(_docker_config(config, variables))
        return self._dockers[key]

    def docker_variables(self) -> dict[str, str]:
        """Return the caller's variables that name the Docker engine; none if the config names it."""
        if self.config.docker.host is not None or self.config.docker.context is not None:
            return {}
        return select_docker(caller_variables())

    async def close(self) -> None:
        """Close all connections and end all workers."""
        await self.workers.close()
        if self._registry is not None:
            await self._registry.close()

    async def find_credentials(self, urls: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
        """Run :func:`roost.daemon.credentials.host.find_credentials` with the configuration in force."""
        async with self._asking:
            return await find_credentials(urls, self.config, environ)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._source.config

    @property
    def bytecode_folder(self) -> str:
        """Path of the folder with compiled byte-code, by package."""
        return os.path.join(self._layout.packages, "bytecode")

    @property
    def pythons_folder(self) -> str:
        """Path of the folder with links to the Pythons that came with bundles."""
        return os.path.join(self._layout.packages, "pythons")

    def _changed_config(self, engine: str) -> Config | None:
        """Return the configuration in force if ``engine`` does not have it yet, and note that it has it now."""
        config = self.config
        if self._applied.get(engine) is config:
            return None
        self._applied[engine] = config
        return config

    def _create_docker(self, variables: Mapping[str, str]) -> DockerEngine:
        from roost.daemon.engines.docker.engine import DockerEngine

        labels = {ROOT_LABEL: root_name(self._layout.root)}
        return DockerEngine(_docker_config(self.config, variables), self._layout.stage, labels)

    def _create_conda(self) -> CondaEngine:
        from roost.daemon.engines.conda.engine import CondaEngine

        cache = os.path.join(self._layout.packages, "conda")
        config = _conda_config(self.config)
        return CondaEngine(cache, self.bytecode_folder, config, self.workers, self.holds, self.known_code)

    def _create_pip(self) -> PipEngine:
        from roost.daemon.engines.uv.engine import PipEngine

        wheels = self._layout.wheels
        return PipEngine(
            os.path.join(wheels, "uv"), wheels, _pip_config(self.config), holds=self.holds, known_code=self.known_code
        )

    def _create_registry(self) -> RegistryClient:
        from roost.daemon.engines.registry.engine import RegistryClient

        return RegistryClient(_registry_config(self.config))


def _conda_config(config: Config) -> CondaConfig:
    from roost.daemon.engines.conda.channels import CondaConfig

    mirrors = {channel: list(urls) for channel, urls in config.conda.mirrors.items()}
    network = config.network
    return CondaConfig(
        mirrors=mirrors,
        auth_file=config.conda.auth_file,
        idle_timeout=network.download_timeout_seconds,
        index_timeout=network.index_timeout_seconds,
        retries=network.retries,
        unpacked_bytes=config.builds.unpacked_bytes,
    )


def _docker_config(config: Config, variables: Mapping[str, str]) -> DockerConfig:
    from roost.daemon.engines.docker.values import DockerConfig

    return DockerConfig(config.docker.host, config.docker.context, variables, config.registries.credentials)


def _pip_config(config: Config) -> PipConfig:
    from roost.daemon.engines.uv.engine import PipConfig

    network = config.network
    return PipConfig(
        index_url=config.pip.index_url,
        timeout=max(1, int(network.download_timeout_seconds)),
        retries=network.retries,
        unpacked_bytes=config.builds.unpacked_bytes,
    )


def _registry_config(config: Config) -> RegistryConfig:
    from roost.daemon.engines.registry.values import RegistryConfig

    settings, network = config.registries, config.network
    return RegistryConfig(
        mirrors=settings.mirrors,
        insecure=settings.insecure,
        credentials=settings.credentials,
        timeout=network.download_timeout_seconds,
        retries=network.retries,
    )
