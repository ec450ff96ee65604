"""Documentation of the settings: ``python -m roost.daemon.config.docs > daemon/CONFIG.md``. A test compares the two."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from roost.daemon.config.settings import Setting, list_settings

HEAD = """# Configuration

roost reads one file, `config.toml`, and no other tool's configuration: no condarc, no `pip.conf`, no `uv.toml`, none of
`CONDA_*`, `PIP_*`, `UV_*`, `PYTHON*`. Unknown keys are errors that name the line. `roost doctor` prints what is in
force and where each value came from.

| variable | meaning | default |
|---|---|---|
| `ROOST_HOME` | the root: everything that roost keeps | the user data folder, on Linux `~/.local/share/roost` |
| `ROOST_SOCKET` | the daemon's socket | `roost.sock` in the root; under `/tmp/roost-<uid>/` if that is too long |
| `ROOST_CONFIG` | the config file | `config.toml` in the user config folder, on Linux `~/.config/roost` |

`[daemon]` and `[builds]` are read when the daemon starts, all else whenever the file changes. Credentials do not belong
into this file: `[credentials]` says where those for channels and indexes are, and `[registries.credentials]` those for
registries; `~/.netrc` and rattler's auth file are read; a definition's URLs may name `${VARIABLE}`.

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
