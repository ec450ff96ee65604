"""Sources of packages: compared with every digest that is known of them before any code in them runs.

Read ``digests`` (which digests a source must have, pure), ``metadata`` (what a source says of itself, pure),
``archives`` (reading it from files), ``checked`` (the sources of one resolution), ``builds`` (wheels from sources) and
``build_requirements`` (what a build may install). ``code``: what names the code that a build runs. ``local``: what
local lines name. ``links``: which places of ``--find-links`` answer.

uv runs the code of a source as soon as it needs the metadata, and compares digests afterwards or not at all. So uv
resolves with metadata that roost gives it (its ``dependency-metadata``) and never builds anything but editable folders.

Imports ``background``, and ``process``, ``fetch``, ``requirements``, ``wheels``, ``pylock``, ``secrets``,
``translation`` and ``errors`` of ``engines.uv``.

Doors: build_requirements, builds, checked, code, digests, links, local, metadata.
"""
