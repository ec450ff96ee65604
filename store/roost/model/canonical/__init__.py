"""The canonical form of definitions and settings, their digests, and the comparison of canonical forms.

Read ``form``, then ``pip_items`` (the form of requirements, apart because it is recursive) and ``differences``.

May import ``definition``, ``errors`` and ``syntax`` of the model.

Doors: differences, form.
"""
