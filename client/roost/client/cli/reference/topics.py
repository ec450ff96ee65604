"""The pages of the reference: the name of each, what it is about, and where it is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

PAGES = os.path.join(os.path.dirname(__file__), "pages")
"""The folder of the pages."""
_LEAD = "coming-from-"
"""``roost help coming from conda`` is ``roost help conda``."""


class Topic(NamedTuple):
    """A page. ``others``: further names that it is found by."""

    name: str
    summary: str
    others: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Path of the page, as Markdown."""
        return os.path.join(PAGES, f"{self.name}.md")


_FILES = ("environment.yml", "requirements.txt", "pyproject.toml", "pep723", "pep-723", "script")
TOPICS = (
    Topic("definitions", "which files say what an environment contains", (*_FILES, "environment-files", "definition")),
    Topic("precedence", "which file, lock, Python and setting wins", ("files", "search")),
    Topic("roost.toml", "roost's own file: every section and key", ("roost-toml", "tool.roost")),
    Topic("formats", "other tools' files, and what becomes of each of their keys", ("format", "keys")),
    Topic("tool-tables", "[tool.uv], [tool.pixi], [tool.poetry] and others in pyproject.toml", ("tools", "tables")),
    Topic("projects", "the project of a pyproject.toml, extras, groups, --python and --with", ("project",)),
    Topic("editing", "`roost init`, `roost add` and `roost remove`", ("edit", "editor")),
    Topic("locks", "`roost.lock`: the lock under version control", ("roost.lock",)),
    Topic("targets", "where a command runs: in a folder of this machine, or in an image", ("target", "images")),
    Topic("runs", "what is recorded of a run, and how to repeat it", ("history",)),
    Topic("bundles", "environments in one file, for a machine without a network", ("bundle", "offline")),
    Topic("sbom", "what is inside, as CycloneDX and SPDX", ("cyclonedx", "spdx")),
    Topic("audit", "known flaws of packages, by a local file of advisories", ("osv", "advisories")),
    Topic("config", "config.toml: every setting of this machine", ("config.toml", "configuration", "settings")),
    Topic("doctor", "what `roost doctor` looks at", ("problems", "troubleshooting")),
    Topic("exit-status", "exit statuses, and errors as JSON", ("exit-codes", "exit", "status", "errors")),
    Topic("conda", "coming from conda and mamba: command by command", ("mamba", "micromamba", "anaconda")),
    Topic("uv", "coming from uv, pip and venv: command by command", ("pip", "venv", "virtualenv")),
    Topic("pixi", "coming from pixi: command by command", ()),
    Topic("docker", "coming from docker: command by command", ("podman", "dockerfile")),
    Topic("azure-ml", "coming from Azure Machine Learning: SDK and command line", ("azure", "azureml", "azure-cli")),
)
"""All pages, in the order of ``roost help``."""


def find_topic(words: Iterable[str]) -> Topic | None:
    """Return the topic that ``words`` name: ``coming from conda`` and ``CONFIG`` too."""
    name = "-".join(word.lower().strip(",") for word in words).replace("_", "-").removeprefix(_LEAD)
    return next((topic for topic in TOPICS if name in (topic.name, *topic.others)), None)


def find_topic_of_page(path: str) -> Topic | None:
    """Return the topic of a page that another one links to: ``locks.md``, ``../daemon/CONFIG.md``."""
    return find_topic([os.path.basename(path).removesuffix(".md")]) if path.endswith(".md") else None


def list_names() -> list[str]:
    """Return every name that a topic is found by."""
    return [name for topic in TOPICS for name in (topic.name, *topic.others)]


def read_page(topic: Topic) -> str:
    """Return the page as Markdown. Blocks."""
    with open(topic.path, encoding="utf-8") as file:
        return file.read()
