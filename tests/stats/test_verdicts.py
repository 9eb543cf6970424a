"""Verdicts of claims say in words what was shown of them."""

import pytest

from harness.stats.verdicts import Asked, Question, decide

FAR = [5.0 + i / 100 for i in range(9)]


@pytest.mark.parametrize(
    ("hypothesis", "gaps", "words"),
    [
        ("superiority", [-gap for gap in FAR], "an effect large enough to matter is ruled out"),
        ("non_inferiority", [-gap for gap in FAR], "a difference in the other direction, too large to be tolerated"),
        ("equivalence", FAR, "a difference large enough to matter is shown"),
    ],
)
def test_a_contradicted_claim_says_what_contradicts_it(hypothesis, gaps, words):
    decision = decide({"claim": Asked(Question(hypothesis, 1.0), gaps)})["claim"]
    assert decision.verdict == "contradicted"
    assert decision.why.startswith(words)
