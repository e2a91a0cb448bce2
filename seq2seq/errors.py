"""Errors that a user can mend: each carries the exit code of the command that meets it."""


class Seq2SeqError(Exception):
    """A bad argument, recipe, input or environment; the message says what, where and what to do next."""

    exit_code = 2


class RecipeError(Seq2SeqError):
    """One or more faults of a recipe, all reported at once."""


class DataError(Seq2SeqError):
    """A corpus or input file that cannot be used as it is."""


class RunError(Seq2SeqError):
    """The run folder does not fit: another recipe, other data, or in use by another process."""

    exit_code = 3


class ModelError(Seq2SeqError):
    """No usable checkpoint or model where one was expected."""

    exit_code = 4


class DamagedError(ModelError):
    """Files whose content is not what was written."""


class DivergedError(Seq2SeqError):
    """Training produced a loss or gradient that is not a number."""

    exit_code = 5
