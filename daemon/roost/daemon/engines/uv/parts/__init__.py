"""What uv has installed of a wheel, learned once, and linked by roost itself into further virtual environments.

Reading order: ``part`` (what is known of one wheel; pure), ``learning`` (from a prefix that uv has filled),
``files`` (parts on the disk), ``linking`` (into a prefix that is being filled). uv stays the judge: a part is what uv
made of the wheel, byte for byte, and whatever is not exactly as it was learned is left to uv again.

Imports ``prefix`` and ``unpacked`` of ``engines.uv``, and the store's ``disk`` and ``failpoints``.

Doors: files, learning, linking.
"""
