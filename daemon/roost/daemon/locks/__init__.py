"""Locks: solving for them, sharing them through registries, and what to do if their packages disappear.

Read in this order: ``solve`` (from a definition to a lock), ``former`` (what a solve prefers), ``artifact`` (a lock
as an OCI artifact), ``verify_offline`` and ``expectation`` (the check of a fetched lock against its definition),
``attest`` (what channels and indexes say of it), ``results`` and ``registry`` (look-up, comparison, adoption and
publication), ``shared_locks`` (the same as plans and builds use it), ``missing_packages`` (errors for locks whose
packages are no longer available).

May import ``definitions``, ``decision``, ``engines``, ``jobs``, ``credentials``, ``oci`` and ``config`` of the daemon,
the store, the model and the wire types.

Doors: artifact, attest, expectation, former, missing_packages, platform_markers, registry, results, shared_locks,
solve.
"""
