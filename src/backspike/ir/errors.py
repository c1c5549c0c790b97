"""Errors that a person can act on: the command line prints them as one sentence."""


class UserError(ValueError):
    """Bad input: names the thing, its value and what it must be. Exit code 2."""


class LinkError(UserError):
    """A board cannot be reached, or no longer: what is wrong, and what would be right."""


class Mismatch(AssertionError):
    """Hardware and golden differ. Exit code 1."""


class Missed(Exception):
    """A figure is too far from its baseline. Exit code 3."""
