"""Mining strategic grams from generated solutions: speed, memory, exactness and growth.

    python benchmarks/mining.py [--sizes 1000 10000 100000] [--repeat 3] [--skip counting embedding whole]

1. Counting: document frequencies of n-grams, by a Counter of strings in memory, and by this package in a work folder.
   The Counter has a plain regular expression, which does for these solutions. Both keep the n-grams in 2 % of the
   solutions. Identical says whether all of those have the same frequency, and at up to 10,000 solutions also whether
   all n-grams in two or more do.
2. Embedding: the most frequent n-grams, by `SentenceTransformer.encode` and by this package.
3. The whole: `mine_strategic_grams` with its defaults, by stage.
4. Growth: the powers of the number of solutions by which time, n-grams and disk grow, and what that makes of a
   million.

Each measurement has a process of its own and one thread, and reads the solutions from a file as a stream: no method
holds all of them. Start is the memory of the interpreter with its imports, peak the most that the process ever held.
"""

import argparse
import hashlib
import math
import os
import random
import re
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np


# A child's peak memory is at least what its parent held when it started, so that the heavy imports are in functions.

LARGE = 1_000_000  # what is extrapolated to
SHARE = 0.02  # of the solutions must have an n-gram for it to be kept, as in MiningConfig
EMBEDDED = 3_000  # most frequent n-grams of at most SMALL solutions
SMALL = 10_000  # up to here, the frequencies of all n-grams in two or more solutions are compared, too
STAGES = ("reading", "counting", "adding up", "model", "embedding", "k-means", "ranking")
BOUNDED = ("model", "embedding", "k-means")  # by the n-grams that are kept, whatever the number of solutions
WHOLE, EVERY_SOLUTION = "the whole, s", "  its other stages, s"

# Solutions: sentences from templates over a Zipf vocabulary, so that distinct n-grams grow about as N^0.9

TEMPLATES, TEMPLATES_PER_SOLUTION, STRATEGIC_SHARE = 3_000, 16, 0.2
# {0} to {2} are words and {3} and {4} numbers, new in every sentence; what is in <> belongs to the template.
FRAMES = (
    "We <verb> the <noun> of the {0}, and then the {1} is <adjective>.",
    "The {0} <noun> is ${3}x + {4}$, which we <verb> with the <adjective> {1}.",
    "Since the {0} has {3} terms, the {1} must <verb> it {4} times.",
    "<Verb> the {0}: \\frac{{{3}}}{{{4}}} for every <noun> of the <adjective> {1}.",
    "Here is the <noun>, between the {0} and the {1}; it cannot <verb> the <adjective> {2}.",
    "For each <noun> there are {3} ways to <verb> a {0}, and {4} if the {1} is <adjective>.",
    "If the {0} and the <noun> are <adjective>, then {3} × {4} bounds the <noun> (or {1}).",
    "It follows that the {0} is less, while a <adjective> {1} can <verb> it.",
    "The <noun>’s {0} does not <verb> the {1} (see the <adjective> {2}).",
    "By the <noun> of a {0}, we <verb> both: the <noun> and its {1}.",
    "Now {3}n ≤ {4} holds for the {0} <noun>, so a <adjective> {1} is there.",
    "To <verb> a <noun>, the {0} needs more: one per {1}, and one per <adjective> {2}.",
    "That leaves {3} of the <adjective> <noun>,\nand {4} of the {0}: those in the {1}.",
    "Write the {0} as $a_{{{3}}}$ and its {1} as $b^{{{4}}}$, then <verb> the <adjective> one.",
    "The well-known <noun> says: a {0} has no <adjective> {1} terms.",
    "Adding the {0} <noun> gives {3} + {4} - 1, and a <adjective> {1} to <verb>.",
)
LISTS = {
    "verb": "add apply bound combine compare compute count divide double draw expand factor fill find group halve "
    "join list measure move multiply pair place reach replace scale separate solve split square subtract test",
    "noun": "angle area average base boundary center chord circle coefficient column constant corner cube curve digit "
    "difference distance divisor edge equation exponent face factor fraction function graph grid height integer line "
    "length limit matrix median midpoint modulus number order pair parity path plane point polygon polynomial "
    "position power prime product quotient radius range rate ratio rectangle region remainder root row segment "
    "sequence series set side slope speed step sum surface symmetry term total triangle value vector vertex",
    "adjective": "actual common constant correct distinct equal even exact external final finite first fixed general "
    "given integral known large linear lower maximal minimal negative next odd original outer positive possible prime "
    "rational real remaining second simple single small third total unique unknown upper whole",
}
STRATEGIC = (
    "Wait, that does not look right.",
    "But wait, let me check the last step again.",
    "Hmm, let’s think about this differently.",
    "Let me try another way to see it.",
    "Alternatively, we could start from the other end.",
    "First, I need to understand what is asked.",
    "Is there a simpler way to do this?",
    "I should double-check whether this case can happen.",
    "Let’s go back and look at what we know.",
    "Before going on, it helps to make a plan.",
    "This does not lead anywhere, so let me start over.",
    "To be sure, let’s try it on a small example.",
    "What if we look at the opposite case?",
    "So far so good, but one thing is still open.",
    "The main idea is to turn this into something easier.",
    "Suppose for a moment that the claim is false.",
    "Now we put the pieces together.",
    "Let me make sure I did not miss anything.",
)
PARTS = (
    "|re|co|sub|inter|over|under|pre|trans|semi|para|hyper|iso|multi|out|anti|de|non|contra|meta",
    "form|grad|scal|vert|tang|port|struct|sect|tract|plic|mot|fer|ject|lumin|dens|flex|grav|therm|phon|graph|metr|corp"
    "|pend|clin|rot|volv|merg|fract|rupt|spir|stat|ten|torq|vect|vibr|kin|cycl|morph|nod|orb|pol|quant|rad|ser|term"
    "|text|und|val|ax|band|card|dom|ess|fin|gen|hom|ind|lat|norm",
    "|s|ing|ed|er|ers|ation|ations|ive|al|ally|able|or|ors|ity|ement|ements|ent|ence|ic",
)


@cache
def sentences():
    """The templates of procedural sentences."""
    rng = random.Random(0)
    words = {name: text.split() for name, text in LISTS.items()}

    def fill(match):
        word = rng.choice(words[match[1].lower()])
        return word.capitalize() if match[1][0].isupper() else word

    return [re.sub("<(\\w+)>", fill, rng.choice(FRAMES)) for _ in range(TEMPLATES)]


@cache
def vocabulary():
    """Plain words first, since those are frequent, then some 20,000 made of parts."""
    prefixes, roots, suffixes = (part.split("|") for part in PARTS)
    made = [prefix + root + suffix for prefix in prefixes for root in roots for suffix in suffixes]
    random.Random(0).shuffle(made)
    return [*LISTS["noun"].split(), *made]


def zipf(size, exponent, shift):
    """Cumulative probabilities of ranks."""
    weights = (np.arange(size) + shift) ** -exponent
    return np.cumsum(weights / weights.sum())


def solutions(number):
    """Yields solutions of about 400 words, the same ones each time, and the first of them whatever `number` is."""
    templates, words = sentences(), vocabulary()
    of_template, of_word = zipf(len(templates), 0.9, 30), zipf(len(words), 0.8, 5)
    for index in range(number):
        rng = np.random.default_rng(index)
        size = int(12 + 21 * rng.random())
        used = np.searchsorted(of_template, rng.random(TEMPLATES_PER_SOLUTION)).tolist()
        picks = (rng.random(size) * len(used)).astype(int).tolist()
        slots = np.searchsorted(of_word, rng.random((size, 3))).tolist()
        numbers = (rng.random((size, 2)) * 998 + 2).astype(int).tolist()
        strategic = (rng.random(size) * len(STRATEGIC) / STRATEGIC_SHARE).astype(int).tolist()
        text = []
        for pick, (a, b, c), (m, n), aside in zip(picks, slots, numbers, strategic):
            if aside < len(STRATEGIC):
                text.append(STRATEGIC[aside])
            text.append(templates[used[pick]].format(words[a], words[b], words[c], m, n))
        yield " ".join(text)


# Counting with a Counter


BREAK = "[0-9=+^×≤]"
MATH = re.compile(r"\$[^$]*\$|\\[a-z]+(?:\{[^{}]*\})*")
CLAUSE = re.compile(rf"({BREAK} *)?([a-z][a-z'-]*(?: +[a-z][a-z'-]*)*)")


def clauses(solution):
    """Clauses as lists of words, and whether each goes on from a formula."""
    text = MATH.sub("0", solution.lower().replace("’", "'"))
    return [(clause.split(" "), bool(formula)) for formula, clause in CLAUSE.findall(text)]


def ngrams(solution):
    """The different n-grams of three to five words, and the shorter clauses that do not go on from a formula."""
    found = set()
    for words, goes_on in clauses(solution):
        if len(words) >= 3:
            for n in (3, 4, 5):
                for first in range(len(words) - n + 1):
                    found.add(" ".join(words[first : first + n]))
        elif not goes_on:
            found.add(" ".join(words))
    return found


# Measurements: each is called in a process of its own


def write_corpus(path, number):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, size = solutions(number), 0
    with pq.ParquetWriter(path, pa.schema({"text": pa.string()})) as writer:
        while batch := list(islice(texts, 1000)):
            writer.write_table(pa.table({"text": batch}))
            size += sum(len(text.encode()) for text in batch)
    some = list(solutions(min(number, 500)))
    occurrences = sum(max(0, len(words) - n + 1) for text in some for words, _ in clauses(text) for n in (3, 4, 5))
    return size / 1e6, sum(len(text.split()) for text in some) / len(some), occurrences / len(some)


def stream(path, number=None):
    import pyarrow.parquet as pq

    batches = pq.ParquetFile(path).iter_batches(batch_size=1000)
    return islice((text for batch in batches for text in batch["text"].to_pylist()), number)


def count_in_memory(path, leasts):
    import pyarrow.parquet  # noqa: F401 (as part of the start)

    start, begin = memory(), time.perf_counter()
    counter = Counter()
    for solution in stream(path):
        counter.update(ngrams(solution))
    found = [(gram, document) for gram, document in counter.items() if document >= leasts[0]]
    result = {"seconds": time.perf_counter() - begin, "start MB": start, "peak MB": memory(), "kept": len(found)}
    digests = [digest(item for item in counter.items() if item[1] >= least) for least in leasts]
    return {**result, "distinct": len(counter)}, digests


def count_on_disk(path, leasts):
    from hicra_trl.grams.mining.counting import Candidates, Counting, run_map, write_blocks
    from hicra_trl.grams.mining.ngrams import Rules

    def candidates(least):
        counting = Counting(Path(folder), names, Rules(), least)
        for title, function in counting.maps.items():
            run_map(function, names, title, num_proc=1)
        return Candidates(counting)

    start = memory()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        names = write_blocks(stream(path), Path(folder))
        found = candidates(leasts[0])
        kept = len(found.phrases)
        result = {"seconds": time.perf_counter() - begin, "start MB": start, "peak MB": memory(), "kept": kept}
        result["disk"] = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
        found = [found, *map(candidates, leasts[1:])]
    return result, [digest(zip(each.phrases, each.document.tolist())) for each in found]


def embed_in_turns(path, number, repeat):
    import torch

    from hicra_trl.grams.mining.clusters import embed, load_embedding_model

    torch.set_num_threads(1)
    counter = Counter()
    for solution in stream(path, number):
        counter.update(ngrams(solution))
    phrases = sorted(gram for gram, _ in counter.most_common(EMBEDDED))
    model = load_embedding_model("all-MiniLM-L6-v2")
    methods = {
        "encode(batch_size=32)": lambda some: model.encode(some, batch_size=32, show_progress_bar=False),
        "encode(batch_size=256)": lambda some: model.encode(some, batch_size=256, show_progress_bar=False),
        "this package": lambda some: embed(some, model),
    }
    seconds, vectors = {name: [] for name in methods}, {}
    for method in methods.values():
        method(phrases[:100])
    for _ in range(repeat):
        for name, method in methods.items():
            begin = time.perf_counter()
            vectors[name] = method(phrases)
            seconds[name].append(time.perf_counter() - begin)
    ours = vectors["this package"]
    return {
        name: {
            "number": len(phrases),
            "speed": len(phrases) / statistics.median(seconds[name]),
            "cosine": float(((vectors[name] * ours).sum(1) / np.linalg.norm(vectors[name], axis=1)).min()),
        }
        for name in methods
    }


def mine(path):
    import torch

    from hicra_trl.grams.mining import mine as mining

    torch.set_num_threads(1)
    names = ("write_blocks", "run_map", "Candidates", "load_embedding_model", "embed", "kmeans")
    watches = [Stopwatch(mining, name) for name in names]
    start, begin = memory(), time.perf_counter()
    lexicon = mining.mine_strategic_grams(stream(path))
    seconds = time.perf_counter() - begin
    stages = [watch.seconds for watch in watches]
    return {
        **dict(zip(STAGES, [*stages, seconds - sum(stages)])),
        "seconds": seconds,
        "n-grams clustered": lexicon.provenance["counts"]["n-grams clustered"],
        "lexicon": len(lexicon),
        "start MB": start,
        "peak MB": memory(),
    }


class Stopwatch:
    """Adds up the time spent in a function of a module."""

    def __init__(self, module, name):
        self.seconds = 0.0
        function = getattr(module, name)

        def timed(*args, **kwargs):
            begin = time.perf_counter()
            result = function(*args, **kwargs)
            self.seconds += time.perf_counter() - begin
            return result

        setattr(module, name, timed)


def memory():
    """The most megabytes that the process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6 * (1 if sys.platform == "darwin" else 1024)


def digest(frequencies):
    lines = "\n".join(sorted(f"{gram}\t{document}" for gram, document in frequencies))
    return hashlib.blake2b(lines.encode()).hexdigest()


def in_process(function, *args):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def median(results):
    """Medians over the repetitions, but of memory the most."""
    summary = {key: (max if key in ("start MB", "peak MB") else statistics.median) for key in results[0]}
    return {key: summary[key]([result[key] for result in results]) for key in results[0]}


# Tables


class Growth:
    """What was measured at each size, and the power of the size that fits it best."""

    def __init__(self):
        self.values = {}

    def add(self, name, size, value):
        self.values.setdefault(name, {})[size] = value

    def exponent(self, name):
        sizes, values = zip(*self.values[name].items())
        return np.polyfit(np.log(sizes), np.log(values), 1)[0]

    def at(self, name, size):
        """Extrapolates from the largest size."""
        largest = max(self.values[name])
        return self.values[name][largest] * (size / largest) ** self.exponent(name)


def show(title, *cells):
    print(f"{title:<28}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def show_corpora(paths):
    show("Solutions", "number", "MB", "words each", "n-grams each")
    for size, path in paths.items():
        figures = in_process(write_corpus, path, size)
        show("generated", f"{size:,}", *(f"{figure:,.0f}" for figure in figures))


def show_counting(paths, repeat, growth):
    print()
    columns = ("seconds", "solutions/s", "start MB", "peak MB", "kept", "package is", "identical")
    show("Counting", "solutions", *columns)
    for size, path in paths.items():
        leasts = [max(2, math.ceil(SHARE * size)), *([2] if size <= SMALL else [])]
        methods = {"Counter of strings": count_in_memory, "this package": count_on_disk}
        turns = [[in_process(method, path, leasts) for method in methods.values()] for _ in range(repeat)]
        results = {name: median([result for result, _ in column]) for name, column in zip(methods, zip(*turns))}
        identical = [len(set(digests)) == 1 for digests in zip(*(digests for turn in turns for _, digests in turn))]
        package = results["this package"]
        for name, result in results.items():
            seconds, speed = result["seconds"], size / result["seconds"]
            figures = (f"{figure:,.0f}" for figure in (speed, result["start MB"], result["peak MB"], result["kept"]))
            ratio, same = f"{seconds / package['seconds']:.2f} x", f"{sum(identical)} of {len(identical)}"
            show(name, f"{size:,}", f"{seconds:.2f}", *figures, ratio, same)
            growth.add(f"{name}, s", size, seconds)
        growth.add("distinct n-grams", size, results["Counter of strings"]["distinct"])
        growth.add("work folder, MB", size, package["disk"])


def show_embedding(paths, repeat):
    print()
    show("Embedding", "n-grams", "n-grams/s", "package is", "least cosine")
    results = in_process(embed_in_turns, paths[max(paths)], min(SMALL, max(paths)), repeat)
    for name, result in results.items():
        ratio = results["this package"]["speed"] / result["speed"]
        show(name, f"{result['number']:,}", f"{result['speed']:,.0f}", f"{ratio:.2f} x", f"{result['cosine']:.6f}")


def show_whole(paths, repeat, growth):
    print()
    show("The whole", *(f"{size:,}" for size in paths))
    results = [median([in_process(mine, path) for _ in range(repeat)]) for path in paths.values()]
    for stage in ("seconds", *STAGES):
        show(stage if stage == "seconds" else f"  {stage}", *(f"{result[stage]:,.2f}" for result in results))
    for figure in ("n-grams clustered", "lexicon", "start MB", "peak MB"):
        show(figure, *(f"{result[figure]:,.0f}" for result in results))
    for size, result in zip(paths, results):
        growth.add(WHOLE, size, result["seconds"])
        growth.add(EVERY_SOLUTION, size, result["seconds"] - sum(result[stage] for stage in BOUNDED))


def show_growth(growth, sizes):
    print()
    show("Growth", *(f"{size:,}" for size in sizes), "exponent", f"{LARGE:,}")
    for name, values in growth.values.items():
        large = growth.at(EVERY_SOLUTION if name == WHOLE else name, LARGE)
        if name == WHOLE:
            large += values[max(sizes)] - growth.values[EVERY_SOLUTION][max(sizes)]
        digits = 2 if name.endswith(", s") else 0
        figures = (f"{value:,.{digits}f}" for value in values.values())
        show(name, *figures, f"{growth.exponent(name):.2f}", f"{large:,.0f}")
    print(f"The last column is extrapolated: from {max(sizes):,} solutions, by the exponent. In the whole,")
    print(f"{', '.join(BOUNDED)} are taken as they are there, since the n-grams kept hardly grow in number.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="numbers of solutions")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions, of which the median is shown")
    parser.add_argument("--skip", nargs="+", default=[], choices=("counting", "embedding", "whole"))
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    growth = Growth()
    with tempfile.TemporaryDirectory() as folder:
        paths = {size: Path(folder) / f"{size}.parquet" for size in sorted(set(args.sizes))}
        show_corpora(paths)
        if "counting" not in args.skip:
            show_counting(paths, args.repeat, growth)
        if "embedding" not in args.skip:
            show_embedding(paths, args.repeat)
        if "whole" not in args.skip:
            show_whole(paths, args.repeat, growth)
    if growth.values and len(paths) > 1:
        show_growth(growth, list(paths))


if __name__ == "__main__":
    main()
