"""The Python interpreters installed on this machine, for environments without conda and for compiling byte-code.

Read ``interpreters`` (which interpreters exist, what each one is), then ``tags`` and ``fit`` (whether one fits a lock),
then ``engine`` (which one is chosen for a requirement or a lock), then ``errors``. Imports ``caller``
and ``roost.model``.

Doors: engine, errors, fit, interpreters.
"""
