"""Refusals of the daemon, sorted by what they mean for whoever started it."""


class ConfigError(Exception):
    """The configuration cannot be used: one line that names the file, the key and what is allowed."""


class LoginError(Exception):
    """The broker refuses this user; trying again changes nothing."""


class OutboxError(Exception):
    """The state directory cannot hold the outbox: full, read-only, damaged or in use."""


class CommandError(Exception):
    """A command is not obeyed: one line that says why."""
