"""A reward that depends on nothing but the text, for models that answer nothing right."""


def vowel_share(completions, **kwargs):
    texts = [text if isinstance(text, str) else text[0]["content"] for text in completions]
    return [sum(char in "aeiou" for char in text) / (1 + len(text)) for text in texts]
