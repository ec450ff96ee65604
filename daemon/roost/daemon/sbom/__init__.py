"""Software bills of materials: what is in an environment, in the formats that others' tools read.

Reading order: ``inventory`` (the values that both formats are written from, and the job that writes them), ``sboms``
(what a request names is gathered), and then what runs in a worker: ``writing`` (the job), ``distributions`` and
``licences`` (what wheels state), ``identifiers`` (package URLs), ``composing`` (locks to an inventory, pure),
``cyclonedx_text`` and ``spdx_text`` (an inventory to text, by the libraries of the extra ``sbom``).

Imports ``inspection`` (metadata of wheels, and which package needs which), ``workspace``, ``planning``, ``locks``,
``definitions``, ``engines``, ``workers``, ``credentials``, the store, the model and the wire. The libraries are
imported in workers only.

Doors: sboms.
"""
