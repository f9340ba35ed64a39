"""The `mien` command: one thin file per group of commands, no logic of its own."""
