"""Changes of environment files: packages added to and removed from a text, which stays as it is everywhere else.

Read in this order: ``change`` (what is asked, and what came of it), ``source_text`` (a file's bytes and pieces of them
that are replaced), ``edit`` (the change, verified by reading both texts), ``beginnings`` (texts of new files). May
import the rest of ``roost.model``.

Doors: beginnings, change, edit.
"""
