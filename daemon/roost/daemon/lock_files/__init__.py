"""The ``roost.lock`` beside a definition: which of its locks is used, and whether it may be.

Read in this order: ``reading`` (from a path to its locks), ``choice`` (which of them is for a definition and a target:
pure), ``vouching`` (what the definition, its channels and indexes say of that lock), ``places`` (what may be used of it
while they do not answer: pure), ``late_vouching`` (who did not answer is asked again), ``applying`` (the definition of
a request with the lock of its file).

May import ``locks``, ``definitions``, ``engines`` and the packages below them, the store, the model and the wire types.

Doors: applying, choice, reading.
"""
