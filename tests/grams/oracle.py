"""What PlanningTokenLabeler must return, stated a second time: one regular expression per gram, slow and plain.

The row becomes one string in which each character knows the tokens that its bytes come from. A special token, an id
that no token has, a masked token are each a lone surrogate in it: neither \\w nor \\s, and no bytes decode to it.
"""

import functools
import itertools
import re

from transformers.convert_slow_tokenizer import bytes_to_unicode


SEPARATOR = "\ud800"


def piece_bytes(tokenizer, byte_level):
    """{id: the token's bytes} of every token but the special ones."""
    byte_of = {char: byte for byte, char in bytes_to_unicode().items()}
    added = tokenizer.added_tokens_decoder
    table = {}
    for piece, i in tokenizer.get_vocab().items():
        hexadecimal = re.fullmatch("<0x([0-9A-F]{2})>", piece)
        if i in added and (added[i].special or byte_level):
            if not added[i].special:
                table[i] = piece.encode()
        elif byte_level:
            table[i] = bytes(byte_of[char] for char in piece)
        elif hexadecimal:
            table[i] = bytes([int(hexadecimal[1], 16)])
        else:
            table[i] = piece.replace("▁", " ").encode()
    return table


def to_bytes(text):
    return text.encode("utf-8", "surrogateescape")


@functools.cache
def folded(char):
    if char == "\u2019":
        return "'"
    lower = char.lower()
    return lower if len(lower.encode("utf-8", "surrogatepass")) == len(char.encode("utf-8", "surrogatepass")) else char


def fold(text):
    return "".join(map(folded, text))


def in_a_word(char):
    """Chinese characters, hiragana and katakana are words of their own."""
    blocks = (
        (0x3005, 0x3006),
        (0x3040, 0x30FF),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x3FFFF),
    )
    return re.match(r"\w", char) and not any(first <= ord(char) <= last for first, last in blocks)


@functools.cache
def pattern(gram):
    words = r"\s+".join(re.escape(fold(word)) for word in gram.split())
    before = r"(?<!\w)" if in_a_word(gram[0]) else ""
    after = r"(?!\w)" if in_a_word(gram[-1]) else ""
    return re.compile(rf"(?<!\\){before}{words}{after}")


@functools.cache
def every_match(text, grams):
    """All (start, end, gram) in the characters of `text`, overlapping ones too: one match for each start and gram."""
    text, found = fold(text), []
    for gram in grams:
        if all(fold(word) in text for word in gram.split()):
            compiled, match = pattern(gram), None
            while match := compiled.search(text, match.start() + 1 if match else 0):
                found.append((*match.span(), gram))
    return found


class Oracle:
    def __init__(self, tokenizer, byte_level, grams):
        self.bytes_of, self.grams = piece_bytes(tokenizer, byte_level), tuple(grams)

    def read(self, ids, mask=None):
        """The row's text, and for each of its characters the tokens that it comes from."""
        mask = [1] * len(ids) if mask is None else mask
        text, owners = [], []
        for readable, places in itertools.groupby(
            range(len(ids)), lambda t: bool(mask[t]) and ids[t] in self.bytes_of
        ):
            places = list(places)
            if not readable:
                text += SEPARATOR * len(places)
                owners += [[t] for t in places]
                continue
            owner_of_byte = [t for t in places for _ in self.bytes_of[ids[t]]]
            segment = b"".join(self.bytes_of[ids[t]] for t in places).decode("utf-8", "surrogateescape")
            sizes = [len(to_bytes(char)) for char in segment]
            ends = list(itertools.accumulate(sizes))
            owners += [owner_of_byte[end - size : end] for size, end in zip(sizes, ends)]
            text += segment
        return "".join(text), owners

    def mask(self, ids, mask=None):
        text, owners = self.read(ids, mask)
        planning = [False] * len(ids)
        for start, end, _ in every_match(text, self.grams):
            for owner in owners[start:end]:
                for t in owner:
                    planning[t] = True
        return planning

    def occurrences(self, ids, mask=None):
        text, owners = self.read(ids, mask)
        chosen, free = [], 0
        for start, end, gram in sorted(every_match(text, self.grams), key=lambda match: (match[0], -match[1])):
            if start >= free:
                chosen.append((gram, owners[start][0], owners[end - 1][-1] + 1))
                free = end
        return chosen
