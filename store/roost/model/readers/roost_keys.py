"""Every section and key of roost's own file: shape, meaning, default, and whether it counts in a digest.

``roost_file`` reads by this table, and docs/roost-toml.md (``roost help roost.toml``) is written from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Shape = Literal["text", "texts", "flag", "entries", "lists", "string or table", "tables"]
Part = Literal["definition", "settings", "neither"]
"""``definition``: the key is part of the definition digest. ``settings``: it shapes runs only, and another value is
another version of a registered environment. ``neither``: another value changes nothing that is digested."""


class RoostKey(NamedTuple):
    """A key. ``meaning`` and ``default`` are Markdown; no ``default``: nothing."""

    shape: Shape
    meaning: str
    default: str = ""
    part: Part = "definition"


@dataclass(frozen=True)
class RoostSection:
    """A section, with its keys; one without ``keys`` is a table of texts, with names of the user's or ``names``."""

    meaning: str
    keys: dict[str, RoostKey] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    part: Part = "definition"
    """Of the texts of a section without keys."""


SYSTEM_KEYS = ("cuda", "glibc", "linux", "archspec", "osx", "win")
_IDLE = "stored and digested; roost installs nothing from it"
KEYS: dict[str, RoostSection] = {
    "base": RoostSection(
        "The image that the environment is put into. A definition with this section runs in an image, unless a command "
        "says otherwise. At most one of `image`, `dockerfile` and `context`.",
        {
            "image": RoostKey("text", "reference of an image, by tag or digest", "`base.image` of the configuration"),
            "dockerfile": RoostKey(
                "string or table",
                'path of a Dockerfile that needs no files beside it, or `{ text = "…" }`, the Dockerfile itself',
            ),
            "context": RoostKey(
                "string or table",
                'path of a folder with a `Dockerfile`, or `{ path = "…", dockerfile = "…" }`; the content of the '
                "folder is digested, its path is not",
            ),
            "steps": RoostKey("texts", "instructions of a Dockerfile that run on top of the base, in order"),
            "platform": RoostKey("text", "platform of the image, such as `linux/amd64`", "that of the engine"),
        },
    ),
    "conda": RoostSection(
        "Conda packages.",
        {
            "channels": RoostKey(
                "texts", "names or URLs of channels, highest priority first", "`conda.channels` of the configuration"
            ),
            "dependencies": RoostKey("texts", "match specs, as in an `environment.yml`"),
            "explicit": RoostKey("lists", "for each conda platform, URLs of packages with `#sha256:…` or `#md5`"),
        },
    ),
    "pip": RoostSection(
        "Python packages.",
        {
            "requirements": RoostKey(
                "entries", "lines of a requirements file, and roost's own options ([tool-tables](tool-tables.md))"
            )
        },
    ),
    "python": RoostSection(
        "The Python of the environment.",
        {
            "requires": RoostKey("text", "version specifiers such as `>=3.10`"),
            "user_managed": RoostKey(
                "flag", "use `interpreter`, a Python of your own; roost installs nothing into it", "`false`"
            ),
            "interpreter": RoostKey("text", "path or name of that Python", '`"python"`', "settings"),
        },
    ),
    "system": RoostSection(
        "What the packages may count on beyond the baseline of the platform (on linux-64: glibc 2.28, Linux 4.18). A "
        "machine that has less refuses the environment.",
        names=SYSTEM_KEYS,
    ),
    "spark": RoostSection(
        f"Spark packages: {_IDLE}.",
        {
            "repositories": RoostKey("texts", "URLs of repositories"),
            "packages": RoostKey("texts", "packages as `group:artifact:version`"),
        },
    ),
    "r": RoostSection(
        f"R packages: {_IDLE}.",
        {
            "version": RoostKey("text", "version of R"),
            "cran": RoostKey("texts", "packages of CRAN: `name`, `name=version`, `name=version @ repository`"),
            "bioconductor": RoostKey("texts", "packages of Bioconductor"),
            "github": RoostKey("texts", "packages on GitHub"),
            "urls": RoostKey("texts", "packages by URL"),
            "snapshot": RoostKey("text", "date of the snapshot of CRAN"),
        },
    ),
    "inference": RoostSection(
        "What Azure ML adds to images for scoring.",
        {"stack": RoostKey("text", f"version of the inferencing stack, {_IDLE}")},
    ),
    "defaults": RoostSection(
        "What applies where the other sections leave it open, instead of the configuration of the machine. "
        "`roost env export --format roost` writes it, so that the file has the same digest everywhere.",
        {
            "channels": RoostKey("texts", "channels, if `[conda]` has none", "`conda.channels` of the configuration"),
            "base_image": RoostKey("text", "base image, if `[base]` has none", "`base.image` of the configuration"),
            "index": RoostKey("text", "package index, if `[pip]` has none", "`pip.index_url` of the configuration"),
        },
    ),
    "variables": RoostSection(
        "Variables of commands in the environment, which win over the caller's and lose to `--var`.", part="settings"
    ),
    "container": RoostSection(
        "How containers are started.",
        {
            "shm_size": RoostKey("text", "size of `/dev/shm`, such as `2g`", "that of the engine", "settings"),
            "arguments": RoostKey("texts", "further options of `docker run`", part="settings"),
        },
    ),
}
"""All sections, in the order of the page."""
TOP_KEYS: dict[str, RoostKey] = {
    "name": RoostKey(
        "text", "name that the environment is registered under", "[by its origin](environment-files.md)", "neither"
    ),
    "project": RoostKey(
        "flag",
        "under `[tool.roost]` only: whether the project itself is installed on top ([projects](projects.md))",
        "`false`",
        "neither",
    ),
    "kept": RoostKey(
        "tables",
        "for each tool, the parts of its file that roost does not act on: they survive until an export to that format",
        part="settings",
    ),
}
"""Keys outside of the sections."""
SECTIONS: dict[str, dict[str, Shape]] = {
    section: {key: rule.shape for key, rule in rules.keys.items()} for section, rules in KEYS.items()
}
"""The shape of every key; a section without keys is a table of texts."""
