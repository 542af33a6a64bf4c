"""``python -m aiocontainer``: the command line for people."""

from .cli import main

if __name__ == "__main__":
    main()
