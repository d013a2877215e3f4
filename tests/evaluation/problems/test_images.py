"""Benchmarks with images, in the shape of the datasets on the Hub, down to the conversation a model is given."""

import io

import datasets
import pytest
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from hicra_trl.evaluation.engines.prompts import as_text, conversation, text_prompt
from hicra_trl.evaluation.problems.images import EncodedImage, place_images
from hicra_trl.evaluation.problems.items import Item
from hicra_trl.rewards import Gold
from hicra_trl.rewards.boxed import BOXED_INSTRUCTION

from .loading import error, load


COLORS = ("red", "green", "blue", "black", "white", "yellow")
LETTER = "Answer with the letter of the right option."


def picture(color, size=(4, 3)):
    return Image.new("RGB", size, color)


def parquet(path, rows, **features):
    """One parquet file as `datasets` writes it: columns are texts if nothing else is said."""
    columns = {column: features.get(column, Value("string")) for column in rows[0]}
    Dataset.from_list(rows, features=Features(columns)).to_parquet(path)
    return path


def shown(item, instruction=""):
    """The user turn: texts, and the color of each image."""
    [user] = conversation(item, instruction)
    return [
        part["text"]
        if part["type"] == "text"
        else next(color for color in COLORS if picture(color).getpixel((0, 0)) == part["image"].getpixel((0, 0)))
        for part in user["content"]
    ]


def mathvista(**values):
    row = {"pid": "1", "question": "How long?", "image": "images/1.jpg", "decoded_image": picture("red")}
    row |= {"choices": None, "unit": None, "precision": None, "answer": "3", "question_type": "free_form"}
    return row | {"answer_type": "integer", "query": "Hint: ..."} | values


def mathverse(**values):
    row = {"sample_index": "1", "problem_index": "1", "problem_version": "Text Dominant", "question": "Find L."}
    row |= {"image": picture("red"), "answer": "14", "question_type": "free-form", "query_wo": "Please ... Find L."}
    return row | {"question_for_eval": "The can is 13 cm high. Find L."} | values


def mathvision(**values):
    row = {"id": "1", "question": "Which is it?\n<image1>", "options": [], "image": "images/1.jpg"}
    return row | {"decoded_image": picture("red"), "answer": "7", "solution": None, "level": 2} | values


def emma(**values):
    row = {"pid": "math_1", "question": "<image_1> What comes next?", "options": [], "answer": "7"}
    row |= {f"image_{number}": None for number in range(1, 6)} | {"image_1": picture("red")}
    return row | {"subject": "Math", "type": "Open-ended", "context": ""} | values


FEATURES = {
    "mathvista": {"choices": List(Value("string")), "precision": Value("float64"), "decoded_image": ImageFeature()},
    "mathverse": {"image": ImageFeature()},
    "mathvision": {"options": List(Value("string")), "decoded_image": ImageFeature(), "level": Value("int64")},
    "emma": {"options": List(Value("string"))} | {f"image_{number}": ImageFeature() for number in range(1, 6)},
}


@pytest.fixture
def items(tmp_path):
    """Items of rows in the shape of a benchmark."""

    def loaded(name, *rows, **fields):
        return load(name, parquet(tmp_path / f"{name}.parquet", list(rows), **FEATURES[name]), **fields)

    return loaded


@pytest.fixture
def message(tmp_path):
    """The error that rows in the shape of a benchmark end with."""

    def failed(name, *rows, **fields):
        return error(name, parquet(tmp_path / f"{name}.parquet", list(rows), **FEATURES[name]), **fields)

    return failed


# MathVista


def test_mathvista_golds_are_option_texts_or_numbers_with_decimals(items):
    choice, number, integer, several = items(
        "mathvista",
        mathvista(pid="1", choices=["145°", "150°"], answer="150°", question_type="multi_choice"),
        mathvista(pid="2", answer="1.2", precision=1.0, unit="cm", answer_type="float"),
        mathvista(pid="3", answer="3"),
        mathvista(pid="4", answer="[0, 8]", answer_type="list"),
    )
    assert choice.gold == Gold("B", choices=("145°", "150°"))
    assert number.gold == Gold("1.2", precision=1)
    assert (integer.gold, several.gold) == (Gold("3"), Gold("[0, 8]"))
    assert shown(choice) == ["red", f"How long?\n\n(A) 145°\n(B) 150°\n\n{LETTER}"]
    assert shown(number) == [
        "red",
        "How long?\n\nThe unit of the answer is cm; leave it out.\n\nRound the answer to 1 decimal place.",
    ]
    assert shown(integer) == ["red", "How long?"]


def test_an_option_whose_text_is_another_options_letter_is_not_mistaken_for_it(items):
    [item] = items("mathvista", mathvista(choices=["D", "F", "C", "A"], answer="A"))
    assert item.gold == Gold("D", choices=("D", "F", "C", "A"))
    assert "(A) D\n(B) F\n(C) C\n(D) A" in item.problem
    [item] = items("mathvision", mathvision(options=["D", "F", "C", "A"], answer="A"))
    assert item.gold.answer == "A"


# MathVerse


def test_mathverse_versions_of_a_problem_are_items_of_their_own(items):
    versions = ["Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only"]
    rows = [
        mathverse(sample_index=str(index), problem_version=version, question="" if index == 4 else "Find L.")
        for index, version in enumerate(versions)
    ]
    found = items("mathverse", *rows)
    assert [(item.id, item.group) for item in found] == [(str(index), v) for index, v in enumerate(versions)]
    assert shown(found[0]) == ["red", "Find L."]
    assert shown(found[4]) == ["red", "The question is shown in the image."]
    [only] = items("mathverse", *rows, filter="problem_version=Vision Only")
    assert only == found[4]


def test_mathverse_options_stand_in_the_question(items):
    question = "Find x.\nChoices:\nA:1\nB:2\nC:3\nD:4\nE:5"
    rows = [mathverse(sample_index=a, question=question, question_type="multi-choice", answer=a) for a in "BE"]
    four, five = items("mathverse", *rows)
    assert four.gold == Gold("B", choices=("A", "B", "C", "D"))
    assert five.gold == Gold("E", choices=("A", "B", "C", "D", "E"))
    assert shown(four) == ["red", f"{question}\n\n{LETTER}"]


# MathVision


def test_mathvision_images_stand_where_they_are_mentioned(items):
    item, choice, letters = items(
        "mathvision",
        mathvision(id="1"),
        mathvision(id="2", question="In <image1>, which?", options=["1 cm", "2 cm"], answer="B"),
        mathvision(id="3", options=["A", "B", "C", "D", "E"], answer="E"),
    )
    assert (item.gold, shown(item)) == (Gold("7"), ["Which is it?\n", "red"])
    assert choice.gold == Gold("B", choices=("1 cm", "2 cm"))
    assert shown(choice) == ["In ", "red", f", which?\n\n(A) 1 cm\n(B) 2 cm\n\n{LETTER}"]
    assert letters.gold == Gold("E", choices=("A", "B", "C", "D", "E"))
    assert shown(letters) == ["Which is it?\n", "red", f"\n\n{LETTER}"]


def test_numbered_parts_of_the_only_picture_stay_text(items):
    [item] = items("mathvision", mathvision(question="Is <image2> or <image3> in <image1>?"))
    assert shown(item) == ["Is <image2> or <image3> in ", "red", "?"]


# EMMA


def test_emma_images_are_those_mentioned_in_the_order_of_their_mentions(items):
    [item] = items(
        "emma",
        emma(
            question="From <image_2> to <image_1>?",
            options=["<image_4>", "<image_2>"],
            answer="b",
            context="A cube.",
            **{f"image_{number}": picture(color) for number, color in enumerate(COLORS[:5], 1)},
        ),
    )
    assert shown(item) == [
        "A cube.\n\nFrom ",
        "green",
        " to ",
        "red",
        "?\n\n(A) ",
        "black",
        "\n(B) ",
        "green",
        f"\n\n{LETTER}",
    ]
    assert (item.gold.answer, item.group) == ("B", "Math")


def test_emma_subjects_are_concatenated(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    lines = ["---", "configs:"]
    for subject, color in zip(("Math", "Physics", "Chemistry", "Coding"), COLORS):
        row = emma(pid=f"{subject}_1", subject=subject, image_1=picture(color), image_2=picture("white"))
        (tmp_path / "emma" / subject).mkdir(parents=True)
        parquet(tmp_path / "emma" / subject / "test-0.parquet", [row], **FEATURES["emma"])
        lines += [f"- config_name: {subject}", f"  data_files: [{{split: test, path: '{subject}/test-*'}}]"]
    (tmp_path / "emma" / "README.md").write_text("\n".join([*lines, "---"]))
    found = load("emma", tmp_path / "emma")
    assert [item.id for item in found] == ["Math_1", "Physics_1", "Chemistry_1", "Coding_1"]
    assert [item.group for item in found] == ["Math", "Physics", "Chemistry", "Coding"]
    assert [shown(item)[0] for item in found] == ["red", "green", "blue", "black"]


def test_the_same_text_with_another_image_is_another_item(items):
    rows = [emma(pid=str(number), image_1=picture(color)) for number, color in enumerate(["red", "green", "red"])]
    assert [item.id for item in items("emma", *rows)] == ["0", "1"]


# Own files


def test_image_files_are_found_beside_the_file_that_names_them(tmp_path):
    (tmp_path / "images").mkdir()
    for color in ("red", "green"):
        picture(color).save(tmp_path / "images" / f"{color}.png")
    rows = [{"question": "<image><image> Same?", "answer": "no", "image": ["images/red.png", "images/green.png"]}]
    path = parquet(tmp_path / "mine.parquet", rows, image=List(Value("string")))
    [item] = load("mine", path, image_columns="image")
    assert item.images == tuple(EncodedImage(tmp_path / "images" / f"{color}.png") for color in ("red", "green"))
    assert shown(item) == ["red", "green", " Same?"]
    (tmp_path / "images" / "green.png").unlink()
    assert error("mine", path, image_columns="image") == f"{path}, row 0: no image file at {tmp_path}/images/green.png"


def test_the_content_of_files_is_an_image(tmp_path):
    image = encoded(picture("red"))
    rows = [{"question": "<image> Red?", "answer": "yes", "image": image.data}]
    path = parquet(tmp_path / "mine.parquet", rows, image=Value("binary"))
    [item] = load("mine", path, image_columns="image")
    assert item.images == (image,)


@pytest.mark.parametrize(("kind", "value"), [("int64", 3), ("string", "iVBORw0KGgo" * 2000), ("bool", True)])
def test_what_is_no_image_is_an_error_in_one_short_line(kind, value, tmp_path):
    rows = [{"question": "<image> Red?", "answer": "yes", "image": value}]
    path = parquet(tmp_path / "mine.parquet", rows, image=Value(kind))
    said = error("mine", path, image_columns="image")
    assert "expected an image as the path or the content of a file" in said and len(said) < 300


def test_lists_of_images_are_read_from_a_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    rows = [{"question": "Same? <image_2>", "answer": "no", "images": [picture("red"), picture("green")]}]
    parquet(tmp_path / "mine" / "test.parquet", rows, images=List(ImageFeature()))
    [item] = load("mine", tmp_path / "mine", image_columns="images")
    assert shown(item) == ["Same? ", "green"]


def test_options_that_the_problem_lists_are_not_listed_again(items):
    listed = "Which? A. 1/2 B. 1/3"
    found = items(
        "mathvista",
        mathvista(pid="1", question=listed, choices=["1/2", "1/3"], answer="1/3"),
        mathvista(pid="2", question=listed, choices=["1/2", "1/4"], answer="1/4"),
    )
    assert found[0].problem == f"<image>{listed}\n\n{LETTER}"
    assert found[1].problem == f"<image>{listed}\n\n(A) 1/2\n(B) 1/4\n\n{LETTER}"


# What is wrong


def test_an_image_that_is_mentioned_but_not_there_is_an_error(message):
    text = message("emma", emma(question="<image_1> or <image_2>?"))
    assert text.endswith(", row 0: the problem mentions <image_2> (number 2), which is not there")


@pytest.mark.parametrize("answer", ["C", "1 cm", "AB", "-"])
def test_a_gold_that_is_no_options_letter_is_an_error(message, answer):
    text = message("mathvision", mathvision(options=["1 cm", "2 cm"], answer=answer))
    assert text.endswith(
        f", row 0: the gold answer is the letter of no option: got {answer!r}, options ['1 cm', '2 cm']"
    )


def test_a_gold_that_is_no_options_text_is_an_error(message):
    text = message("mathvista", mathvista(choices=["1 cm", "2 cm"], answer="B"))
    assert text.endswith(", row 0: the gold answer is the text of no option: got 'B', options ['1 cm', '2 cm']")


def test_decimals_that_are_no_whole_number_are_an_error(message):
    text = message("mathvista", mathvista(precision=1.5))
    assert text.endswith(", row 0: expected a whole number of decimals as precision, got 1.5")


def test_every_image_of_an_item_has_its_mark():
    image = EncodedImage(data=b"")
    for problem in ("What?", "<image> or <image>?"):
        with pytest.raises(ValueError, match="item '7': expected one <image> for each of 1 images in the problem"):
            Item("7", problem, Gold("1"), (image,))


def test_an_image_has_one_source():
    for source in ({}, {"path": "a.png", "data": b""}):
        with pytest.raises(ValueError, match="either a path or the content"):
            EncodedImage(**source)


def test_a_broken_image_is_an_error_that_names_its_item(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    for image in (EncodedImage(tmp_path / "broken.png"), EncodedImage(data=b"no image")):
        with pytest.raises(ValueError, match=r"^item '7': cannot read .*(broken.png|an image of 8 bytes): "):
            conversation(Item("7", "<image>What?", Gold("1"), (image,)))


# Images


def encoded(image, suffix="PNG", **options):
    content = io.BytesIO()
    image.save(content, suffix, **options)
    return EncodedImage(data=content.getvalue())


def test_transparent_images_get_a_white_ground():
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 0, 255))
    image = encoded(clear).open()
    assert image.mode == "RGB"
    assert [image.getpixel(place) for place in ((0, 0), (1, 1))] == [(0, 0, 0), (255, 255, 255)]
    palette = Image.new("P", (1, 1))
    assert encoded(palette, transparency=0).open().getpixel((0, 0)) == (255, 255, 255)


def test_images_stand_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    assert encoded(picture("red"), "JPEG", exif=exif).open().size == (3, 4)


def test_mentions_of_every_form_are_marks():
    images = [EncodedImage(data=bytes([number])) for number in range(3)]
    text, placed = place_images("<image_2> <image3> <image 1> <image_2>", images)
    assert text == "<image> <image> <image> <image>"
    assert placed == (images[1], images[2], images[0], images[1])
    assert place_images("<image> then <image>", images) == ("<image> then <image>", tuple(images[:2]))
    assert place_images("none", [images[0], None, images[2]]) == ("<image><image>none", (images[0], images[2]))
    assert place_images("<image0>", images[:1]) == ("<image><image0>", (images[0],))
    with pytest.raises(ValueError, match="mentions <image> "):
        place_images("<image><image>", images[:1])


def test_a_text_problem_may_speak_of_marks():
    item = Item("1", "What does <image> mean in HTML?", Gold("1"))
    assert conversation(item, "") == [{"role": "user", "content": item.problem}]


# Conversations


def test_the_instruction_follows_the_problem_and_there_is_no_system_turn():
    item = Item("1", "What is 2 + 2?", Gold("4"))
    asked = f"What is 2 + 2?\n\n{BOXED_INSTRUCTION}"
    assert conversation(item) == [{"role": "user", "content": asked}]
    assert text_prompt(item) == asked
    assert conversation(item, "", "Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 2 + 2?"},
    ]
    assert text_prompt(item, "") == "What is 2 + 2?"


def test_with_images_every_turn_is_a_list_of_parts():
    item = Item("1", "<image>What?", Gold("4"), (encoded(picture("red")),))
    system, user = conversation(item, "Use <image>.", "Be brief.")
    assert system == {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    assert [part["type"] for part in user["content"]] == ["image", "text"]
    assert user["content"][1]["text"] == "What?\n\nUse <image>."
    assert text_prompt(item, "Box it.") == "<image>What?\n\nBox it."


def test_a_conversation_is_stored_as_text_with_marks():
    item = Item("1", "Is <image> a cube?", Gold("4"), (encoded(picture("red")),))
    assert as_text(conversation(item, "Box it.", "Be brief.")) == "Be brief.\n\nIs <image> a cube?\n\nBox it."
    assert as_text(conversation(Item("1", "Why?", Gold("4")), "")) == "Why?"
