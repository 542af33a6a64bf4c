"""The other side: one thread, synchronous, sealed. Executes plans, decides nothing.

It imports the standard library's C modules, `_sys` and `init_pipe`; everything before
the first request, since a later import would load code from a container's files.
"""
