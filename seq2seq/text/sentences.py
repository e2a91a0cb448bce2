"""Splitting long text at sentence ends."""

STRETCH = 10_000  # characters in which sentence ends are looked for at once: the search takes their square in time


def split_sentences(text: str, language: str) -> list[str]:
    """Returns the sentences of a text, each with the spaces behind it: joined they are the text again.

    Sentences of thousands of characters may come in several pieces.

    Args:
        text: any text.
        language: code such as `en`; unknown ones are split by general rules.
    """
    from sentencex import segment

    sentences: list[str] = []
    start = 0
    while len(text) - start > STRETCH:
        found = list(segment(language, text[start : start + STRETCH]))
        whole = found[:-1] or found  # the last one goes on behind the stretch
        sentences += whole
        start += sum(map(len, whole))
    return [*sentences, *segment(language, text[start:])]
