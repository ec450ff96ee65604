"""Tables of other tools in ``pyproject.toml`` and in scripts: what of them roost follows, refuses, reports or ignores.

Read ``rules`` (what can become of a key), ``uv_keys`` and ``other_keys`` (every key with its reason: data, from which
the documentation is written and which the tests go through), ``judge`` (problems for keys that have no effect), then
``uv_choices`` (the settings of ``[tool.uv]`` as lines) and ``uv_sources`` (where it says packages come from), with
``markers`` and ``workspaces`` below it.

Imports ``requirements`` and ``source`` of the readers, and what those may import.

Doors: judge, markers, uv_sources, workspaces.
"""
