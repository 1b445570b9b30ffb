"""Refusals of the pipeline: each message is one line that says what to do."""


class PipelineError(Exception):
    """Base of all refusals; retrying does not help."""


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
