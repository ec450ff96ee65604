"""The Python interpreters installed on this machine, for environments without conda and for compiling byte-code.

Read ``interpreters`` (which interpreters exist, what each one is), then ``engine`` (which one fits a requirement, and
whether it is unchanged), then ``errors``. Imports only ``roost.model``.

Doors: engine, interpreters.
"""
