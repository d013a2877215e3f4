"""Images of a problem: kept encoded until they are needed, and put where the text mentions them."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from PIL import Image, ImageOps


IMAGE_MARK = "<image>"
_MENTION = re.compile(r"<image(?:[ _]?(\d+))?>")


@dataclass(frozen=True)
class EncodedImage:
    """
    An image that is not decoded yet.

    Args:
        path (`Path`, *optional*):
            Its file.
        data (`bytes`, *optional*):
            The content of its file, where there is no `path`.
    """

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.data is None):
            raise ValueError("an image is either a path or the content of a file")

    def open(self) -> Image.Image:
        """The upright RGB image, transparent parts white; raises `ValueError` if it cannot be read."""
        try:
            with Image.open(self.path or io.BytesIO(self.data or b"")) as stored:
                image = ImageOps.exif_transpose(stored)
                if image.has_transparency_data:
                    # Conversion alone would make them black, and black lines on them would be gone.
                    image = image.convert("RGBA")
                    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
                return image.convert("RGB")
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            name = self.path or f"an image of {len(self.data or b'')} bytes"
            raise ValueError(f"cannot read {name}: {error}") from error


def place_images(text: str, images: Sequence[EncodedImage | None]) -> tuple[str, tuple[EncodedImage, ...]]:
    """
    Replaces the mentions of images (`<image>`, `<image1>`, `<image_1>`, `<image 1>`) by the mark `<image>`.

    A text that mentions none gets all images in front. A mention with a higher number than there are places stays as
    it is: some datasets number the parts of their only picture.

    Args:
        text (`str`):
            The problem.
        images (`Sequence[EncodedImage | None]`):
            What the numbers stand for: the first image is 1. `None` is a place without an image.

    Returns:
        `tuple[str, tuple[EncodedImage, ...]]`: the text, and one image for each of its marks.

    Raises:
        `ValueError`: if the text mentions an image that is not there.

    Example:

    ```python
    >>> place_images("Is <image_2> a cube?", [None, EncodedImage(Path("b.png"))])
    ('Is <image> a cube?', (EncodedImage(path=PosixPath('b.png')),))
    >>> place_images("What is x?", [EncodedImage(Path("a.png"))])
    ('<image>What is x?', (EncodedImage(path=PosixPath('a.png')),))
    ```
    """
    if not images:
        return text, ()
    placed: list[EncodedImage] = []
    following = count(1)

    def put(mention: re.Match[str]) -> str:
        number = int(mention[1]) if mention[1] else next(following)
        if mention[1] and not 1 <= number <= len(images):
            return mention[0]
        image = images[number - 1] if number <= len(images) else None
        if image is None:
            raise ValueError(f"the problem mentions {mention[0]} (number {number}), which is not there")
        placed.append(image)
        return IMAGE_MARK

    marked = _MENTION.sub(put, text)
    if not placed:
        placed = [image for image in images if image is not None]
        marked = IMAGE_MARK * len(placed) + marked
    return marked, tuple(placed)


def split_at_images(text: str, images: Sequence[EncodedImage]) -> Iterator[str | EncodedImage]:
    """What [`place_images`] returned, as texts and images in their order; no text is empty."""
    texts = text.split(IMAGE_MARK, len(images)) if images else [text]
    for number, part in enumerate(texts):
        if number:
            yield images[number - 1]
        if part:
            yield part
