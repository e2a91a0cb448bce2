"""Splitting long text at sentence ends."""


def split_sentences(text: str, language: str) -> list[str]:
    """Returns the sentences of a text, each with the spaces behind it: joined they are the text again.

    Args:
        text: any text.
        language: code such as `en`; unknown ones are split by general rules.
    """
    from sentencex import segment

    return list(segment(language, text))
