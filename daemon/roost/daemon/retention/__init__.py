"""How long records of the past stay, and the size of the index: work for idle times.

Read ``ages`` first (what goes by age, in small transactions), then ``compaction`` (free pages go back to the disk) and
``index_copy`` (the copy from which a lost index is rebuilt). Each holds up readers and writers for milliseconds only.

May import ``config``, ``jobs`` and ``roost.store``.

Doors: ages, compaction, index_copy.
"""
