"""``python -m aiocontainer``: the command line for people."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current directory, where anybody may have put a click.py
    from .cli import main

    main()
