"""Engines draw what they are asked for, the same whenever they are asked, and hand it over as it comes."""

import base64
import copy
import io
import json
import shutil

import pytest
import torch
from PIL import Image
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from hicra_trl.evaluation.engines import server_engine
from hicra_trl.evaluation.engines.engine import Request, stable_seed, token_limit
from hicra_trl.evaluation.engines.server_engine import ATTEMPTS, ServerEngine
from hicra_trl.evaluation.engines.transformers_engine import TransformersEngine
from hicra_trl.evaluation.judging import Marker
from hicra_trl.evaluation.problems.images import EncodedImage
from hicra_trl.evaluation.problems.items import Item
from hicra_trl.evaluation.settings import EvalArguments
from hicra_trl.grams import PlanningTokenLabeler
from hicra_trl.rewards import Gold, Grader
from model_server import completion_of, model_server


TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]{{ enable_thinking }}"
ITEMS = [Item(str(number), "So what? " * (1 + number % 3) + str(number), Gold("7")) for number in range(5)]


@pytest.fixture(scope="module")
def folder(base_model, tokenizer, tmp_path_factory):
    """The tiny model, as far-reaching as its tests need: it often stops by itself, and has a chat template."""
    folder = tmp_path_factory.mktemp("sampled")
    model = copy.deepcopy(base_model)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 3
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def settings(folder, **changed):
    given = {"temperature": 1.0, "max_tokens": 24, "batch_size": 4, "prompt_format": "text", "instruction": ""}
    return EvalArguments(**{"model": str(folder), "benchmarks": ["mine"], **given, **changed})


def requests_of(engine, items=ITEMS, num_samples=2):
    prompts = [engine.prompt(item) for item in items]
    return [Request(prompt, index) for prompt in prompts for index in range(num_samples)]


def draw(folder, done=(), items=ITEMS, num_samples=2, **changed):
    engine = TransformersEngine(settings(folder, **changed), images=False)
    batches = list(engine.sample("mine", requests_of(engine, items, num_samples), set(done)))
    return [completion for batch in batches for completion in batch]


def by_key(completions):
    return {completion.request.key: list(completion.ids) for completion in completions}


def test_seeds_are_the_same_in_every_process_and_depend_on_everything():
    # The number is from another process.
    assert stable_seed(0, "aime24", "60", 3) == 1486920475
    others = [stable_seed(*parts) for parts in [(1, "aime24", "60", 3), (0, "aime25", "60", 3), (0, "aime24", "603")]]
    assert len({1486920475, *others}) == 4
    assert all(0 <= stable_seed(number) < 2**31 for number in range(1000))


def test_a_completion_ends_with_the_context():
    assert [token_limit("3", 3, 10, context) for context in (None, 100, 13, 12, 4)] == [10, 10, 10, 9, 1]
    with pytest.raises(ValueError, match="item '3': its prompt has 3 tokens, expected fewer than the 3"):
        token_limit("3", 3, 10, 3)


def test_the_same_settings_draw_the_same_and_another_seed_draws_others(folder):
    first = by_key(draw(folder))
    assert len(first) == 10 and by_key(draw(folder)) == first
    assert by_key(draw(folder, seed=1)) != first
    torch.manual_seed(3)
    state = torch.get_rng_state()
    draw(folder)
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_of_one_item_differ(folder):
    drawn = by_key(draw(folder, items=ITEMS[:1], num_samples=8))
    assert len({tuple(ids) for ids in drawn.values()}) == 8


def test_what_is_missing_is_drawn_as_if_nothing_were_there(folder):
    whole = by_key(draw(folder))
    for done in (list(whole)[:1], list(whole)[2:7], list(whole)):
        rest = by_key(draw(folder, done))
        assert rest == {key: ids for key, ids in whole.items() if key not in done}


def test_more_samples_do_not_repeat_those_that_are_there(folder):
    few = by_key(draw(folder, items=ITEMS[:1], num_samples=2))
    many = by_key(draw(folder, list(few), ITEMS[:1], num_samples=4))
    assert not {tuple(ids) for ids in few.values()} & {tuple(ids) for ids in many.values()}


def test_a_completion_ends_with_end_of_text_or_at_the_limit(folder, tokenizer):
    completions = draw(folder, num_samples=6)
    assert {completion.finish_reason for completion in completions} == {"stop", "length"}
    for completion in completions:
        assert completion.tokens == len(completion.ids) and "<eos>" not in completion.text
        assert tokenizer.eos_token_id not in completion.ids[:-1]
        stopped = completion.ids[-1] == tokenizer.eos_token_id
        assert completion.finish_reason == ("stop" if stopped else "length")
        assert stopped or completion.tokens == 24


def test_greedy_sampling_is_not_changed_by_padding(folder, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(folder)
    for completion in draw(folder, temperature=0.0, num_samples=1):
        ids = list(completion.request.prompt.ids)
        for token in completion.ids:
            logits = model(torch.tensor([ids])).logits[0, -1]
            assert logits[token] > logits.max() - 1e-4
            ids.append(token)


def test_what_a_model_says_of_sampling_is_left_aside_and_its_ends_are_kept(folder, tokenizer, tmp_path):
    whole = by_key(draw(folder, num_samples=6))
    model = AutoModelForCausalLM.from_pretrained(folder)
    [letter] = tokenizer("e").input_ids
    for name, own in (("penalty", {"repetition_penalty": 5.0, "top_k": 1, "min_p": 0.9}), ("ends", {})):
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        own["eos_token_id"] = tokenizer.eos_token_id if own else [letter, *range(100, 150)]
        (tmp_path / name / "generation_config.json").write_text(json.dumps(own))
    assert by_key(draw(tmp_path / "penalty", num_samples=6)) == whole
    ends = {letter, tokenizer.eos_token_id, *range(100, 150)}
    drawn = draw(tmp_path / "ends", num_samples=6)
    assert {c.finish_reason for c in drawn} == {"stop"}
    assert all(c.ids[-1] in ends and not ends & set(c.ids[:-1]) for c in drawn)
    assert {c.ids[-1] for c in drawn} - {tokenizer.eos_token_id}


def test_a_prompt_is_what_the_chat_template_makes_of_it(folder, tokenizer):
    def rendered(**changed):
        engine = TransformersEngine(settings(folder, **changed), images=False)
        prompt = engine.prompt(Item("1", "2 + 2?", Gold("4")))
        assert prompt.ids == tuple(tokenizer(prompt.text).input_ids)
        return prompt.text

    assert rendered(instruction="Box it.") == "2 + 2?\n\nBox it."
    chat = {"prompt_format": "chat", "instruction": "Box it."}
    assert rendered(**chat) == "[user]2 + 2?\n\nBox it.[assistant]"
    asked = rendered(**chat, system_prompt="Be brief.", enable_thinking=False)
    assert asked == "[system]Be brief.[user]2 + 2?\n\nBox it.[assistant]False"


def test_a_special_token_in_a_problem_is_text(folder, tokenizer):
    eos, item = tokenizer.eos_token_id, Item("1", "So <eos><pad> what?", Gold("4"))
    for changed in ({}, {"prompt_format": "chat", "system_prompt": "<eos>"}):
        prompt = TransformersEngine(settings(folder, **changed), images=False).prompt(item)
        # The system prompt is ours, and may hold some.
        assert prompt.ids.count(eos) == len(changed) // 2 and tokenizer.pad_token_id not in prompt.ids
        assert tokenizer.decode(prompt.ids) == prompt.text and "So <eos><pad> what?" in prompt.text


def test_thinking_that_the_template_does_not_know_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    with pytest.raises(ValueError, match="enable_thinking has no effect: the chat template of"):
        TransformersEngine(settings(tmp_path / "plain", prompt_format="chat", enable_thinking=False), images=False)


def test_special_tokens_come_from_the_template_or_from_the_tokenizer(folder, tokenizer, tmp_path):
    starting = copy.deepcopy(tokenizer)
    start = ("<eos>", tokenizer.eos_token_id)
    starting.backend_tokenizer.post_processor = TemplateProcessing(single="<eos> $A", special_tokens=[start])
    shutil.copytree(folder, tmp_path / "starting")
    starting.save_pretrained(tmp_path / "starting")
    for prompt_format, before in (("text", (tokenizer.eos_token_id,)), ("chat", ())):
        args = settings(tmp_path / "starting", prompt_format=prompt_format)
        prompt = TransformersEngine(args, images=False).prompt(ITEMS[0])
        assert prompt.ids == before + tuple(tokenizer(prompt.text).input_ids)


@pytest.mark.parametrize("content", ["", "[]", '{"version": "9"}'])
def test_a_broken_tokenizer_is_named(model_folder, tmp_path, content):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=f"cannot read {folder} by AutoTokenizer: "):
        TransformersEngine(settings(folder), images=False)


def test_a_model_without_a_chat_template_is_named(model_folder):
    with pytest.raises(ValueError, match="has no chat template: expected one, or prompt_format 'text'"):
        TransformersEngine(settings(model_folder, prompt_format="chat"), images=False)


def test_a_prompt_that_does_not_fit_is_an_error_before_anything_is_drawn(folder):
    drawn = draw(folder, items=ITEMS[:1], num_samples=9, max_model_length=14)
    assert max(c.tokens + len(c.request.prompt.ids) for c in drawn) == 14
    with pytest.raises(ValueError, match=r"item '2': its prompt has \d+ tokens, expected fewer than the 16"):
        requests_of(TransformersEngine(settings(folder, max_model_length=16), images=False))


@pytest.fixture(scope="module")
def seeing_folder(tokenizer, tmp_path_factory):
    """A tiny model that sees."""
    folder = tmp_path_factory.mktemp("seeing")
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<picture>"]})
    shape = {"intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(hidden_size=16, image_size=16, patch_size=8, **shape),
            text_config=LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, max_position_embeddings=64, **shape),
            image_token_id=tokenizer.convert_tokens_to_ids("<picture>"),
            vision_feature_layer=-1,
        )
    ).save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<picture>",
        chat_template="{% for m in messages %}{% for part in m.content %}"
        "{{ '<picture>' if part.type == 'image' else part.text }}{% endfor %}{% endfor %}:",
    ).save_pretrained(folder)
    return folder


def picture(colour):
    png = io.BytesIO()
    Image.new("RGB", (20, 30), colour).save(png, format="PNG")
    return EncodedImage(data=png.getvalue())


def test_images_are_seen_where_they_stand(seeing_folder):
    black, white = picture("black"), picture("white")
    pairs = {"bw": (black, white), "wb": (white, black), "bb": (black, black)}
    items = [Item(name, "Is <image> or <image> so?", Gold("7"), images) for name, images in pairs.items()]
    items.append(Item("one", "<image>So?", Gold("7"), (white,)))

    def drawn(batch_size):
        chat = {"prompt_format": "chat", "temperature": 0.0, "batch_size": batch_size, "max_tokens": 12}
        engine = TransformersEngine(settings(seeing_folder, **chat), images=True)
        requests = requests_of(engine, items, 1)
        assert requests[0].prompt.text == "Is <picture> or <picture> so?:"
        assert requests[0].prompt.shown == "Is <image> or <image> so?:"
        return by_key(c for batch in engine.sample("mine", requests, set()) for c in batch)

    together = drawn(4)
    assert together == drawn(1) and len(together) == 4
    assert len({tuple(ids) for ids in together.values()}) == 4


def test_samples_hold_what_the_grader_and_the_labeler_say(folder, tokenizer, grams):
    completions = draw(folder, num_samples=6)
    right = [copy.copy(completion) for completion in completions[:1]]
    object.__setattr__(right[0], "text", r"So wait, \boxed{3} no \boxed{7.0}")
    object.__setattr__(right[0], "ids", None)
    with Grader() as grader:
        samples = Marker(grader, grams, tokenizer)(completions)
        [changed] = Marker(grader, grams, tokenizer)(right)
        [without] = Marker(grader, grams)(right)
    labeler = PlanningTokenLabeler(tokenizer, grams)
    for sample, completion in zip(samples, completions, strict=True):
        ids = torch.tensor([completion.ids])
        assert sample.planning_tokens == labeler(ids).sum()
        found = [gram for gram, _, _ in labeler.occurrences(ids)[0]]
        assert sample.grams == {gram: found.count(gram) for gram in found}
        assert (sample.item, sample.index) == completion.request.key and not sample.correct
    assert sum(sample.planning_tokens for sample in samples) > 0
    assert (changed.answer, changed.correct, changed.grams) == ("7.0", True, {"so wait": 1})
    assert changed.planning_tokens > 0 and (without.planning_tokens, without.grams) == (None, {"so wait": 1})


@pytest.fixture
def server():
    with model_server() as server:
        yield server


def ask(server, items=ITEMS, num_samples=2, done=(), **changed):
    changed = {"engine": "server", "base_url": server.url, "concurrency": 4, **changed}
    engine = ServerEngine(settings("tiny", **changed))
    for batch in engine.sample("mine", requests_of(engine, items, num_samples), set(done)):
        yield from batch


def test_every_sample_is_one_request_with_its_own_seed(server):
    drawn = list(ask(server, done=[("0", 0)]))
    assert {c.request.key for c in drawn} == {(i.id, n) for i in ITEMS for n in (0, 1)} - {("0", 0)}
    assert {c.seed for c in drawn} == {body["seed"] for _, body, _ in server.seen} and len(server.seen) == 9
    assert {c.seed for c in drawn} == {stable_seed(0, "mine", *c.request.key) for c in drawn}
    assert all((c.text, c.tokens, c.finish_reason, c.ids) == ("so what", 5, "stop", None) for c in drawn)
    path, body, headers = server.seen[0]
    assert path == "/v1/completions" and body["prompt"] in {item.problem for item in ITEMS}
    assert "Authorization" not in headers
    assert {"temperature": 1.0, "top_p": 0.95, "max_tokens": 24, "model": "tiny"}.items() <= body.items()
    assert not {"top_k", "return_token_ids", "chat_template_kwargs"} & body.keys()
    assert server.most <= 4


def test_chat_images_key_and_thinking_are_sent(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    item = Item("1", "<image>What colour?", Gold("red"), (picture("red"),))
    chat = {"prompt_format": "chat", "system_prompt": "Look.", "enable_thinking": True, "api_key_env": "MY_KEY"}
    server.answer = lambda body, number: (200, completion_of(body, "red", "length"))
    [drawn] = ask(server, [item], 1, instruction="Box it.", top_k=20, **chat)
    assert drawn.finish_reason == "length" and drawn.request.prompt.shown == "Look.\n\n<image>What colour?\n\nBox it."
    [(path, body, headers)] = server.seen
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body["chat_template_kwargs"] == {"enable_thinking": True} and body["top_k"] == 20
    system, user = body["messages"]
    assert system == {"role": "system", "content": [{"type": "text", "text": "Look."}]}
    shown, text = user["content"]
    assert text == {"type": "text", "text": "What colour?\n\nBox it."}
    scheme, _, data = shown["image_url"]["url"].partition(",")
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert scheme == "data:image/png;base64" and (sent.size, sent.getpixel((0, 0))) == ((20, 30), (255, 0, 0))


def test_reasoning_that_a_server_cut_off_is_put_back(server):
    message = {"message": {"content": "7", "reasoning": "wait"}}
    server.answer = lambda body, number: (200, completion_of(body, **message))
    [drawn] = ask(server, ITEMS[:1], 1, prompt_format="chat")
    assert drawn.text == "<think>\nwait\n</think>\n\n7"


def test_vllm_is_told_all_that_it_would_else_take_from_the_model_and_asked_for_ids(server):
    server.software = "vllm"
    server.answer = lambda body, number: (200, completion_of(body, token_ids=[5, 6, 1]))
    [drawn] = ask(server, ITEMS[:1], 1)
    assert drawn.ids == [5, 6, 1] and drawn.tokens == 3
    told = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "return_token_ids": True}
    assert told.items() <= server.seen[0][1].items()


@pytest.mark.parametrize("status", [429, 503, 520, 524, 529])
def test_what_may_pass_is_tried_again(server, status):
    server.answer = lambda body, number: (200, completion_of(body)) if number % 3 == 0 else (status, b"busy")
    assert len(list(ask(server, concurrency=1))) == 10 and len(server.seen) == 30


def test_what_stays_wrong_is_an_error_after_the_last_attempt(server):
    server.answer = lambda body, number: (503, b"busy")
    with pytest.raises(ValueError, match=r"/v1/completions answered 503: busy \(attempt 6 of 6\)"):
        list(ask(server, concurrency=1))
    assert len(server.seen) == ATTEMPTS


def test_what_came_before_an_error_is_handed_over(server):
    server.answer = lambda body, number: (400, b"prompt too long") if number == 6 else (200, completion_of(body))
    drawn = []
    with pytest.raises(ValueError, match=r"/v1/completions answered 400: prompt too long \(attempt 1 of 6\)"):
        for completion in ask(server, concurrency=1):
            drawn.append(completion)
    assert len(drawn) == 5 and len(server.seen) == 6


@pytest.mark.parametrize("answer", [b"<html>", {"choices": []}, {"choices": [{"text": "7", "finish_reason": "stop"}]}])
def test_an_answer_without_a_completion_is_an_error(server, monkeypatch, answer):
    monkeypatch.setattr(server_engine, "PAUSE", 0.001)
    server.answer = lambda body, number: (200, answer)
    with pytest.raises(ValueError, match="/v1/completions answered no completion"):
        list(ask(server))


def test_a_server_without_the_model_or_none_at_all_is_named(server):
    with pytest.raises(ValueError, match="serves tiny, got model 'huge'"):
        list(ask(server, model="huge"))
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"127.0.0.1:\d+/v1/models cannot be reached \(ConnectError"):
        list(ask(server))


@pytest.mark.parametrize("answer", [b"", b'{"choices": [{"te', {"error": {"message": "overloaded"}}])
def test_an_answer_that_is_none_is_asked_for_again(server, monkeypatch, answer):
    monkeypatch.setattr(server_engine, "PAUSE", 0.001)
    server.answer = lambda body, number: (200, completion_of(body) if number == 3 else answer)
    assert len(list(ask(server, ITEMS[:1], 1))) == 1 and len(server.seen) == 3


@pytest.mark.parametrize(
    "choice",
    [
        {"message": None},
        {"message": {"content": 7}},
        {"message": {}},
        {"message": {"content": [{"type": "text", "text": None}]}},
        {"message": {"content": "7"}, "token_ids": None},
    ],
)
def test_what_is_no_completion_is_one_line(server, choice):
    usage = {"completion_tokens": None if "token_ids" in choice else 5}
    server.answer = lambda body, number: (200, {"choices": [{"finish_reason": "stop", **choice}], "usage": usage})
    with pytest.raises(ValueError, match="/v1/chat/completions answered no completion"):
        list(ask(server, prompt_format="chat"))


@pytest.mark.parametrize(
    "message",
    [
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "So"}]},
                {"type": "text", "text": "7"},
            ]
        },
        {"content": "7", "reasoning_content": "So"},
    ],
)
def test_a_thought_in_parts_is_put_before_the_answer(server, message):
    server.answer = lambda body, number: (200, completion_of(body, message=message))
    [drawn] = ask(server, ITEMS[:1], 1, prompt_format="chat")
    assert drawn.text == "<think>\nSo\n</think>\n\n7"


def test_a_thought_without_an_answer_is_a_completion(server):
    server.answer = lambda body, number: (200, completion_of(body, message={"reasoning_content": "So"}))
    [drawn] = ask(server, ITEMS[:1], 1, prompt_format="chat")
    assert drawn.text == "<think>\nSo\n</think>\n\n"


def test_a_prompt_of_text_does_not_end_with_end_of_text(folder, tokenizer, tmp_path):
    ending = copy.deepcopy(tokenizer)
    special = [("<eos>", tokenizer.eos_token_id)]
    ending.backend_tokenizer.post_processor = TemplateProcessing(single="<eos> $A <eos>", special_tokens=special)
    shutil.copytree(folder, tmp_path / "ending")
    ending.save_pretrained(tmp_path / "ending")
    prompt = TransformersEngine(settings(tmp_path / "ending"), images=False).prompt(ITEMS[0])
    assert prompt.ids == (tokenizer.eos_token_id, *tokenizer(prompt.text).input_ids)


def test_a_model_that_cannot_be_loaded_is_named_at_once(folder, tmp_path):
    with pytest.raises(ValueError, match="dtype must be auto or a type of torch"):
        TransformersEngine(settings(folder, dtype="float17"), images=False)
    with pytest.raises(ValueError, match="does not see: expected a model for the images"):
        TransformersEngine(settings(folder), images=True)
    shutil.copytree(folder, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"cannot read .*model\.safetensors"):
        TransformersEngine(settings(tmp_path / "cut"), images=False)


@pytest.mark.parametrize("template", ["{{ raise_exception('no system') }}", "{% for %}", "{{ messages + 1 }}"])
def test_a_chat_template_that_refuses_is_one_line(folder, tmp_path, template):
    shutil.copytree(folder, tmp_path / "chat")
    (tmp_path / "chat" / "chat_template.jinja").write_text(template)
    engine = TransformersEngine(settings(tmp_path / "chat", prompt_format="chat"), images=False)
    with pytest.raises(ValueError, match=r"the chat template of .* refuses item '0'"):
        engine.prompt(ITEMS[0])
