"""Writers: from a definition, its settings and its lock to other tools' files.

Read ``write`` (the entry point) and ``draft`` (what all writers share), then a format: ``conda``, ``locks`` (all that
are made from a lock) and ``azure``. ``document`` writes the shape of ``roost.toml`` as a value.

May import ``canonical``, ``definition``, ``errors``, ``locks`` and ``syntax`` of the model, but not ``readers``.

Doors: document, write.
"""
