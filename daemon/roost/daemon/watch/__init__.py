"""x

Doors: states.
"""
