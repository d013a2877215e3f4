"""How strategic grams are mined: all that the paper leaves open (section 2.1)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ...fields import Checked, Count, Range, SomeShare
from .clusters import DEFAULT_MODEL


@dataclass
class MiningConfig(Checked):
    """
    What the paper's three steps leave open. The defaults separate strategic from procedural sentences best;
    [`MiningConfig.paper`] is the three steps and nothing else.

    Args:
        min_n (`int`, *optional*, defaults to `3`):
            Fewest words of an n-gram.
        max_n (`int`, *optional*, defaults to `5`):
            Most words of an n-gram.
        short_clauses (`bool`, *optional*, defaults to `True`):
            Whether a clause of fewer than `min_n` words counts as an n-gram, as "wait" and "hold on" are. The paper's
            list has such phrases, though n-grams of three to five words cannot yield them.
        digits_break (`bool`, *optional*, defaults to `True`):
            Whether digits end a clause, which no n-gram crosses, as punctuation and mathematics do. If not, a number
            is a word.
        min_document_frequency (`float`, *optional*, defaults to `0.02`):
            Share of the solutions that must have an n-gram, in (0, 1]; two solutions at least.
        max_term_ratio (`float`, *optional*):
            Largest term frequency / document frequency: the paper's prose calls strategic grams sparing within one
            solution. No limit by default, since long solutions repeat "wait" and "alternatively".
        drop_formulaic (`float`, *optional*, defaults to `0.35`):
            Share of the n-grams to leave out as procedural, in [0, 1): those most often in a sentence with digits or
            mathematics. N-grams that are so equally often as the first that stays, stay too.
        clustering (`Literal["kmeans", "none"]`, *optional*, defaults to `"kmeans"`):
            `"kmeans"` is FAISS's spherical k-means on sentence embeddings; `"none"` makes every n-gram its own.
        num_clusters (`int`, *optional*):
            Number of clusters. Defaults to one for five n-grams, 1,000 at most.
        rank_by (`Literal["mean", "cluster", "max"]`, *optional*, defaults to `"mean"`):
            What ranks clusters: the mean or the largest document frequency of their n-grams, or the cluster's own,
            which grows with its size.
        top_clusters (`float`, *optional*, defaults to `0.2`):
            Share of the clusters whose n-grams become the lexicon, in (0, 1].
        common (`float`, *optional*, defaults to `0.06`):
            A cluster whose `rank_by` frequency is at least this share of the solutions is kept, whatever its rank.
            `None` keeps the top clusters alone.
        embedding_model (`str`, *optional*, defaults to `"all-MiniLM-L6-v2"`):
            A sentence transformer: a folder, or a name on the Hub.
        seed (`int`, *optional*, defaults to `0`):
            Chooses the first centroids of k-means.

    Raises:
        `ValueError`: for a value outside its range.
    """

    min_n: int = 3
    max_n: int = 5
    short_clauses: bool = True
    digits_break: bool = True
    min_document_frequency: SomeShare = 0.02
    max_term_ratio: Annotated[float, Range("[1, inf)")] | None = None
    drop_formulaic: Annotated[float, Range("[0, 1)")] = 0.35
    clustering: Literal["kmeans", "none"] = "kmeans"
    num_clusters: Count | None = None
    rank_by: Literal["mean", "cluster", "max"] = "mean"
    top_clusters: SomeShare = 0.2
    common: SomeShare | None = 0.06
    embedding_model: str = DEFAULT_MODEL
    seed: Annotated[int, Range("[0, 2147483647]")] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.min_n <= self.max_n <= 10:
            raise ValueError(f"n-grams need 1 <= min_n <= max_n <= 10, got min_n {self.min_n} and max_n {self.max_n}")

    @classmethod
    def paper(cls, **changes: Any) -> "MiningConfig":
        """
        The paper's three steps literally: n-grams of three to five words, clusters, the top 20 % by Cluster DF.

        Args:
            changes:
                Fields to set otherwise.
        """
        literal = {
            "short_clauses": False,
            "min_document_frequency": 0.01,
            "drop_formulaic": 0.0,
            "rank_by": "cluster",
            "common": None,
        }
        return cls(**{**literal, **changes})
