"""Files under one root: paths, durable file operations, the root's lock, lease files, layer blobs, run folders.

Read ``layout`` and ``file_ops`` first, then ``root`` and ``lease_files``. All functions block: callers in an event loop
use threads.

May import ``roost.model`` and the modules ``clock`` and ``failpoints``.

Doors: file_ops, layer_files, layout, lease_files, root, run_folders.
"""
