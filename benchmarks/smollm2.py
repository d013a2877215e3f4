"""How SmolLM2-135M-Instruct is asked: with two worked examples."""

INSTRUCTION = "Put your final answer within \\boxed{}."
DEMONSTRATIONS = (
    (
        "Mia has 12 shells, finds 9 more and loses 4. How many shells does Mia have then?",
        "First, 12 + 9 = 21. Then, 21 - 4 = 17. So the answer is \\boxed{17}.",
    ),
    ("What is 31 - 8?", "31 - 8 = 23. So the answer is \\boxed{23}."),
)


def demonstrations():
    return [
        message
        for question, answer in DEMONSTRATIONS
        for message in (
            {"role": "user", "content": f"{question} {INSTRUCTION}"},
            {"role": "assistant", "content": answer},
        )
    ]
