"""Locks: the packages that a solve selected, their digest, their differences, and other tools' lock formats.

Read ``lock``, then ``markers`` (what the choice of wheels depended on), ``differences``, ``preferences`` (what a
solve prefers of a former lock), ``moves`` (what an edit of a definition moved) and ``formats``.

May import ``canonical``, ``definition``, ``errors`` and ``syntax`` of the model.

Doors: differences, formats, lock, markers, moves, preferences.
"""
