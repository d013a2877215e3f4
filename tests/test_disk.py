import hashlib

import pytest

from hicra_trl.disk import fingerprint, is_unchanged, save_whole, write_whole


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
    assert file.read_bytes() == b"whole"


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
