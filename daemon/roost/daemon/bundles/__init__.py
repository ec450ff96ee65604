"""Bundles: one file that brings environments to a machine without a network.

Reading order: ``format`` (what is in the file, and where), ``contents`` (what is in a bundle of which environments),
``collect`` (everything that a bundle needs, as files of this machine), ``tar_writer`` and ``tar_reader`` (the file as a
stream), ``trust`` (whether what a bundle says may be used), ``pythons``, ``exports`` and ``imports``,
and ``session`` (either as a stream of messages). docs/bundles.md describes the
file for others.

Imports ``builds``, ``prefixes``, ``workspace``, ``planning``, ``bases``, ``locks``, ``engines``, ``jobs``, the store,
the model and the wire.

Doors: exports, imports, session.
"""
