"""The Python interpreters installed on this machine, for environments without conda and for compiling byte-code.

Read ``interpreters`` (which interpreters exist, what each one is), then ``tags`` and ``fit`` (whether one fits a lock),
then ``provided`` (those that came with bundles), ``engine`` (which one is chosen for a requirement or a lock), and
``errors``. Imports ``caller``, ``roost.store`` and ``roost.model``.

Doors: engine, errors, fit, interpreters, provided.
"""
