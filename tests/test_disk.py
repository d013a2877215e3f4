import hashlib

import pytest

from hicra_trl.disk import (
    check_own,
    fingerprint,
    from_pretrained,
    is_unchanged,
    lock,
    read_mapping,
    save_whole,
    write_whole,
)


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    def write(part):
        part.write_bytes(b"half")
        raise RuntimeError("the disk is full")

    file = tmp_path / "folder" / "kept.npy"
    with pytest.raises(RuntimeError, match="the disk is full"):
        save_whole(file, write)
    assert not file.exists()
    save_whole(file, lambda part: part.write_bytes(b"whole"))
    with pytest.raises(RuntimeError, match="the disk is full"):
        save_whole(file, write)
    assert file.read_bytes() == b"whole" and list(file.parent.iterdir()) == [file]


def test_a_text_is_written_with_the_folders_above_it_and_nothing_beside_it(tmp_path):
    for text in ("μια στιγμή\n", "wait\n"):
        write_whole(tmp_path / "a" / "b" / "said.txt", text)
        assert (tmp_path / "a" / "b" / "said.txt").read_text(encoding="utf-8") == text
    assert len(list((tmp_path / "a" / "b").iterdir())) == 1


@pytest.fixture
def model(tmp_path):
    for name, content in {"config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "[]"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "README.md").write_text("Says nothing of the model.")
    return tmp_path


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_a_fingerprint_changes_with_what_makes_a_model(model, name):
    before = fingerprint(model)
    (model / "README.md").write_text("Says more.")
    assert fingerprint(model) == before and is_unchanged(model, before)
    (model / name).write_text("changed")
    assert fingerprint(model) != before and not is_unchanged(model, before)


def test_a_fingerprint_of_an_older_manifest_is_recognised(model):
    recorded = hashlib.sha256(b"{}" + b"model.safetensors 7\n").hexdigest()[:16]
    assert is_unchanged(model, recorded)
    (model / "model.safetensors").write_text("more weights")
    assert not is_unchanged(model, recorded)


def test_only_what_has_the_mark_is_ones_own(tmp_path):
    check_own(tmp_path / "new.html", "by us")
    (tmp_path / "ours.html").write_text("first line\n<!-- made by us -->\n")
    check_own(tmp_path / "ours.html", "by us")
    (tmp_path / "theirs.html").write_text("<p>But wait</p>")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("theirs.html", "folder", "link"):
        with pytest.raises(ValueError, match=f"{name} is there already, and not from this command"):
            check_own(tmp_path / name, "by us")


def test_a_lock_is_taken_once(tmp_path):
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        lock(first, "mining")
        with pytest.raises(ValueError, match="lock is in use: another mining writes there"):
            lock(second, "mining")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "cannot read .*a.json: Expecting"),
        ("a.json", "[" * 100_000, "cannot read .*a.json: "),
        ("a.yaml", "a: [1", "cannot read .*a.yaml: while parsing"),
        ("a.json", "[]", "a.json: expected an object, got list"),
        ("a.yaml", "step: 4\n", "a.yaml: expected 'name' as hicra writes it, got none"),
        ("a.json", '{"name": 5}', "a.json: expected 'name' as hicra writes it, got 5"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_mapping(tmp_path / name, name=str)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_no_broken_one():
    class Missing:
        @staticmethod
        def from_pretrained(name):
            raise OSError(f"no {name}")

    with pytest.raises(OSError, match=r"^no model$"):
        from_pretrained(Missing, "model")


def test_a_fingerprint_reads_a_megabyte_of_the_end(tmp_path):
    prints = set()
    for start in (b"ab", b"bb", b"ba"):  # the first two are alike there
        (tmp_path / "model.safetensors").write_bytes(start + b"a" * ((1 << 20) - 1))
        prints.add(fingerprint(tmp_path))
    assert len(prints) == 2
