"""Layer 0: the kernel's calls, synchronous, raising plain ``OSError``.

Nothing here knows what a container is. The helper runs on this layer alone, so it
imports only what a fork server can carry: ctypes, os and python-prctl.
"""
