"""What the marks name is there."""

from conftest import MARKS, TESTS


def test_every_marked_place_exists():
    for place in " ".join(MARKS.values()).split():
        file, _, test = place.partition("::")
        assert (TESTS / file).exists(), place
        assert not test or f"def {test}" in (TESTS / file).read_text(), place
