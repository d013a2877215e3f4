"""The documentation builds strictly, asks no other host for anything, shows every field, and fits a telephone."""

import re
import subprocess
import sys
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml

import hicra_trl
import hicra_trl.evaluation
import hicra_trl.grams
import hicra_trl.rewards
import hicra_trl.training
from chromium import BINARY, Chromium
from conftest import REPOSITORY


LOOKED_AT = ("", "reading/", "reference/fields/")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def address(site):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_no_page_loads_from_another_host(site):
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = file.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\ssrc=[\"']?([^\"'\s>]+)", text)
        loaded += re.findall(
            r"<link\b(?![^>]*\brel=[\"']?(?:canonical|prev|next))[^>]*\shref=[\"']?([^\"'\s>]+)", text
        )
        loaded += re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", text) if file.suffix == ".css" else []
        assert not [place for place in loaded if re.match("(https?:)?//", place)], file


def test_lists_and_blocks_are_read_as_on_github(site):
    for file in site.rglob("index.html"):
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", file.read_text(), flags=re.DOTALL)
        for paragraph in re.findall(r"<p>(.*?)</p>", text, re.DOTALL):
            assert not re.search(r"\n\s*(\*|-|\d+\.) |```|\n\|", paragraph), f"{file}: {paragraph[:300]}"


def test_every_field_of_every_recipe_is_explained(site):
    page = unescape(re.sub("<[^>]+>", " ", (site / "reference/fields/index.html").read_text()))
    for recipe in REPOSITORY.glob("recipes/*/*.yaml"):
        for field in yaml.safe_load(recipe.read_text()):
            assert re.search(rf"\b{field}\b", page), f"{recipe}: {field}"


def test_every_public_name_is_explained(site):
    pages = "".join((site / f"reference/{name}/index.html").read_text() for name in ("python", "fields"))
    rooms = (hicra_trl, hicra_trl.grams, hicra_trl.rewards, hicra_trl.training, hicra_trl.evaluation)
    # The catalog is a table of the page of evaluation.
    for name in {name for room in rooms for name in room.__all__} - {"BENCHMARKS"}:
        assert re.search(rf'id="hicra_trl\.[\w.]*\.{name}"', pages), name


@pytest.mark.skipif(BINARY is None, reason="no Chromium")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_in_a_browser(address, tmp_path, width, dark):
    with Chromium(tmp_path, seconds=60) as browser:
        browser.look(width=width, dark=dark)
        for page in LOOKED_AT:
            browser.open(address + page)
            browser.until("document.readyState === 'complete' && !!document.querySelector('article h1')")
            assert browser.evaluate("document.body.dataset.mdColorScheme") == ("slate" if dark else "default")
            assert browser.evaluate("document.scrollingElement.scrollWidth") <= width, page
        assert not browser.errors
        assert all(url.startswith((address, "about:", "data:", "blob:")) for url in browser.requests)
