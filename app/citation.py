"""How to cite the method."""

CITATION = """@misc{zhou2025asymmetricduos,
  title         = {Asymmetric Duos: Sidekicks Improve Uncertainty},
  author        = {Zhou, Tim G. and Shelhamer, Evan and Pleiss, Geoff},
  year          = {2025},
  eprint        = {2505.18636},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2505.18636}
}"""
