"""What is in the caches of a root: recorded when it is put there, listed from the index, and removed safely.

Read ``shelves`` first (which folder has what), then ``ledger`` (rows for what is in them), ``remover`` (the removal of
one item: the steps that all kinds have in common) with ``claims`` (what each kind needs so that nothing uses it
meanwhile) and ``reaping`` (deleting in a worker that can be killed). What goes is decided elsewhere.

Imports ``engines``, ``workers``, ``jobs``, ``roost.store`` and ``roost.model``.

Doors: ledger, remover.
"""
