"""Errors that a person can act on: the command line prints them as one sentence."""


class UserError(ValueError):
    """Bad input: names the thing, its value and what is allowed. Exit code 2."""


class LinkError(UserError):
    """A board cannot be reached, or no longer: what is wrong, and what would be right."""


class Mismatch(AssertionError):
    """RTL and golden differ. Exit code 1."""
