"""Conda prefixes and virtual environments: fill one from a lock, once for each lock, and repair what was altered.

Read ``builds`` (from a lock to a ready prefix) and ``fill`` (everything in it) first, then ``seal`` (manifest and
guards) and ``editable_links`` (further guards, of editable installations). ``bytecode`` (with ``bytecode_digests``)
links what is stored, ``linked_wheels`` is a venv that is made without uv, and ``late_parts`` learns how.
``late_bytecode`` completes ready prefixes by ``compilation``, and ``linked_bytecode`` has the record of that.
``wheel_code``: which wheels run code. ``check`` finds altered files; ``verify`` checks and replaces all prefixes,
``idle_check`` one at a time while nobody wants anything.

Imports the engines, ``locks`` (explaining what is no longer available), ``launch`` (drift and launch plans),
``integrity``, ``definitions``, ``credentials``, ``workers``, ``jobs``, ``background``, ``config``, ``roost.store``,
``roost.model`` and ``roost.wire``.

Doors: adoption, builds, idle_check, late_bytecode, seal, verify.
"""
