"""Print the page about other tools' tables: ``python -m tests.golden.tool_tables > docs/tool-tables.md``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from roost.model.readers.tools.other_keys import HATCH_ENVIRONMENT_KEYS, PDM_KEYS, PIXI_KEYS, POETRY_KEYS
from roost.model.readers.tools.rules import KeyRules
from roost.model.readers.tools.uv_keys import INDEX_KEYS, PROJECT_KEYS, SETTING_KEYS, SOURCE_KEYS

FILE = Path(__file__).parents[2] / "docs" / "tool-tables.md"
TABLES: dict[str, KeyRules] = {
    "`[tool.uv]`, in `pyproject.toml` only": PROJECT_KEYS,
    "`[tool.uv]` and `uv.toml`": SETTING_KEYS,
    "`[[tool.uv.index]]`": INDEX_KEYS,
    "`[tool.uv.sources]`": SOURCE_KEYS,
    "`[tool.pixi]`": PIXI_KEYS,
    "`[tool.poetry]`": POETRY_KEYS,
    "`[tool.pdm]`": PDM_KEYS,
    "`[tool.hatch.envs.<name>]`": HATCH_ENVIRONMENT_KEYS,
}
HEAD = """# Other tools' tables in pyproject.toml

roost reads the requirements of `[project]`, of `[dependency-groups]`, and of the metadata in a script (PEP 723). What
the tables of other tools say of these requirements is

- *followed*: it acts as it does in its tool,
- *refused*: an error with its place, because leaving it out would give other packages,
- *reported*: a warning, because its tool would install more than the project requires,
- *irrelevant*: it changes neither which packages are chosen nor where they come from.

A key that is in no table is refused. `[tool.uv]` of a script's metadata is followed like that of a project.

## How `[tool.uv]` is followed

- An index with `explicit = true` gives only the packages whose source names it, and no other index may have them.
- Other indexes are searched in order, before the default one; the first that has a package is the only one that may
  give it, unless `index-strategy` says otherwise.
- Sources with `git`, `url`, `path`, `workspace` and `index` take the place of the requirement's name. The commit of a
  repository is in the lock; the content of a file or folder is part of the definition. A list of sources with markers
  is followed, and the requirement holds as it is where none of them applies.
- The requirements of a local project (`path`, `workspace`) have the places that its own `[tool.uv.sources]` says.
- A project that is a member of a workspace has the settings of the workspace's root, and its own sources first.
- A `uv.toml` beside the root takes the place of the settings in its `pyproject.toml`; these are reported.
- Credentials of an index with a name may be in `UV_INDEX_<NAME>_USERNAME` and `UV_INDEX_<NAME>_PASSWORD` where roost is
  called. They are used for the request and never stored.

In a `roost.toml` the same is written as lines of `requirements`: `torch --index=URL`, `--index URL`,
`--index-strategy`, `--override`, `--exclude-dependency`, `--constraint-dependency`, `--build-constraint`,
`--exclude-newer`, `--exclude-newer-package`, `--prerelease`, `--prerelease-package`, `--resolution`, `--no-build`,
`--no-build-package`, `--dependency-metadata`.
"""


def format_tables() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_format_all()])


def _format_all() -> Iterator[str]:
    for title, rules in TABLES.items():
        yield f"## {title}\n\n| key | | |\n|---|---|---|"
        for key, rule in sorted(rules.items()):
            hint = f". {rule.hint}" if rule.hint else ""
            yield f"| `{key}` | {rule.verdict} | {rule.reason}{hint} |"
        yield ""


if __name__ == "__main__":
    print(format_tables(), end="")
