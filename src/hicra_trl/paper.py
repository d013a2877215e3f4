"""The paper, as it is cited."""

PAPER_CITATION = """\
@article{wang2025emergent,
    title   = {{Emergent Hierarchical Reasoning in LLMs through Reinforcement Learning}},
    author  = {Haozhe Wang and Qixin Xu and Che Liu and Junhong Wu and Fangzhen Lin and Wenhu Chen},
    year    = 2025,
    eprint  = {arXiv:2509.03646},
}"""
