"""One browser for the tests of a file."""

import pytest

from chromium import BINARY, Chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if BINARY is None:
        pytest.skip("no Chromium")
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium
