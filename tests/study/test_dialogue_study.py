"""A study whose evaluation is dialogues that a chat model rates turn by turn, over real HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import study
from assay.core import OVERALL, AssayError, StudyResult
from assay.study._config import parse_config

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "llm"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from chat_server import serving

    monkeypatch.setenv("PROMPTS_SEEN", str(tmp_path / "seen.jsonl"))
    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-test")
    with serving(script="dialogue_judge:answer", script_path=str(HERE)) as running:
        yield running


def asked(folder: Path, url: str, **changes: Any) -> dict[str, Any]:
    """Write four questions of two categories, two with references, and return a study of them."""
    kinds = ["math", "math", "writing", "writing"]
    rows = [
        {"question_id": n, "category": kind, "turns": [f"Say {n}.", "Say it again."]}
        for n, kind in enumerate(kinds)
    ]
    known = [{"question_id": n, "choices": [{"turns": [f"{n}", f"{n}!"]}]} for n in range(2)]
    for name, found in (("question", rows), ("reference", known)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    few: dict[str, Any] = {"types": ["math"], "languages": ["en"]}
    return {
        "name": "talks", "pool": {"testbed": {"samples": 60, **few}}, "control": False,
        "evaluation": {"dialogues": "question.jsonl", "references": "reference.jsonl", "max_new_tokens": 5},
        "recipe_check": False, "ladder": {"rungs": [8, 16], "seeds": 1},
        "recipe": {"preset": "testbed", "batch_size": 8}, "measure": {"text": False},
        "judge": {"model": "openai-api/scripted/judge", "base_url": url, "repeats": 1, "temperature": 0},
        **changes,
    }  # fmt: skip


def test_dialogues_as_the_evaluation(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each category is a type, both turns of a question count and are one cluster; nothing is asked twice."""
    monkeypatch.chdir(tmp_path)
    config = asked(tmp_path, server.url)
    result = study.run(config, pool="inline")
    assert isinstance(result, StudyResult)
    points = {(p.type, p.n_train): p for p in result.points}
    assert {kind for kind, _ in points} == {OVERALL, "math", "writing"} and len(points) == 9
    assert all(p.metric == "score" and 0 <= p.value <= 1 for p in result.points)
    assert points["math", 8].n_eval == points["writing", 8].n_eval == 4
    asked_for = len(server.log())
    texts = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    seconds = [text for text in texts if "Say it again." in text]
    assert seconds and all("[assistant]" in text for text in seconds), "the model's own answer stands before"
    assert any("[1] 0\n\n[2] 0!" in text for text in seconds)
    assert study.run(config, pool="inline") == result and len(server.log()) == asked_for


def test_dialogues_beside_the_evaluation(
    tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As abilities they have curves of their own and never enter overall."""
    monkeypatch.chdir(tmp_path)
    few: dict[str, Any] = {"types": ["math"], "languages": ["en"]}
    config = asked(tmp_path, server.url)
    dialogues = config.pop("evaluation")
    config |= {"evaluation": {"testbed": {"samples": 6, "seed": 1, **few}}}
    config["measure"] = {"text": False, "max_new_tokens": 4, "abilities": {**dialogues, "limit": 1}}
    result = study.run(config, pool="inline")
    assert isinstance(result, StudyResult)
    assert {p.type for p in result.points} == {"math"}
    assert result.abilities is not None and {c.type for c in result.abilities.curves} >= {"math", "writing"}


def test_dialogues_need_a_judge(tmp_path: Path) -> None:
    config = asked(tmp_path, "http://127.0.0.1:9")
    del config["judge"]
    with pytest.raises(AssayError, match="chat model that rates"):
        parse_config(config)
