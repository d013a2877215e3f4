"""Lexicons on the Hub: what is pushed loads back, and a repository that is broken or hostile gets one line.

The Hub is a server on this machine. Its clients are processes, because the libraries read HF_ENDPOINT when imported;
each one is started once and then does a step per line.
"""

import io
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hicra_trl.grams import StrategicGrams
from hicra_trl.grams.storage import MAX_DATA_BYTES, MAX_FILE_BYTES, MAX_GRAMS
from loopback_hub import LoopbackHub


CLIENT = """
import json, resource, sys
import datasets
from hicra_trl.grams import StrategicGrams

def push(repo_id, phrases, provenance=None, statistics=None, **options):
    return StrategicGrams(phrases, provenance, statistics).push_to_hub(repo_id, **options)

def load(source):
    grams = StrategicGrams.load(source)
    return {
        "grams": list(grams),
        "fingerprint": grams.fingerprint,
        "statistics": grams.statistics,
        "provenance": grams.provenance,
    }

def resave(source, folder, frames=40):
    # A run saves its lexicon from deeper in the stack than it loads it.
    def deeper(left):
        return deeper(left - 1) if left else grams.save(folder)
    grams = StrategicGrams.load(source)
    deeper(frames)
    return StrategicGrams.load(folder) == grams

def load_dataset(repo_id):
    splits = datasets.load_dataset(repo_id)
    types = {name: feature.dtype for name, feature in splits["train"].features.items()}
    return {"splits": list(splits), "types": types, "rows": splits["train"].to_dict()}

def push_dataset(repo_id, columns):
    datasets.Dataset.from_dict(columns).push_to_hub(repo_id)

def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

replies, sys.stdout = sys.stdout, sys.stderr
datasets.disable_progress_bars()
at_start = peak_memory()
for line in sys.stdin:
    step, arguments = json.loads(line)
    try:
        reply = {"value": globals()[step](**arguments)}
    except (ValueError, OSError) as error:
        reply = {"error": [kind.__name__ for kind in type(error).__mro__], "message": str(error)}
    print(json.dumps(reply | {"memory": peak_memory() - at_start}), file=replies, flush=True)
"""

GRAMS = ["let's try", "but wait", "μια στιγμή"]
STATISTICS = {
    "document_frequency": [30, 20, 10],
    "term_frequency": [31, 21, 11],
    "cluster": [2, 0, 1],
    "cluster_document_frequency": [33, 22, 11],
    "rank": [1, 2, 3],
    "example": ["First, let's try x = 2.", "But wait, 2 + 2 = 4.", None],
}
PROVENANCE = {"corpus": "mine", "config": {"seed": 1}}


class Client:
    """
    A process with the environment of a user of the Hub.

    A step answers with its `value`, or with `error` and `message`; and with `memory`, the most bytes that any step so
    far has taken.
    """

    def __init__(self, environment):
        command = [sys.executable, "-c", CLIENT]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, **pipes)

    def __call__(self, step, **arguments):
        self.process.stdin.write(json.dumps([step, arguments]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()


@pytest.fixture(scope="session")
def hub():
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def client(hub, home):
    with Client(hub.environment(home)) as client:
        yield client


@pytest.fixture(scope="session")
def offline(hub, home):
    with Client(hub.environment(home) | {"HF_HUB_OFFLINE": "1"}) as client:
        yield client


@pytest.fixture(scope="session")
def stranger(hub, tmp_path_factory):
    """Has no token."""
    with Client(hub.environment(tmp_path_factory.mktemp("stranger")) | {"HF_TOKEN": ""}) as client:
        yield client


@pytest.fixture(scope="session")
def published(client):
    """The commit that `tester/lexicon` is at."""
    pushed = client("push", repo_id="tester/lexicon", phrases=GRAMS, provenance=PROVENANCE, statistics=STATISTICS)
    return pushed["value"]


def parquet(columns, **options):
    buffer = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), buffer, **options)
    return buffer.getvalue()


VALID = parquet({"gram": ["so", "but"]})


def check_one_line(reply, *parts):
    """An error that a person can read and a terminal can show, and that says `parts`."""
    assert {"ValueError", "FileNotFoundError"} & set(reply.get("error", ())), reply
    message = reply["message"]
    assert all(part in message for part in parts), message
    assert message.isprintable() and len(message) < 1000, message


def downloads(hub, since):
    """Names of the files whose content was asked for."""
    return {path.split("/", 6)[6] for method, path in hub.requests[since:] if method == "GET" and "/resolve/" in path}


@pytest.mark.parametrize("revision", ["", "@main", "@{}", "@{:.8}"])
def test_a_pushed_lexicon_loads_back_with_everything(revision, client, published):
    loaded = client("load", source="tester/lexicon" + revision.format(published))["value"]
    assert loaded["grams"] == GRAMS and loaded["statistics"] == STATISTICS
    assert loaded["fingerprint"] == StrategicGrams(GRAMS).fingerprint
    assert PROVENANCE.items() <= loaded["provenance"].items()
    assert loaded["provenance"]["loaded_from"] == {"repo_id": "tester/lexicon", "revision": published}


def test_a_push_is_one_commit_of_three_files_that_says_its_message_and_licence(hub, client):
    options = {"license": "mit", "commit_message": "Mined anew"}
    sha = client("push", repo_id="tester/card", phrases=GRAMS, **options)["value"]
    assert hub.commits("tester/card", "dataset")[1:] == [(sha, "Mined anew")]
    files = hub.files("tester/card", "dataset")
    assert files.keys() == {"README.md", "provenance.json", "strategic_grams.parquet"}
    card = files["README.md"].decode()
    assert "\nlicense: mit\n" in card and 'StrategicGrams.load("tester/card")' in card


def test_without_a_namespace_a_lexicon_goes_to_the_user(hub, client):
    assert client("push", repo_id="bare", phrases=GRAMS)["value"] == hub.commits("tester/bare", "dataset")[-1][0]
    assert 'StrategicGrams.load("tester/bare")' in hub.files("tester/bare", "dataset")["README.md"].decode()


def test_pushing_the_same_lexicon_again_changes_nothing(hub, client):
    first, second = (client("push", repo_id="tester/same", phrases=GRAMS)["value"] for _ in range(2))
    assert first == second and len(hub.commits("tester/same", "dataset")) == 2


def test_an_old_revision_still_loads_the_old_lexicon(client):
    old = client("push", repo_id="tester/grows", phrases=GRAMS[:2])["value"]
    new = client("push", repo_id="tester/grows", phrases=GRAMS)["value"]
    for revision, sha, grams in ((f"@{old}", old, GRAMS[:2]), (f"@{old[:7]}", old, GRAMS[:2]), ("", new, GRAMS)):
        loaded = client("load", source=f"tester/grows{revision}")["value"]
        assert loaded["grams"] == grams and loaded["provenance"]["loaded_from"]["revision"] == sha


def test_plain_datasets_reads_a_pushed_lexicon(client, published):
    loaded = client("load_dataset", repo_id="tester/lexicon")["value"]
    whole_numbers = dict.fromkeys(STATISTICS, "int64")
    assert loaded["types"] == {"gram": "string"} | whole_numbers | {"example": "string"}
    assert loaded["splits"] == ["train"] and loaded["rows"] == {"gram": GRAMS} | STATISTICS


def test_a_dataset_of_grams_loads_whoever_pushed_it(client):
    client("push_dataset", repo_id="tester/plain", columns={"gram": ["so", "but"], "rank": [1, 2], "mine": [0.5, 1.5]})
    loaded = client("load", source="tester/plain")["value"]
    assert loaded["grams"] == ["so", "but"] and loaded["statistics"] == {"rank": [1, 2]}


@pytest.mark.parametrize("revision", ["", "@main", "@{}"], ids=["name", "branch", "hash"])
def test_what_was_loaded_once_loads_again_offline(revision, request, hub, client, offline):
    repo_id = f"tester/offline-by-{request.node.callspec.id}"
    sha = client("push", repo_id=repo_id, phrases=GRAMS, provenance=PROVENANCE, statistics=STATISTICS)["value"]
    source = repo_id + revision.format(sha)
    online, asked = client("load", source=source)["value"], len(hub.requests)
    assert offline("load", source=source).get("value") == online
    assert len(hub.requests) == asked


def test_what_was_never_loaded_gets_one_line_offline(hub, offline):
    hub.put("tester/unseen", "dataset", {"strategic_grams.parquet": VALID})
    check_one_line(offline("load", source="tester/unseen"), "tester/unseen", "HF_HUB_OFFLINE")
    check_one_line(offline("push", repo_id="tester/unseen", phrases=GRAMS), "tester/unseen", "HF_HUB_OFFLINE")


def test_a_private_lexicon_is_for_those_with_a_token(hub, client, stranger):
    client("push", repo_id="tester/private", phrases=GRAMS, private=True)
    assert hub.repositories["dataset", "tester/private"].private
    assert client("load", source="tester/private")["value"]["grams"] == GRAMS
    check_one_line(stranger("load", source="tester/private"), "tester/private", "no dataset on the Hub that you may")


def test_a_public_lexicon_is_for_everybody(hub, stranger, published):
    assert not hub.repositories["dataset", "tester/lexicon"].private
    assert stranger("load", source="tester/lexicon")["value"]["grams"] == GRAMS


def test_what_is_not_there_gets_one_line(hub, client, published):
    hub.put("tester/text", "dataset", {"README.md": b"# Nothing", "grams.txt": b"so\n"})
    hub.put("tester/two", "dataset", {"a.parquet": VALID, "b.parquet": VALID})
    for source, *parts in (
        ("tester/none", "tester/none", "no dataset on the Hub"),
        ("nobody/lexicon@main", "nobody/lexicon@main", "no dataset on the Hub"),
        ("tester/lexicon@v9", "tester/lexicon@v9", "evision"),
        ("tester/lexicon@" + "0" * 40, "evision"),
        ("tester/lexicon@../../../main", "tester/lexicon@../../../main", "evision"),
        ("tester/..", "tester/.."),
        ("tester/text", "tester/text", "expected strategic_grams.parquet, got no parquet file"),
        ("tester/two", "tester/two", "expected strategic_grams.parquet, got 2 parquet files"),
    ):
        check_one_line(client("load", source=source), *parts)


TWICE = pa.Table.from_arrays([pa.array(["so"]), pa.array(["but"])], names=["gram", "gram"])
NO_UTF8 = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
TABLES = {
    "another column": ({"phrase": ["so"]}, "expected a column 'gram', got phrase"),
    "two columns of one name": (TWICE, "gram"),
    "a column's name of two lines": ({"phr\nase\x1b[31m": ["so"]}, "expected a column 'gram'"),
    "many columns": ({f"column_{i}": ["so"] for i in range(1000)}, "expected a column 'gram'"),
    "a type of two lines": ({"gram": [{"a\nb\x1b[31m": 1}]}, "expected text in column 'gram'"),
    "numbers for grams": ({"gram": [1, 2]}, "expected text in column 'gram', got int64"),
    "bytes for grams": ({"gram": [b"so"]}, "expected text in column 'gram', got binary"),
    "lists for grams": ({"gram": [["so"]]}, "expected text in column 'gram', got list"),
    "shares for frequencies": (
        {"gram": ["so"], "document_frequency": [0.5]},
        "expected whole numbers in column 'document_frequency', got double",
    ),
    "text for ranks": ({"gram": ["so"], "rank": ["first"]}, "expected whole numbers in column 'rank', got string"),
    "numbers for examples": ({"gram": ["so"], "example": [1]}, "expected text in column 'example', got int64"),
    "a null gram": ({"gram": ["so", None]}, "expected text in every row of column 'gram', got 1 empty"),
    "a null rank": (
        {"gram": ["so", "but"], "rank": [1, None]},
        "expected a number in every row of column 'rank', got 1 empty",
    ),
    "no UTF-8": ({"gram": NO_UTF8}, ""),
    "no UTF-8 in an example": ({"gram": ["so"], "example": NO_UTF8}, ""),
    "no grams": ({"gram": pa.array([], pa.string())}, "at least one strategic gram"),
    "an empty gram": ({"gram": ["so", " "]}, "strategic gram 1 is empty"),
    "a long gram": ({"gram": ["x" * 201]}, "strategic gram 0 has 201 characters"),
    "a terminal's commands": ({"gram": ["so\x1b[31m"]}, "strategic gram 0 holds a control character"),
    "a terminal's commands of one character": ({"gram": ["so\x9b31m"]}, "strategic gram 0 holds a control character"),
    "too many grams": (
        {"gram": [str(i) for i in range(MAX_GRAMS + 1)]},
        f"may have {MAX_GRAMS:,} grams, got {MAX_GRAMS + 1:,}",
    ),
}


@pytest.mark.parametrize(("table", "message"), TABLES.values(), ids=TABLES)
def test_a_wrong_table_gets_one_line_that_names_it(table, message, hub, client):
    sha = hub.put("mallory/table", "dataset", {"strategic_grams.parquet": parquet(table)})
    check_one_line(client("load", source="mallory/table"), f"mallory/table@{sha[:8]}/strategic_grams.parquet", message)


def test_a_broken_file_gets_one_line_that_names_it(hub, client):
    long = parquet({"gram": ["so", "but", "wait"] * 100}, compression="none")
    for broken in (b"", b"PAR1 no parquet PAR1", long[:-10], long[10:], long[:10] + b"\xff" * 20 + long[30:]):
        sha = hub.put("mallory/broken", "dataset", {"data/train.parquet": broken})
        check_one_line(client("load", source="mallory/broken"), f"mallory/broken@{sha[:8]}/data/train.parquet")


def test_a_files_name_of_two_lines_gets_one_line(hub, client):
    hub.put("mallory/name", "dataset", {"a\nb\x1b[31m.parquet": parquet({"phrase": ["so"]})})
    check_one_line(client("load", source="mallory/name"), "mallory/name", "expected a column 'gram'")


@pytest.fixture(scope="session")
def huge():
    """Text of more than a lexicon's data may have, in a file of some kilobytes."""
    rows = MAX_DATA_BYTES // 1_000_000 + 1
    columns = {"gram": [str(i) for i in range(rows)], "example": ["x" * 1_000_000] * rows}
    return parquet(columns, use_dictionary=False, compression="zstd", compression_level=1, write_statistics=False)


def varint(number, size=0):
    """A number as the metadata of a parquet file has it, in `size` bytes or as few as it needs."""
    size = size or (2 * number).bit_length() // 7 + 1
    return bytes(2 * number >> 7 * i & 127 | 128 * (i < size - 1) for i in range(size))


def understate(file):
    """`file` with metadata that says that its row groups and columns have next to no bytes."""
    metadata = pq.ParquetFile(io.BytesIO(file)).metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    for size in {group.total_byte_size for group in groups} | {column.total_uncompressed_size for column in columns}:
        assert file.count(varint(size)) == 1
        file = file.replace(varint(size), varint(1000, len(varint(size))))
    return file


@pytest.mark.parametrize("metadata", ["honest", "false"])
def test_a_file_that_unpacks_to_more_than_a_lexicon_is_refused(metadata, huge, hub, client):
    file = huge if metadata == "honest" else understate(huge)
    assert len(file) < MAX_FILE_BYTES / 100
    sha = hub.put("mallory/bomb", "dataset", {"strategic_grams.parquet": file})
    check_one_line(client("load", source="mallory/bomb"), f"mallory/bomb@{sha[:8]}/strategic_grams.parquet")


@pytest.mark.parametrize("column", ["gram", "example"])
def test_one_long_text_in_every_row_is_refused_before_it_fills_the_memory(column, hub, client):
    # A file holds a repeated text once, and its metadata counts it once.
    rows = 20_000
    text = "x" * (4 * MAX_DATA_BYTES // rows)
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    columns = {"gram": [str(i) for i in range(rows)], column: repeated}
    file = parquet(columns, store_schema=False, compression="zstd")
    assert len(file) < MAX_FILE_BYTES / 100
    sha = hub.put("mallory/repeats", "dataset", {"strategic_grams.parquet": file})
    reply = client("load", source="mallory/repeats")
    check_one_line(reply, f"mallory/repeats@{sha[:8]}/strategic_grams.parquet")
    assert reply["memory"] < 3 * MAX_DATA_BYTES


@pytest.mark.parametrize("name", ["strategic_grams.parquet", "data/train.parquet", "provenance.json"])
def test_a_large_file_is_refused_before_it_is_downloaded(name, hub, client):
    large = name.encode() + bytes(MAX_FILE_BYTES)  # its own, for what has been downloaded is not downloaded again
    beside = {"strategic_grams.parquet": VALID} if name == "provenance.json" else {}
    sha = hub.put("mallory/large", "dataset", {**beside, name: large})
    before = len(hub.requests)
    check_one_line(client("load", source="mallory/large"), f"mallory/large@{sha[:8]}/{name}", f"{len(large):,}")
    assert name not in downloads(hub, before)


def test_many_files_are_refused_before_they_are_downloaded(hub, client):
    hub.put("mallory/many", "dataset", {f"data/{i}.parquet": parquet({"gram": [f"so {i}"]}) for i in range(20)})
    before = len(hub.requests)
    check_one_line(client("load", source="mallory/many"), "mallory/many", "got 20 parquet files")
    assert downloads(hub, before) == set()


NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
PROVENANCES = {
    "a list": (b"[1]", "expected a JSON object, got list"),
    "a text": (b'"mine"', "expected a JSON object, got str"),
    "nothing": (b"", "expected a JSON object"),
    "no JSON": (b"{'a': 1}", "expected a JSON object"),
    "no UTF-8": (b'{"a": "\xff"}', "expected a JSON object"),
    "nested": (NESTED, "expected a JSON object"),
    "a long number": (b'{"a": ' + b"9" * 5000 + b"}", "expected a JSON object"),
    "two megabytes": (json.dumps({"a": "x" * (2 << 20)}).encode(), f"got {(2 << 20) + 9:,}"),
}


@pytest.mark.parametrize(("content", "message"), PROVENANCES.values(), ids=PROVENANCES)
def test_a_wrong_provenance_gets_one_line_that_names_it(content, message, hub, client):
    files = {"strategic_grams.parquet": VALID, "provenance.json": content}
    sha = hub.put("mallory/provenance", "dataset", files)
    check_one_line(
        client("load", source="mallory/provenance"), f"mallory/provenance@{sha[:8]}/provenance.json", message
    )


def test_a_provenance_cannot_say_where_it_was_loaded_from(hub, client):
    forged = {"loaded_from": {"repo_id": "tester/lexicon"}, "fingerprint": "0" * 16}
    files = {"strategic_grams.parquet": VALID, "provenance.json": json.dumps(forged).encode()}
    sha = hub.put("mallory/forged", "dataset", files)
    loaded = client("load", source="mallory/forged")["value"]
    assert loaded["provenance"]["loaded_from"] == {"repo_id": "mallory/forged", "revision": sha}
    assert loaded["fingerprint"] == StrategicGrams(["so", "but"]).fingerprint


ODD = {
    "half a character": {"provenance.json": b'{"a": "\\ud800"}'},
    "half a character in a name": {"provenance.json": b'{"\\ud800": 1}'},
    "no number": {"provenance.json": b'{"a": [NaN, -Infinity]}'},
    "a terminal's commands": {"provenance.json": b'{"a": "\\u0000\\u001b[31m"}'},
    "nested as deep as JSON is read": {"provenance.json": b'{"a":' * 970 + b"1" + b"}" * 970},
    "a rank of 64 bits": {
        "strategic_grams.parquet": parquet({"gram": ["so"], "rank": pa.array([2**64 - 1], pa.uint64())})
    },
}


@pytest.mark.parametrize("files", ODD.values(), ids=ODD)
def test_what_loads_can_be_saved(files, hub, client, tmp_path):
    """Otherwise a run that trains with the lexicon would be lost at its first checkpoint."""
    sha = hub.put("mallory/odd", "dataset", {"strategic_grams.parquet": VALID, **files})
    reply = client("resave", source="mallory/odd", folder=str(tmp_path))
    if "error" in reply:
        check_one_line(reply, f"mallory/odd@{sha[:8]}/{next(iter(files))}")
    else:
        assert reply["value"]


def test_control_characters_of_examples_become_spaces(hub, client):
    table = {"gram": ["so", "but"], "example": ["a\x1b[31m\x07\x9b\r\nb\x00", None]}
    hub.put("mallory/example", "dataset", {"strategic_grams.parquet": parquet(table)})
    loaded = client("load", source="mallory/example")["value"]
    assert loaded["statistics"] == {"example": ["a [31m b ", None]}


def test_nothing_but_the_lexicon_is_downloaded_or_executed(hub, client, tmp_path):
    script = f"open({str(tmp_path / 'executed')!r}, 'w')".encode()
    scripts = dict.fromkeys(("loading_script.py", "script.py", "__init__.py", "conftest.py"), script)
    others = {"README.md": b"---\nconfigs: 1\n---", "weights.bin": b"1", "dataset_infos.json": b"{}", "a.pkl": b"1"}
    lexicon = {"strategic_grams.parquet": VALID, "provenance.json": b"{}"}
    hub.put("mallory/script", "dataset", {**scripts, **others, **lexicon})
    before = len(hub.requests)
    assert client("load", source="mallory/script")["value"]["grams"] == ["so", "but"]
    assert downloads(hub, before) == lexicon.keys() and not (tmp_path / "executed").exists()


def test_paths_that_lead_out_of_the_cache_write_nothing(hub, client, home):
    """A real Hub has no such paths: a false one may."""
    for path in ("../../../../../outside.parquet", "/outside.parquet", "a/../../../../../../outside.parquet"):
        hub.put("mallory/path", "dataset", {"strategic_grams.parquet": VALID, path: VALID})
        reply = client("load", source="mallory/path")
        if "error" in reply:
            check_one_line(reply, "outside.parquet")
    cache = home / "hub" / "datasets--mallory--path"
    outside = [file for file in home.parent.rglob("outside.parquet") if cache not in file.parents]
    assert cache.is_dir() and not outside


@pytest.fixture
def failing(hub):
    """A Hub that fails while it is uploaded to."""
    hub.fail_uploads = True
    yield hub
    hub.fail_uploads = False


def test_a_push_whose_upload_is_interrupted_leaves_nothing_and_can_be_repeated(failing, client):
    lexicon = {"repo_id": "tester/retry", "phrases": ["never uploaded before"]}
    check_one_line(client("push", **lexicon), "cannot push strategic grams to 'tester/retry'")
    assert failing.files("tester/retry", "dataset") == {}
    failing.fail_uploads = False
    sha = client("push", **lexicon)["value"]
    loaded = client("load", source="tester/retry")["value"]
    assert loaded["grams"] == lexicon["phrases"] and loaded["provenance"]["loaded_from"]["revision"] == sha


def test_a_push_whose_commit_fails_leaves_what_was_published(failing, client):
    failing.fail_uploads = False
    first = client("push", repo_id="tester/stays", phrases=GRAMS[:2])["value"]
    client("push", repo_id="tester/known", phrases=GRAMS[1:])  # what the Hub has, is not uploaded again
    failing.fail_uploads = True
    check_one_line(
        client("push", repo_id="tester/stays", phrases=GRAMS[1:]),
        "cannot push strategic grams to 'tester/stays': Server error '503",
    )
    loaded = client("load", source="tester/stays")["value"]
    assert loaded["grams"] == GRAMS[:2] and loaded["provenance"]["loaded_from"]["revision"] == first


def test_a_refused_push_says_why(hub, client, stranger):
    refused = "cannot push strategic grams to "
    for pushes, repo_id, reason in (
        (client, "other/lexicon", f"{refused}'other/lexicon': 403 Forbidden: tester may not write to 'other/lexicon'"),
        (stranger, "tester/refused", f"{refused}'tester/refused': Client error '401 Unauthorized'"),
        (client, "a b/c", "Repo id must use alphanumeric chars"),
        (client, "a/b/c", "Repo id must be in the form 'repo_name' or 'namespace/repo_name'"),
    ):
        check_one_line(pushes("push", repo_id=repo_id, phrases=GRAMS), repo_id, reason)
        assert ("dataset", repo_id) not in hub.repositories
