"""Curated environments: the versions that ship with roost, and those that registries offer in a catalogue.

Reading order: ``catalogue`` (types and bytes of a catalogue), ``portability`` (what may leave a machine),
``validation`` (from a catalogue's entries to versions), ``registry`` (fetching and publishing catalogues), ``shipped``
(the files beside this package in ``environments/``), ``versions`` (registering and publishing versions).

``catalogue``, ``portability`` and ``validation`` are pure. Imports ``launch``, ``engines`` (registry and conda),
``jobs``, ``oci``, the store and the model.

Doors: versions.
"""
