"""What is in an environment, why, and where: requests and answers of the commands that only look.

``packages`` (``list``, ``tree`` and ``why``), ``programs`` (``which``).

Imports ``roost.wire`` only.

Doors: packages, programs.
"""
