"""The ``roost.lock`` beside a definition: which of its locks is used, whether it may be, and writing it.

Read in this order: ``reading`` (from a path to its locks), ``choice`` (which of them is for a definition and a target:
pure), ``applying`` (the definition of a request with the lock of its file), ``vouching`` (what the definition, its
channels and indexes say of that lock), ``writing`` (the new content, and putting it in place).

May import ``locks``, ``definitions``, ``engines`` and the packages below them, the store, the model and the wire types.

Doors: applying, choice, reading, vouching, writing.
"""
