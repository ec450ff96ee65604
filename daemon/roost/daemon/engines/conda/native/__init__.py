"""What runs in conda workers: everything that uses rattler. Nothing imports it; ``conda.jobs`` names its functions.

Read ``solving`` and ``linking`` first. ``specs``, ``versions`` and ``machine`` judge specs, versions and the machine;
``unlisted`` reads packages that no index lists, ``distributions`` what packages contain; ``client`` is rattler's HTTP
client, ``records`` converts between rattler's types and those of a lock, ``preferences`` finds in the channels what a
former lock had, ``package_check`` refuses packages whose files would leave the prefix.

Imports the rest of ``engines.conda``, ``credentials``, ``workers`` and ``roost.model``. A panic here ends one worker.

Doors: none.
"""
