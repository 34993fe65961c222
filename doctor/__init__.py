"""vlm-doctor: says whether a vision-language model will run with MLX here, and makes it run."""

__version__ = "0.1.0"
