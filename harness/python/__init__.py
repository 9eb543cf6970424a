"""The harness from Python, a notebook say: `harness.run` a study, `harness.load` results (docs/python.md).

`harness` gives them by name; pandas is imported by the first frame, torch by no one but the workers.
"""
