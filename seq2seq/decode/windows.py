"""What a language model sees of a text that is longer than its window.

When the window is full its older half is dropped, and what is left is read anew, at positions from 0 on. Generating and
scoring go by the same rule, so a text is as probable when it is scored as it was when it was written.
"""

from collections.abc import Iterator


def dropped(context: int) -> int:
    """Returns how many tokens leave a full window of `context` tokens: its older half, of an odd number the larger."""
    return context - context // 2


def window_start(length: int, context: int) -> int:
    """Returns the first token in the window after `length` tokens have been read one after another."""
    step = dropped(context)
    return max(0, -(-(length - context) // step)) * step


def windows(length: int, context: int) -> Iterator[tuple[int, int]]:
    """Yields the windows in which `length` tokens, all but the first, are predicted.

    Yields:
        The first token of a window, and how many of its tokens behind that an earlier window has predicted.
    """
    start = 0
    while start == 0 < length - 1 or start + context // 2 + 1 < length:
        yield start, context // 2 if start else 0
        start += dropped(context)
