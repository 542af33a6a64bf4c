"""``python -m aiocontainer.oci``."""

from .main import main

main()
