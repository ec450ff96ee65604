"""Every key of ``[tool.pixi]``, ``[tool.poetry]``, ``[tool.pdm]`` and ``[tool.hatch.envs]``: data.

From pixi's manifest schema, Poetry's JSON schemas (2.4), PDM's settings (2.26) and Hatch's environments (1.17).
"""

from __future__ import annotations

from roost.model.readers.tools.rules import KeyRules, followed, irrelevant, refused, reported

_METADATA = "it describes the project, which is not installed"
_TASKS = "it is about commands, not packages"
_PIXI_HINT = (
    "Name its pixi.lock (`-f pixi.lock`), or write an environment.yml: `pixi workspace export conda-environment`."
)
_PIXI = "pixi's environment has more packages, or others, than [project] alone"
_POETRY_SOURCES = "Write such requirements as `name @ URL` in [project], or their index in [[tool.uv.index]]."
_GROUPS = "Move it to [dependency-groups] (PEP 735) to include it."

PIXI_KEYS: KeyRules = {
    "$schema": irrelevant("it names a schema for editors"),
    "activation": reported("scripts and variables of pixi's activation are not used", "Use [variables] of roost.toml."),
    "build-dependencies": refused(_PIXI, _PIXI_HINT),
    "constraints": refused(_PIXI, _PIXI_HINT),
    "dependencies": refused(_PIXI, _PIXI_HINT),
    "dev": refused(_PIXI, _PIXI_HINT),
    "environments": reported("pixi's environments are not read", _PIXI_HINT),
    "exclude-newer": refused(_PIXI, _PIXI_HINT),
    "feature": refused(_PIXI, _PIXI_HINT),
    "host-dependencies": refused(_PIXI, _PIXI_HINT),
    "package": irrelevant(_METADATA),
    "project": irrelevant("channels and platforms matter for conda packages only, which are refused"),
    "pypi-dependencies": refused(_PIXI, _PIXI_HINT),
    "pypi-options": refused("it says where packages come from", "State it in [tool.uv], which roost follows."),
    "run-dependencies": refused(_PIXI, _PIXI_HINT),
    "system-requirements": refused(_PIXI, "State it under [system] of a roost.toml."),
    "target": refused(_PIXI, _PIXI_HINT),
    "tasks": irrelevant(_TASKS),
    "tool": irrelevant("pixi ignores it too"),
    "workspace": irrelevant("channels and platforms matter for conda packages only, which are refused"),
}

POETRY_KEYS: KeyRules = {
    **dict.fromkeys(
        (
            *("authors", "classifiers", "description", "documentation", "exclude", "homepage", "include", "keywords"),
            *("license", "maintainers", "name", "package-mode", "packages", "plugins", "readme", "repository"),
            *("scripts", "urls", "version", "build"),
        ),
        irrelevant(_METADATA),
    ),
    "build-constraints": refused("it limits what builds get", "State it in [tool.uv] build-constraint-dependencies."),
    "dependencies": refused("it says where packages of [project] come from, or lists others", _POETRY_SOURCES),
    "dev-dependencies": reported("Poetry's groups are not read", _GROUPS),
    "extras": irrelevant("extras are those of [project.optional-dependencies]"),
    "group": reported("Poetry's groups are not read", _GROUPS),
    "requires-plugins": irrelevant("it is about Poetry itself"),
    "requires-poetry": irrelevant("it is about Poetry itself"),
    "source": refused("it says where packages come from", _POETRY_SOURCES),
}

PDM_KEYS: KeyRules = {
    **dict.fromkeys(
        ("build", "distribution", "editable-backend", "excludes", "includes", "package-dir", "package-type"),
        irrelevant(_METADATA),
    ),
    **dict.fromkeys(("source-includes", "version"), irrelevant(_METADATA)),
    "allow_prereleases": refused("pre-releases would be chosen", "State it in [tool.uv] prerelease."),
    "dev-dependencies": followed("read as dependency groups"),
    "ignore_package_warnings": irrelevant(_TASKS),
    "lock": irrelevant("it shapes PDM's own lock file"),
    "options": irrelevant("they are options of PDM's commands"),
    "overrides": refused("it replaces requirements", "State it in [tool.uv] override-dependencies."),
    "plugins": irrelevant("it is about PDM itself"),
    "resolution": refused(
        "it changes which packages are chosen", "State it in [tool.uv]: override-dependencies, exclude-dependencies."
    ),
    "scripts": irrelevant(_TASKS),
    "source": refused("it says where packages come from", "State it in [[tool.uv.index]], which roost follows."),
    "workspace": reported("members of PDM's workspace are not read", "Name them in [tool.uv.sources]."),
}

_HATCH = "Hatch's environments are not read"
_HATCH_HINT = "List the packages in [project], or in [dependency-groups] to include them."

HATCH_ENVIRONMENT_KEYS: KeyRules = {
    **dict.fromkeys(
        ("builder", "description", "detached", "dev-mode", "env-exclude", "env-include", "env-vars", "installer"),
        irrelevant(_TASKS),
    ),
    **dict.fromkeys(
        ("locked", "matrix", "matrix-name-format", "overrides", "parallel", "path", "platforms", "python"),
        irrelevant("it is about an environment of Hatch's own"),
    ),
    **dict.fromkeys(
        ("default-args", "extra-args", "extra-scripts", "post-install-commands", "pre-install-commands", "scripts"),
        irrelevant(_TASKS),
    ),
    **dict.fromkeys(
        ("python-sources", "randomize", "retries", "retry-delay", "skip-install", "system-packages", "template"),
        irrelevant("it is about an environment of Hatch's own"),
    ),
    **dict.fromkeys(("type", "uv-path", "config-path"), irrelevant("it is about an environment of Hatch's own")),
    "dependencies": reported(_HATCH, _HATCH_HINT),
    "dependency-groups": reported(_HATCH, _HATCH_HINT),
    "extra-dependencies": reported(_HATCH, _HATCH_HINT),
    "features": reported(_HATCH, _HATCH_HINT),
    "sources": reported(_HATCH, _HATCH_HINT),
    "workspace": reported(_HATCH, _HATCH_HINT),
}
