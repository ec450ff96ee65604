"""The decision: from a request and from facts to a plan. Pure: no clock, no disk, no network.

Read in this order: ``facts`` (what a decision is made from), ``decide`` (the target, and targets that run prefixes),
``images`` (targets that run images), ``lock`` (reasons about the lock, for both), ``choices`` (what a request chose of
its file), ``nearest`` (the known definition that is closest to an unknown one).

May import ``oci`` of the daemon, the model and the wire types.

Doors: choices, decide, facts, images, lock, nearest.
"""
