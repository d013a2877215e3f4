"""Arithmetic in words and figures, one step or two: what a small instruct model can just not solve yet."""

import random


NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix")
THINGS = ("apples", "books", "coins", "marbles", "pencils", "stamps")


def one_step(draw):
    a, b = draw.randint(2, 30), draw.randint(2, 30)
    name, thing = draw.choice(NAMES), draw.choice(THINGS)
    if draw.random() < 0.5:
        asked = (
            f"What is {a} + {b}?",
            f"{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have now?",
        )
        return draw.choice(asked), a + b
    a += b
    asked = (
        f"What is {a} - {b}?",
        f"{name} has {a} {thing} and gives away {b}. How many {thing} does {name} have left?",
    )
    return draw.choice(asked), a - b


def two_steps(draw):
    a, b = draw.randint(2, 20), draw.randint(2, 20)
    c = draw.randint(1, a + b)
    name, thing = draw.choice(NAMES), draw.choice(THINGS)
    asked = (
        f"What is {a} + {b} - {c}?",
        f"{name} has {a} {thing}, gets {b} more and gives away {c}. How many {thing} does {name} have then?",
    )
    return draw.choice(asked), a + b - c


def problems(number, seed, apart_from=()):
    """Rows of distinct `problem` and `solution`, none of them among the problems of `apart_from`."""
    draw, rows = random.Random(seed), {}
    seen = {row["problem"] for row in apart_from}
    while len(rows) < number:
        problem, answer = draw.choice((one_step, two_steps))(draw)
        if problem not in seen:
            rows[problem] = str(answer)
    return [{"problem": problem, "solution": solution} for problem, solution in rows.items()]
