"""The laws of judges: ways to score an answer without a chat model."""

from __future__ import annotations

from typing import Any

from assay import judging
from assay.testing._data import items
from assay.testing._suite import Suite


def fingerprint(name: str) -> list[Any]:
    """Return all scores, or the reasons for there being none."""
    found = [judging.judge(item, answer, name) for item, answer in items()]
    return [row.reason if row.score is None else row.score for row in found]


class JudgeSuite(Suite):
    """Inherit it and set ``name``."""

    plugins = judging.PLUGINS
    fingerprint = f"{__name__}:fingerprint"

    def test_each_answer_has_a_score_or_a_reason(self) -> None:
        """A score is in [0, 1]; where there is none, a reason says why."""
        for item, answer in items():
            found = judging.judge(item, answer, self.name)
            if found.score is None:
                assert found.reason and found.reason.strip(), f"no score and no reason for {answer!r}"
            else:
                assert 0 <= found.score <= 1, f"{found.score!r} for {answer!r}"
                assert found.reason is None, f"a score and a reason: {found.reason}"

    def test_some_answers_have_a_score(self) -> None:
        """It can score something of what the testbed asks."""
        assert any(isinstance(value, float) for value in fingerprint(self.name)), "no answer has a score"

    def test_the_order_of_answers_changes_nothing(self) -> None:
        """A judge remembers nothing of what it was asked before."""
        turned = [judging.judge(item, answer, self.name) for item, answer in items()[::-1]]
        straight = [judging.judge(item, answer, self.name) for item, answer in items()]
        assert turned[::-1] == straight, "scores depend on what was judged before"

    def test_judgements_say_who_judged(self) -> None:
        """The method names the judge and its version, so that scores of two versions are not compared."""
        item, answer = items()[0]
        method = judging.judge(item, answer, self.name).method
        assert method.startswith(f"{self.name}-v"), method
        if not self.ours:
            entry = judging.PLUGINS.entry(self.name)
            assert entry.distribution in method and entry.version in method, method
