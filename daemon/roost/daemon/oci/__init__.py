"""Names and documents of OCI registries, and the platforms that images and environments are for.

Reading order: ``references``, ``platforms``, ``manifests``, ``answers``; then ``target_platforms`` (platforms of this
machine and of targets) and ``registries`` (which registries are in effect).

All but ``target_platforms`` and ``registries`` are pure. Imports ``config``, the model and the wire types.

Doors: answers, manifests, platforms, references, registries, target_platforms.
"""
