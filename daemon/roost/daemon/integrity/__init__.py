"""Whether a prefix is what was built: folders that are protected, and what tells that one was changed.

``folders`` says which folders of a prefix installing or removing a package by hand touches, and makes them read-only.

May import ``definitions`` and ``engines`` of the daemon, the store and the model.

Doors: folders.
"""
