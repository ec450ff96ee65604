"""Packages that are often required by another name: what they are imported as, or what the other ecosystem calls them.

``docs/environment-files.md`` lists them, and a test compares. Pure.
"""

from __future__ import annotations

WELL_KNOWN: dict[str, tuple[str, str]] = {
    "attr": ("attrs", "attrs"),
    "bs4": ("beautifulsoup4", "beautifulsoup4"),
    "crypto": ("pycryptodome", "pycryptodome"),
    "cv2": ("opencv-python", "opencv"),
    "dateutil": ("python-dateutil", "python-dateutil"),
    "docx": ("python-docx", "python-docx"),
    "dotenv": ("python-dotenv", "python-dotenv"),
    "faiss": ("faiss-cpu", "faiss"),
    "fitz": ("pymupdf", "pymupdf"),
    "git": ("gitpython", "gitpython"),
    "hydra": ("hydra-core", "hydra-core"),
    "jwt": ("pyjwt", "pyjwt"),
    "mysqldb": ("mysqlclient", "mysqlclient"),
    "opencv": ("opencv-python", "opencv"),
    "openssl": ("pyopenssl", "pyopenssl"),
    "pil": ("pillow", "pillow"),
    "pytables": ("tables", "pytables"),
    "pytorch": ("torch", "pytorch"),
    "serial": ("pyserial", "pyserial"),
    "skimage": ("scikit-image", "scikit-image"),
    "sklearn": ("scikit-learn", "scikit-learn"),
    "slugify": ("python-slugify", "python-slugify"),
    "tables": ("tables", "pytables"),
    "tensorflow-gpu": ("tensorflow", "tensorflow"),
    "torch": ("torch", "pytorch"),
    "umap": ("umap-learn", "umap-learn"),
    "yaml": ("pyyaml", "pyyaml"),
    "zmq": ("pyzmq", "pyzmq"),
}
"""Name in lower case to the name of the package in pip's index and in conda-forge."""


def find_well_known(name: str, *, conda: bool) -> str | None:
    """Return what conda's channels or pip's index call the package ``name``, if that is another name."""
    found = WELL_KNOWN.get(name.lower())
    own = found[1 if conda else 0] if found else None
    return own if own != name.lower() else None
