"""`aiocontainer-oci`: the command line that container engines drive an OCI runtime by.

Each command's module is loaded when it is called: most need neither pydantic nor an
event loop, and an interpreter's start is most of what they cost.
"""
