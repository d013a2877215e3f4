"""The paper's own figures: pass@1 in percent, tables 1 and 2.

The paper also prints each gain of HICRA over GRPO. They are the differences of these figures but for one: on AIME24
with Qwen3-4B-Instruct-2507 it prints +5.4, and its figures give +4.6.
"""

# Our names of the benchmarks, as the paper heads its columns.
TEXT = {
    "aime24": "AIME24",
    "aime25": "AIME25",
    "math500": "Math500",
    "amc23": "AMC23",
    "minerva": "Minerva",
    "olympiadbench": "Olympiad",
}
VISION = {"mathvista": "MathVista", "mathvision": "MathVision", "mathverse": "MathVerse", "emma": "EMMA"}

# Base model -> method -> one figure per column.
TABLE_1 = {
    "Qwen3-4B-Instruct-2507": {
        "Base": (63.4, 47.7, 94.6, 86.7, 45.2, 72.4),
        "GRPO": (68.5, 60.0, 96.2, 88.5, 50.0, 72.7),
        "HICRA": (73.1, 65.1, 97.2, 90.2, 50.7, 72.0),
    },
    "Qwen3-4B-Adaptive (No-Think)": {
        "Base": (21.3, 18.1, 84.4, 60.5, 40.4, 49.9),
        "GRPO": (63.1, 58.8, 95.6, 76.8, 45.2, 55.6),
        "HICRA": (65.9, 62.1, 95.8, 82.5, 46.3, 59.7),
    },
    "Qwen3-4B-Base": {
        "Base": (9.4, 5.3, 63.8, 38.9, 28.3, 30.7),
        "GRPO": (24.9, 23.8, 83.0, 51.2, 38.9, 45.8),
        "HICRA": (31.0, 27.6, 89.0, 54.0, 42.5, 48.1),
    },
    "Llama-3.1-8B-Instruct": {
        "Base": (4.2, 0.6, 50.2, 17.1, 20.9, 13.7),
        "GRPO": (8.9, 0.5, 53.0, 25.0, 27.2, 20.3),
        "HICRA": (8.3, 0.8, 54.8, 27.1, 25.8, 21.2),
    },
    "Qwen2.5-7B-Base": {
        "Base": (3.5, 1.7, 55.6, 46.9, 30.9, 25.9),
        "GRPO": (16.3, 11.4, 77.6, 46.7, 36.8, 41.9),
        "ORZ": (18.8, 14.8, 80.2, 52.4, 39.7, 45.9),
        "SimpleRL": (16.7, 3.3, 78.2, 42.8, 34.9, 38.2),
        "Entropy Regularization": (16.0, 9.3, 57.4, 50.3, 33.1, 40.6),
        "HICRA": (18.8, 14.8, 80.2, 55.1, 38.6, 45.9),
    },
}
TABLE_2 = {
    "MiMO-VL-Instruct-2508": {
        "Base": (77.0, 42.9, 61.8, 36.3),
        "GRPO": (73.7, 42.8, 63.0, 41.9),
        "HICRA": (80.7, 48.9, 65.4, 44.1),
    },
    "Qwen2.5-VL-7B-Instruct": {
        "Base": (66.6, 23.6, 45.9, 22.3),
        "GRPO": (70.8, 25.8, 48.8, 31.8),
        "HICRA": (71.4, 28.7, 48.2, 33.0),
    },
}


def published(base_model: str) -> tuple[dict[str, str], dict[str, tuple[float, ...]]]:
    """
    The paper's table for one base model.

    Returns:
        `tuple[dict[str, str], dict[str, tuple[float, ...]]]`: the columns, by our names of the benchmarks, and for
        each method its figures in that order.

    Raises:
        `ValueError`: if the paper has no such model.
    """
    for columns, table in ((TEXT, TABLE_1), (VISION, TABLE_2)):
        if base_model in table:
            return columns, table[base_model]
    raise ValueError(
        f"paper_model: the paper has no figures of {base_model!r}, expected one of {', '.join([*TABLE_1, *TABLE_2])}"
    )
