"""Every key of ``[tool.uv]``, ``uv.toml``, ``[tool.uv.pip]`` and of their tables: data, as uv 0.13 has them."""

from __future__ import annotations

from roost.model.readers.tools.rules import KeyRules, followed, irrelevant, refused

_OWN_UV = "roost runs its own uv, in its own environment"
_UNIVERSAL = "it shapes uv's lock for all platforms; roost locks for one"
_BUILD = "builds would need a setting that roost does not pass on, and give other wheels"
_BUILD_HINT = "Build the package elsewhere and name its wheel, or an index that has it."

PROJECT_KEYS: KeyRules = {
    "build-constraint-dependencies": followed("builds get only what it allows"),
    "conflicts": followed("groups and extras that exclude each other are not read together"),
    "constraint-dependencies": followed("limits the versions of what is needed"),
    "default-groups": followed("the dependency groups that are read without being chosen; `dev` if it is not set"),
    "dependency-groups": followed("'requires-python' of a group that is read, in addition to that of [project]"),
    "dev-dependencies": followed("read as part of the dependency group `dev`"),
    "environments": irrelevant(_UNIVERSAL),
    "exclude-dependencies": followed("never installed, whatever needs them"),
    "managed": irrelevant("it only says whether uv's commands manage the project"),
    "minimum-libc-version": refused("it changes which wheels fit", "State glibc under [system] of a roost.toml."),
    "override-dependencies": followed("takes the place of every other requirement for the package"),
    "package": followed("whether the project itself is installed"),
    "required-environments": irrelevant(_UNIVERSAL),
    "sources": followed("where the packages that it names come from"),
    "workspace": followed("where members are that sources name"),
    "build-backend": irrelevant("it configures how the project itself is built"),
    "cache-keys": followed("files, and the commit, that the project is installed again for"),
}
"""Keys that uv reads from ``pyproject.toml`` only."""

SETTING_KEYS: KeyRules = {
    "add-bounds": irrelevant("it is for `uv add`"),
    "allow-insecure-host": followed("as pip's --trusted-host"),
    "audit": irrelevant("it is for `uv audit`"),
    "cache-dir": irrelevant(_OWN_UV),
    "check-url": irrelevant("it is for `uv publish`"),
    "compile-bytecode": irrelevant("roost compiles byte code in any case"),
    "concurrent-builds": irrelevant(_OWN_UV),
    "concurrent-downloads": irrelevant(_OWN_UV),
    "concurrent-installs": irrelevant(_OWN_UV),
    "config-settings": refused(_BUILD, _BUILD_HINT),
    "config-settings-package": refused(_BUILD, _BUILD_HINT),
    "dependency-metadata": followed("the metadata of a package is what it says"),
    "exclude-newer": followed(
        "later uploads are ignored; a date without a time is one in UTC, and a span ends when a lock is made"
    ),
    "exclude-newer-package": followed("the same for single packages"),
    "extra-build-dependencies": refused(_BUILD, _BUILD_HINT),
    "extra-build-variables": refused(_BUILD, _BUILD_HINT),
    "extra-index-url": followed("indexes before the default one"),
    "find-links": followed("as pip's --find-links"),
    "fork-strategy": irrelevant(_UNIVERSAL),
    "graalpy-install-mirror": irrelevant("roost installs no Python with uv"),
    "http-proxy": irrelevant("proxies come from the caller's environment"),
    "https-proxy": irrelevant("proxies come from the caller's environment"),
    "index": followed("indexes by priority, or for the packages whose sources name them"),
    "index-strategy": followed("which index may have a package"),
    "index-url": followed("the default index"),
    "keyring-provider": irrelevant("credentials come from the sources that roost's documentation lists"),
    "link-mode": irrelevant("roost decides how files get into a prefix"),
    "native-tls": irrelevant("roost trusts the system's certificates in any case"),
    "no-binary": followed("everything is built from source"),
    "no-binary-package": followed("these packages are built from source"),
    "no-build": followed("nothing is built from source"),
    "no-build-isolation": refused(_BUILD, _BUILD_HINT),
    "no-build-isolation-package": refused(_BUILD, _BUILD_HINT),
    "no-build-package": followed("these packages are not built from source"),
    "no-cache": irrelevant(_OWN_UV),
    "no-index": followed("no index is asked"),
    "no-proxy": irrelevant("proxies come from the caller's environment"),
    "no-sources": followed("sources are left out"),
    "no-sources-package": followed("sources of these packages are left out"),
    "offline": irrelevant(_OWN_UV),
    "pip": followed("only `uv pip` reads it: refused if it says where packages come from or which fit"),
    "prerelease": followed("whether pre-releases are chosen"),
    "prerelease-package": followed("the same for single packages"),
    "preview": irrelevant(_OWN_UV),
    "preview-features": irrelevant(_OWN_UV),
    "publish-url": irrelevant("it is for `uv publish`"),
    "pyodide-install-mirror": irrelevant("roost installs no Python with uv"),
    "pypy-install-mirror": irrelevant("roost installs no Python with uv"),
    "python-downloads": irrelevant("roost installs no Python with uv"),
    "python-downloads-json-url": irrelevant("roost installs no Python with uv"),
    "python-install-mirror": irrelevant("roost installs no Python with uv"),
    "python-preference": irrelevant("roost installs no Python with uv"),
    "reinstall": irrelevant("every prefix is new"),
    "reinstall-package": irrelevant("every prefix is new"),
    "require-build-hashes": irrelevant("roost checks what builds install in any case"),
    "required-version": irrelevant(_OWN_UV),
    "resolution": followed("whether the highest or the lowest versions are chosen"),
    "system-certs": irrelevant("roost trusts the system's certificates in any case"),
    "torch-backend": refused(
        "it chooses an index by the hardware of one machine",
        "Name the index in [[tool.uv.index]] with explicit = true, and in [tool.uv.sources] for torch.",
    ),
    "trusted-publishing": irrelevant("it is for `uv publish`"),
    "upgrade": irrelevant("a new lock is made on request only"),
    "upgrade-package": irrelevant("a new lock is made on request only"),
}
"""Keys that ``uv.toml`` may have too; if it has any, uv reads none of these from ``pyproject.toml``."""

PIP_KEYS_THAT_CHOOSE = frozenset(
    (
        *("index-url", "extra-index-url", "no-index", "find-links", "index-strategy", "no-build", "no-binary"),
        *("only-binary", "resolution", "prerelease", "dependency-metadata", "exclude-newer", "exclude-newer-package"),
        *("extra", "all-extras", "group", "no-deps", "require-hashes", "torch-backend", "python-version"),
        *("python-platform", "config-settings", "config-settings-package", "no-build-isolation"),
        *("no-build-isolation-package", "extra-build-dependencies", "extra-build-variables"),
    )
)
"""Keys of ``[tool.uv.pip]`` that choose packages. The others are about output, and about what is installed over."""

INDEX_KEYS: KeyRules = {
    "authenticate": irrelevant("roost sends credentials wherever it has some for the host"),
    "cache-control": irrelevant(_OWN_UV),
    "default": followed("it takes the place of the default index"),
    "explicit": followed("only packages whose sources name it come from it"),
    "format": refused("an index that is a flat list", "Name it in find-links."),
    "ignore-error-codes": refused(
        "an index that refuses access would count as one that lacks the package", "Remove it."
    ),
    "name": followed("sources and the variables UV_INDEX_<NAME>_USERNAME and _PASSWORD refer to it"),
    "publish-url": irrelevant("it is for `uv publish`"),
    "url": followed("where the index is"),
}

SOURCE_KEYS: KeyRules = {
    "branch": followed("of a repository"),
    "editable": followed("whether a folder is linked to or built"),
    "extra": followed("only for that extra"),
    "git": followed("a repository; its commit is in the lock"),
    "group": followed("only for that dependency group"),
    "index": followed("only that index may have the package"),
    "lfs": refused("files of Git LFS are not fetched", "Remove lfs, or name a wheel."),
    "marker": followed("only where it applies"),
    "package": refused("a folder whose dependencies alone are meant", "List them in the project."),
    "path": followed("a file or folder; its content is part of the definition"),
    "rev": followed("of a repository"),
    "subdirectory": followed("of a repository or archive"),
    "tag": followed("of a repository"),
    "url": followed("a wheel or an archive"),
    "workspace": followed("a member of the workspace, as an editable install"),
}
