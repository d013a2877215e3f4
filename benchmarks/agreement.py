r"""Verdicts of `hicra_trl.grade` side by side with those of established graders, and with what is true.

    python benchmarks/agreement.py [--per_kind 50] [--show 5]

Every grader gets the whole completion: text as models write it around a box with one of the answers that
`answer_pairs.py` makes. Graders that are not installed are left out. lm-eval and two of verl's are loaded as files,
without their packages: `pip install --no-deps verl lm_eval mathruler` and `pip install pylatexenc` are enough.
lm-eval reads LaTeX by SymPy, which wants `antlr4-python3-runtime==4.11`.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import logging
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from math_verify import parse, verify

from answer_pairs import Pair, pairs
from hicra_trl.rewards import Grader


Judge = Callable[[str, str], bool]
Verdicts = dict[str, list[bool]]
OURS = "hicra-trl"
COMPLETIONS = (
    "We get $2x + 3 = 7$ first, and then the rest follows. Therefore, the answer is $\\boxed{{{}}}$.",
    "Adding up both cases gives what was asked for.\n\n### Final Answer\n\\[\n\\boxed{{{}}}\n\\]",
    "<think>It might be \\boxed{{17}}. Wait, one of the cases was counted twice, so let me do that again, carefully, "
    "from the start: both of them overlap.</think>\n\n**Final Answer:**\n$$\\boxed{{{}}}$$",
    "Step 3: simplify.\n\nFinal Answer: The final answer is $\\boxed{{{}}}$. I hope it is correct.",
    "## Step 4: Combine\nThus the value is\n\\[ \\boxed{{{}}} \\]",
    "Hence the result is \\(\\boxed{{{}}}\\), as was to be shown.",
    "\\boxed{{{}}}",
)


def file_module(package: str, path: str) -> ModuleType:
    """One file of an installed package, without the package."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"no module named {package!r}", name=package)
    file = Path(spec.submodule_search_locations[0]) / path
    loaded = importlib.util.spec_from_file_location(f"{package}_{file.stem}", file)
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module


def math_verify_judge() -> Judge:
    """As its README calls it: the gold in a box, the prediction as it is."""
    return lambda completion, gold: verify(parse(f"\\boxed{{{gold}}}"), parse(completion))


def trl_judge() -> Judge:
    from trl.rewards import accuracy_reward

    return lambda completion, gold: accuracy_reward([[{"content": completion}]], [f"\\boxed{{{gold}}}"])[0] == 1.0


def hendrycks_judge() -> Judge:
    score = file_module("verl", "utils/reward_score/math_reward.py").compute_score
    return lambda completion, gold: score(completion, gold) == 1.0


def dapo_judge() -> Judge:
    score = file_module("verl", "utils/reward_score/math_dapo.py").compute_score
    return lambda completion, gold: score(completion, gold, strict_box_verify=True)["acc"]


def prime_judge() -> Judge:
    score = importlib.import_module("verl.utils.reward_score.prime_math").compute_score
    return lambda completion, gold: bool(score(completion, gold)[0])


def prm800k_judge() -> Judge:
    grader = importlib.import_module("mathruler.grader")
    return lambda completion, gold: grader.grade_answer(grader.extract_boxed_content(completion), gold)


def minerva_judge() -> Judge:
    try:
        lm_eval = file_module("lm_eval", "tasks/minerva_math/utils.py")
    except AssertionError as error:
        # How it says that antlr4-python3-runtime is not 4.11.
        raise ModuleNotFoundError(name="antlr4-python3-runtime==4.11") from error

    def judge(completion: str, gold: str) -> bool:
        box = lm_eval.last_boxed_only_string(completion)
        answer, target = map(lm_eval.normalize_final_answer, (lm_eval.remove_boxed(box), gold))
        return lm_eval.is_equiv(answer, target)

    return judge


JUDGES = {
    "math-verify": math_verify_judge,
    "TRL accuracy_reward": trl_judge,
    "verl math_reward": hendrycks_judge,
    "verl math_dapo": dapo_judge,
    "verl prime_math": prime_judge,
    "mathruler (PRM800K)": prm800k_judge,
    "lm-eval minerva": minerva_judge,
}


def our_verdicts(completions: list[str], golds: list[str]) -> list[bool]:
    # Generous limits: this is about verdicts, and a busy machine must not change them.
    with Grader(timeout=30, batch_timeout=3600) as grader:
        verdicts = grader(completions, golds)
    print(f"comparisons that did not end: {sum(verdict.failure is not None for verdict in verdicts)}\n")
    return [verdict.correct for verdict in verdicts]


def verdicts_of(judge: Judge, completions: list[str], golds: list[str]) -> list[bool]:
    result = []
    for completion, gold in zip(completions, golds, strict=True):
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                result.append(bool(judge(completion, gold)))
            except Exception:
                # What other graders raise on an answer is theirs: they do not accept it.
                result.append(False)
    return result


def share(left: list[bool], right: list[bool]) -> float:
    return sum(a == b for a, b in zip(left, right, strict=True)) / max(1, len(left))


def print_table(title: str, verdicts: Verdicts, truth: list[bool], at: list[int]) -> None:
    """Accuracy on the pairs at `at`, that on the right and on the wrong ones among them, and agreement with ours."""
    chosen = {name: [given[i] for i in at] for name, given in verdicts.items()}
    right = [i for i in at if truth[i]]
    wrong = [i for i in at if not truth[i]]
    print(f"{title}: {len(at):,} pairs, {len(right):,} of them right")
    print(f"{'grader':<22}{'as truth':>10}{'of right':>10}{'of wrong':>10}{'as ours':>9}")
    for name, given in verdicts.items():
        print(
            f"{name:<22}{share(chosen[name], [truth[i] for i in at]):>10.2%}"
            f"{sum(given[i] for i in right) / len(right):>10.2%}"
            f"{sum(not given[i] for i in wrong) / len(wrong):>10.2%}"
            f"{share(chosen[name], chosen[OURS]):>9.2%}"
        )
    print()


def print_agreement(verdicts: Verdicts) -> None:
    """The share of pairs on which two graders agree, for all two."""
    print("agreement of each with each, all pairs")
    names = list(verdicts)
    for row, name in enumerate(names[1:], start=1):
        shares = "".join(f"{share(verdicts[name], verdicts[other]):>9.2%}" for other in names[:row])
        print(f"{name:<22}{shares}")


def print_differences(title: str, chosen: list[tuple[Pair, bool]], show: int) -> None:
    kinds = defaultdict(list)
    for pair, verdict in chosen:
        kinds[pair.kind, pair.right].append((pair, verdict))
    print(f"\n{title}: {len(chosen)} pairs")
    for (kind, right), found in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"  {len(found):>4}  {kind}, {'right' if right else 'wrong'}")
        for pair, verdict in found[:show]:
            print(f"          {'accepted' if verdict else 'refused'}  {pair.answer!r} for {pair.gold!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per_kind", type=int, default=50, help="pairs of each kind of spelling or mistake")
    parser.add_argument("--show", type=int, default=3, help="examples of each kind of difference")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    made = pairs(options.per_kind)
    golds, truth = [pair.gold for pair in made], [pair.right for pair in made]
    completions = [COMPLETIONS[at % len(COMPLETIONS)].format(pair.answer) for at, pair in enumerate(made)]
    print(f"{len(made):,} pairs of {len(set(golds)):,} golds")
    verdicts = {OURS: our_verdicts(completions, golds)}
    for name, load in JUDGES.items():
        try:
            judge = load()
        except ModuleNotFoundError as error:
            print(f"{name}: skipped, {error.name} is not installed")
            continue
        verdicts[name] = verdicts_of(judge, completions, golds)
    everything = list(range(len(made)))
    print_table("everyday spellings, and mistakes", verdicts, truth, [i for i in everything if made[i].everyday])
    print_table("all pairs", verdicts, truth, everything)
    print_agreement(verdicts)
    ours = verdicts[OURS]
    others = [name for name in verdicts if name != OURS]
    print_differences("not what is true", [(p, v) for p, v in zip(made, ours) if v != p.right], options.show)
    print_differences(
        "not what math-verify says",
        [(p, v) for p, v, other in zip(made, ours, verdicts["math-verify"]) if v != other],
        options.show,
    )
    majority = [2 * sum(verdicts[name][at] for name in others) > len(others) for at in range(len(made))]
    print_differences(
        "not what most graders say", [(p, v) for p, v, most in zip(made, ours, majority) if v != most], options.show
    )


if __name__ == "__main__":
    main()
