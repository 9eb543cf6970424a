"""A benchmark and ablation harness with a results database. Importing it changes nothing in the process."""

__version__ = "0.1.0"
