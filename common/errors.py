"""The errors a person sees: one sentence that names what was found and what to do."""

from __future__ import annotations


class MienError(Exception):
    """Base of all expected failures; its text is shown to the user as it is."""

    exit_code = 1


class UsageError(MienError):
    """The command, a setting or an input file is wrong: exit code 2."""

    exit_code = 2


class WorkError(MienError):
    """The input was in order but the work could not be done: exit code 1."""
