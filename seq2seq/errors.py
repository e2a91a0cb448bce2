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


class TooLargeError(Seq2SeqError):
    """A training step for which a device lacks the memory."""


class DivergedError(Seq2SeqError):
    """Training produced a loss or gradient that is not a number."""

    exit_code = 5


class Terminated(BaseException):
    """SIGTERM asks the program to end."""


def explain_error(error: BaseException) -> tuple[str, int] | None:
    """Returns the message and exit code of an error that a user can mend; None for a bug of ours."""
    match error:
        case Seq2SeqError():
            return str(error), error.exit_code
        case KeyboardInterrupt():
            return "stopped by Ctrl-C", 130
        case Terminated():
            return "stopped by SIGTERM", 143
        case OSError():
            return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error), 2
        case MemoryError() | RuntimeError() if is_out_of_memory(error):
            return "out of memory; lower train.device_tokens, or --batch-tokens where no model is trained", 2
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether a computation found no memory: torch has a class for CUDA and a plain RuntimeError for the CPU."""
    names = ("OutOfMemoryError", "MemoryError")
    return type(error).__name__ in names or "DefaultCPUAllocator: can't allocate memory" in str(error)
