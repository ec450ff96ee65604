"""Whether a prefix is what was built: protected folders, and a manifest to compare with.

``folders`` says which folders of a prefix installing or removing a package by hand touches, and makes them read-only.
``manifest`` (pure) is the list of everything that a prefix had when it was published, and how a tree differs from it;
``trees`` writes and compares it on disk, ``records`` has the digests that packages state.

May import ``definitions`` and ``engines`` of the daemon, the store and the model.

Doors: folders, manifest, records, trees.
"""
