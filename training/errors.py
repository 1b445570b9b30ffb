"""What a user can mend: one line each, printed by the command without a trace."""


class TrainingError(Exception):
    """The message says what is wrong and what to do about it."""
