"""Documentation of the settings: ``python -m roost.daemon.config.docs > daemon/CONFIG.md``. A test compares the two."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from roost.daemon.config.settings import Setting, list_settings

HEAD = """# Configuration

roost reads one configuration file, `config.toml`. It ignores the configuration of other tools: condarc, `pip.conf`,
`uv.toml`, and the variables `CONDA_*`, `PIP_*`, `UV_*` and `PYTHON*`. An unknown key is an error with its line number.
`roost doctor` prints the effective settings and the source of each value.

| variable | meaning | default |
|---|---|---|
| `ROOST_HOME` | the root: everything that roost stores | the user data folder, on Linux `~/.local/share/roost` |
| `ROOST_SOCKET` | the daemon's socket | `roost.sock` in the root; under `/tmp/roost-<uid>/` if that path is too long |
| `ROOST_CONFIG` | the config file | `config.toml` in the user config folder, on Linux `~/.config/roost` |

Without a home folder (no `HOME`, and no entry in `/etc/passwd`, as in `docker run -u 12345`) only `ROOST_HOME` is
needed; without it, roost refuses and creates nothing. `HOME` and `XDG_*` count if they are absolute paths.

The root belongs to one user. It is refused, before anything is created, if it or something in it belongs to another
user (as with `sudo roost`, which has the user's `HOME`; `sudo -H` has root's own), if others can write in it, if its
file system is mounted with `noexec`, or if others could replace it: a folder above it must belong to you or to root,
and only you and root may write there, unless it is sticky like `/tmp`.

To remove a root by hand, stop the daemon (`roost daemon stop`), make its folders writable, because those of packages
are read-only, and delete it: `chmod -R u+w "$ROOST_HOME" && rm -r "$ROOST_HOME"`.

`[daemon]` and `[builds]` are read when the daemon starts; all other settings are read again whenever the file changes.
Do not put credentials into this file: `[credentials]` names the source of credentials for channels and indexes,
`[registries.credentials]` that for registries. `~/.netrc` and rattler's auth file are read too, and the URLs of a
definition can refer to variables as `${VARIABLE}`.

Proxies (`HTTPS_PROXY` and its kin, in both spellings), `SSL_CERT_FILE`, `SSL_CERT_DIR`, `SSH_AUTH_SOCK`,
`GIT_SSH_COMMAND`, `GIT_SSH`, `DOCKER_HOST`, `DOCKER_CONTEXT`, `DOCKER_CONFIG`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`,
and `PATH` for Pythons are those of each call, not of the process that started the daemon.

| setting | type | default | meaning |
|---|---|---|---|
"""

EXAMPLE = """
An example:

    [conda]
    channels = ["conda-forge", "bioconda"]
    [conda.mirrors]
    "https://conda.anaconda.org/conda-forge" = ["https://conda.example.org/forge", "file:///srv/conda/forge"]
    [registries]
    workspace = "registry.example.org/team"
    [registries.credentials."registry.example.org"]
    username_variable = "TEAM_USER"
    password_variable = "TEAM_TOKEN"
    [credentials."pypi.example.org"]
    username = "__token__"
    password_variable = "PYPI_TOKEN"
    [builds]
    concurrency = 4
    [daemon]
    idle_exit_seconds = 0
"""


def render_markdown() -> str:
    """Return the text of ``CONFIG.md``."""
    return HEAD + "".join(_table_rows()) + EXAMPLE


def _table_rows() -> Iterator[str]:
    for setting in list_settings():
        yield f"| `{setting.name}` | {setting.kind} | {_format_default(setting)} | {setting.description} |\n"


def _format_default(setting: Setting) -> str:
    return "absent" if setting.default is None else f"`{msgspec.json.encode(setting.default).decode()}`"


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
