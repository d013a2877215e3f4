"""Every command loads the tokenizer that the labeler reads, and refuses one whose class does not fit its file."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from hicra_trl.cli import eval as eval_command
from hicra_trl.cli import main, train
from hicra_trl.evaluation.engines.prompts import Renderer
from hicra_trl.evaluation.settings import EvalArguments
from hicra_trl.grams import PlanningTokenLabeler
from training.tiny_run import train_here, write_recipe
from vision import save_vlm


@pytest.fixture
def asked(monkeypatch):
    """Whether each tokenizer that is loaded, alone or in a processor, may be of Mistral's own class."""
    asked, load = [], AutoTokenizer.from_pretrained

    def recorded(*args, **kwargs):
        asked.append(kwargs.get("mistral_format"))
        return load(*args, **kwargs)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", recorded)
    return asked


@pytest.mark.parametrize("images", [False, True])
def test_an_evaluation_never_takes_mistrals_own_class(images, asked, model_folder, tokenizer, tmp_path):
    folder = save_vlm(tmp_path / "vlm", tokenizer) if images else model_folder
    Renderer(EvalArguments(model=str(folder), benchmarks=["mine"], prompt_format="text"), images)
    assert asked == [False]


def test_a_run_and_its_export_never_take_mistrals_own_class(asked, model_folder, lexicon_file, tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path, model_folder, lexicon_file, max_steps=2, save_steps=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "launch", lambda job: 0)
    monkeypatch.syspath_prepend(Path(__file__).parent / "training")
    assert main.main(["train", "--config", str(recipe)]) == 0
    assert asked == [False]  # of the checks
    train_here(monkeypatch, tmp_path, "--config", recipe)
    assert main.main(["export", "run", "--output_dir", "exported"]) == 0
    assert asked == [False] * 3


@pytest.fixture
def misread(model_folder, tmp_path):
    """A model with a byte-level vocabulary that Transformers gives the decoder of Llama 2."""
    folder = shutil.copytree(model_folder, tmp_path / "misread")
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": "LlamaTokenizerFast"}))
    return folder


@pytest.mark.parametrize("command", ["labeler", "train", "eval"])
def test_a_class_that_does_not_fit_its_file_is_refused(
    command, misread, grams, lexicon_file, tmp_path, monkeypatch, capsys
):
    recipe = write_recipe(tmp_path, misread, lexicon_file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "launch", lambda job: pytest.fail("launched"))
    monkeypatch.syspath_prepend(Path(__file__).parent / "training")
    if command == "labeler":
        with pytest.raises(ValueError) as refused:
            PlanningTokenLabeler(AutoTokenizer.from_pretrained(misread), grams)
        said = str(refused.value)
    else:
        given = ["--model", str(misread), "--benchmarks", "sums", "--override", "sums.dataset=problems.jsonl"]
        given += ["--prompt_format", "text", "--max_tokens", "4", "--strategic_grams", str(lexicon_file)]
        given += ["--output_dir", "evaluated"]
        with pytest.raises(SystemExit) as exit:
            _ = train.run(["--config", str(recipe)]) if command == "train" else eval_command.run(given)
        [said] = capsys.readouterr().err.strip().splitlines()[-1:]
        assert exit.value.code == 2 and said.startswith(f"hicra {command}: ")
        assert not (tmp_path / "run").exists() and not (tmp_path / "evaluated").exists()
    assert "does not give back the text that was put in: got" in said and "class LlamaTokenizer" in said
    assert "load it with PreTrainedTokenizerFast" in said
