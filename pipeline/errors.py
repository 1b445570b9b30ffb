"""Refusals of the pipeline: each message is one line that says what to do."""

# A line is for people; what a file put into it may be of any length.
_LONGEST = 1000


class PipelineError(Exception):
    """Base of all refusals; retrying does not help.

    Refusals quote what strangers wrote: nothing in them breaks the line or commands a terminal.
    """

    def __init__(self, message: str) -> None:
        plain = " ".join("".join(c if c.isprintable() else " " for c in message).split())
        super().__init__(plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…")


class MontageError(PipelineError):
    """The channels of a stream cannot serve the model."""


class BundleError(PipelineError):
    """A bundle is missing, damaged or made for another pipeline."""


class RecordingError(PipelineError):
    """A recording cannot be read."""


class GuidanceError(PipelineError):
    """Guidance cannot be read, indexed or searched: the line names the file and, in an entry, the field."""


class KeyFileError(PipelineError):
    """A signing key cannot be read, written or understood."""
