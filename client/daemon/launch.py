"""Starts another program that ends with the process that wanted it: `launch PARENT PROGRAM ...`."""

from __future__ import annotations

import os
import sys

from client.daemon.parent import end_with_parent, no_core_dump


def main(arguments: list[str]) -> None:
    """Become `arguments[1:]`, ending with process `arguments[0]`."""
    no_core_dump()
    end_with_parent(int(arguments[0]))
    os.execv(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
