"""What PlanningTokenLabeler must return, stated a second time: decomposed letters, a search per gram, slow and plain.

The row becomes one string in which each character knows the tokens that its bytes come from. A special token, an id
that no token has, a masked token are each a lone surrogate in it: neither \\w nor \\s, and no bytes decode to it.
"""

import functools
import itertools
import re
import unicodedata

import regex
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


APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u2018\u201b\u02bc\u02b9\u2032\u00b4\uff07`"), "'")
INVISIBLE = r"(?!\p{L})\p{Default_Ignorable_Code_Point}"
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々〆〇]"
MARK = r"[\p{M}\u0e30\u0e32\u0e33\u0e45\u0eb0\u0eb2\u0eb3]"
WORD = rf"(?!{UNSPACED}|\p{{M}})[\p{{L}}\p{{N}}]"


def fold(text):
    """Lower case, decomposed, apostrophes straight, without what nobody sees."""
    text = regex.sub(INVISIBLE, "", text)
    lower = "".join("σ" if char == "ς" else char.lower() for char in text)
    return unicodedata.normalize("NFD", lower).translate(APOSTROPHES)


def folded(text):
    """`text` folded, and the span of characters of `text` that each of its characters comes from: letter by letter."""
    out, spans = "", []
    for match in regex.finditer(rf"(?s).(?:\p{{M}}|{INVISIBLE})*+", text):
        visible = [at for at in range(*match.span()) if not regex.match(INVISIBLE, text[at])]
        part = fold(match[0])
        out += part
        spans += [(visible[0], visible[-1] + 1)] * len(part) if visible else []
    return out, spans


def is_inside(text, start, end, gram):
    """Whether text[start:end] is only a part of something."""
    left, right = text[:start], text[end:]
    if left.endswith("\\") or regex.search(r"[เแโใไເແໂໃໄ]\Z", left) or regex.match(MARK, right):
        return True
    if regex.match(rf"{WORD}|_|{MARK}", gram):
        base = regex.sub(rf"{MARK}+\Z", "", left.rstrip("_"))
        if regex.search(rf"{WORD}\Z", base):
            return True
    last = regex.sub(rf"{MARK}+\Z", "", gram)
    if regex.search(rf"(?:{WORD}|_)\Z", last) and regex.match(WORD, right.lstrip("_")):
        return True
    return bool(regex.search(r"[\u0e00-\u0e7f]\Z", gram) and regex.match(r"[ก-ฮ](?:[^ก-ฺๅ-๋ํ๎]|\Z)", right))


@functools.cache
def pattern(gram):
    return re.compile(r"\s+".join(re.escape(word) for word in fold(gram).split()))


@functools.cache
def every_match(text, grams):
    """All (start, end, gram) in the characters of `text`, overlapping ones too: one match for each start and gram."""
    (text, spans), found = folded(text), []
    for gram in grams:
        if all(word in text for word in fold(gram).split()):
            compiled, match = pattern(gram), None
            while match := compiled.search(text, match.start() + 1 if match else 0):
                if not is_inside(text, *match.span(), fold(gram)):
                    found.append((spans[match.start()][0], spans[match.end() - 1][1], gram))
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
