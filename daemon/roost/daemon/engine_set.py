"""The engines, made when first used: importing rattler costs an idle daemon 30 MB that it may never need."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from roost.daemon.config import Config
from roost.store.disk import Layout

if TYPE_CHECKING:
    from roost.daemon.engines.conda import CondaEngine
    from roost.daemon.engines.uv import PipEngine


class Engines:
    """One conda and one pip engine for a root, both lazy."""

    def __init__(self, layout: Layout, config: Config) -> None:
        self._layout = layout
        self._config = config
        self._conda: CondaEngine | None = None
        self._pip: PipEngine | None = None
        self._making = asyncio.Lock()

    def configure(self, config: Config) -> None:
        """Use another config from now on; builds under way keep the engine that they have."""
        self._config = config
        self._conda = None
        self._pip = None

    async def conda(self) -> CondaEngine:
        async with self._making:
            if self._conda is None:
                self._conda = await asyncio.to_thread(self._make_conda)
        return self._conda

    async def pip(self) -> PipEngine:
        async with self._making:
            if self._pip is None:
                self._pip = await asyncio.to_thread(self._make_pip)
        return self._pip

    def _make_conda(self) -> CondaEngine:
        from roost.daemon.engines.conda import CondaConfig, CondaEngine

        conda = self._config.conda
        config = CondaConfig(mirrors={k: list(v) for k, v in conda.mirrors.items()}, auth_file=conda.auth_file)
        packages = self._layout.packages
        return CondaEngine(os.path.join(packages, "conda"), self.bytecode, config)

    def _make_pip(self) -> PipEngine:
        from roost.daemon.engines.uv import PipConfig, PipEngine

        wheels = self._layout.wheels
        return PipEngine(os.path.join(wheels, "uv"), wheels, PipConfig(index_url=self._config.pip.index_url))

    @property
    def bytecode(self) -> str:
        """Where compiled byte-code is kept, by package."""
        return os.path.join(self._layout.packages, "bytecode")
