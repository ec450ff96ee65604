"""The daemon's configuration, and the values that every package may need: paths of the daemon, ids and dates.

Reading order: ``schema`` (every setting), ``config`` (reading ``config.toml``), ``source`` (the settings in effect, in
one place), ``settings`` (settings as data, for
documentation and doctor), ``docs`` (writes ``CONFIG.md``); then ``paths``, ``ids`` and ``dates``.

Imports the model and the store, and nothing of the daemon.

Doors: config, dates, ids, paths, schema, settings, source.
"""
