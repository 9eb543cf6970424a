"""Chaos: a small grid is run again and again, each time with another seeded fault, and must end as if there were none.

    make chaos FAULTS=40 SEED=1

`lab` runs commands and sees what they leave behind, `faults` is the table of what is done to them, `compare` counts
what is lost, doubled or different in the end, `campaign` puts them together. Linux only: it looks into /proc.
"""
