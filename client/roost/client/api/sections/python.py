"""The Python section of an environment. Separate, as each section is: its packages are ``conda_dependencies``."""

from __future__ import annotations

import os

from roost.client.api.sections.conda_dependencies import CondaDependencies


class PythonSection:
    """Who provides Python and its packages.

    ``user_managed_dependencies``: roost installs nothing and uses ``interpreter_path`` as it is. ``interpreter_path``
    (``python`` by default) is for that case only. ``conda_dependencies``: the packages otherwise. ``requires``: a
    PEP 440 specifier for the version of Python, such as ``>=3.10``.
    """

    __slots__ = ("_file", "conda_dependencies", "interpreter_path", "requires", "user_managed_dependencies")

    def __init__(self) -> None:
        self.user_managed_dependencies = False
        self.interpreter_path = "python"
        self.conda_dependencies: CondaDependencies | None = CondaDependencies()
        self.requires: str | None = None
        self._file: str | None = None

    @property
    def conda_dependencies_file(self) -> str | None:
        """The conda environment file that was read last. Setting it reads the file into ``conda_dependencies`` now;
        raises ``DefinitionError``, ``OSError``."""
        return self._file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, value: str | os.PathLike[str] | None) -> None:
        if value:
            self.conda_dependencies = CondaDependencies(value)
        self._file = os.fspath(value) if value else None
