"""Ratings by a chat model, asked over HTTP of a scripted server: values, cache, budget, selections."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import study
from assay.cli import build
from assay.core import AssayError, Sample
from assay.indicators import Undefined, ready, used_by
from assay.indicators._ratings import _READERS, rating_request

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "llm"))
MODEL = "openai-api/scripted/rater"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    from chat_server import serving

    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-test")
    monkeypatch.chdir(tmp_path)
    with serving(script="rating_script:answer", script_path=str(HERE)) as running:
        yield running


@pytest.fixture
def models(server: Any, tmp_path: Path) -> Callable[..., assay.Models]:
    def made(**changes: Any) -> assay.Models:
        given = {"rater": MODEL, "rater_url": server.url, "embedder": "lexical", "cache": tmp_path / "scores"}
        return assay.Models(**{**given, **changes})

    return made


def values(name: str, models: assay.Models, samples: list[Sample]) -> list[Any]:
    (indicator,) = ready([name], models, samples)
    assert indicator.measure is not None
    return [v.reason if isinstance(v, Undefined) else v for v in indicator.measure(samples)]


def calls(server: Any) -> int:
    return len(server.log())


SAMPLES = [
    Sample.single("Add one HICCUP", "PERFECT: score: 1"),
    Sample.single("Add two GARBLE", "GREAT"),
    Sample.single("用三句话写一首诗", "FAIR 的诗", language="zh"),
    Sample.single("Say nothing", None),
    Sample.single("PERFECT question", "POOR"),
]


def test_ratings_are_read_or_undefined_with_a_reason(
    server: Any, models: Callable[..., assay.Models]
) -> None:
    quality = values("alpagasus", models(), SAMPLES)
    assert quality == [5.0, "no rating: malformed", 3.0, "no answer", 1.0]
    before = calls(server)
    assert values("alpagasus", models(), SAMPLES[:1] + SAMPLES[2:]) == [quality[0], *quality[2:]]
    assert calls(server) == before, "replies are kept"
    assert values("deita_complexity", models(), SAMPLES[2:]) == [2.0, 2.0, 5.0], "of the prompt alone"
    assert values("deita", models(), [SAMPLES[4]]) == [1.0 * 5.0]
    assert values("instag", models(), [SAMPLES[0], SAMPLES[2]]) == [4.0, 2.0], "each tag once"


def test_chinese_samples_are_asked_in_chinese() -> None:
    for name in _READERS:
        english, chinese = (rating_request(name, s).messages[0].content for s in (SAMPLES[0], SAMPLES[2]))
        assert "[Instruction]\nAdd one" in english and "只回复一行" not in english
        assert "【指令】\n用三句话写一首诗" in chinese and "只回复一行" in chinese
    braces = Sample.single("Fill {answer} in", "it is {prompt}")
    asked = rating_request("alpagasus", braces).messages[0].content
    assert "Fill {answer} in" in asked and "it is {prompt}" in asked


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("score: 4.5", 4.5), ("Score：4", 4.0), ("4", 4.0), ("分数：3.5", 3.5), ("**score:** 2", 2.0),
        ("score: **2**", 2.0), ("score: 7", None), ("4 or 5", None), ("score: 3\nscore: 4", None),
        ("score: 3\nscore: 3", 3.0), ("no idea", None), ("", None), ("score: -1", None),
    ],
)  # fmt: skip
def test_replies_are_read_or_refused(reply: str, wanted: float | None) -> None:
    assert _READERS["alpagasus"](reply) == wanted


def test_a_budget_stops_and_a_larger_one_goes_on(server: Any, models: Callable[..., assay.Models]) -> None:
    many = [Sample.single(f"Task {n}", "GREAT") for n in range(40)]
    with pytest.raises(AssayError, match="got no rating") as stopped:
        values("alpagasus", models(rater_budget="4000 tokens"), many)
    assert "--rater-budget" in str(stopped.value)
    done = calls(server)
    assert 0 < done < 40
    assert values("alpagasus", models(rater_budget="1M tokens"), many) == [4.5] * 40
    assert calls(server) == 40, "none is paid twice"
    with pytest.raises(AssayError, match="needs a chat model"):
        values("alpagasus", models(rater=None), many)


def test_the_published_cut_and_score_first_diversity_are_one_command_each(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["PERFECT", "GREAT", "FAIR", "POOR"]
    rows = [
        {"instruction": f"Task {n} about {n * 7}", "input": "", "output": words[n % 4]} for n in range(20)
    ]
    Path("pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--rater", MODEL, "--rater-url", server.url, "--embedder", "lexical"]
    found = build("select")(
        ["select", "pool.jsonl", "--out", "best.jsonl", "--by", "alpagasus", *asked], exit_on_error=False
    )
    assert found.files[0].rows == 10, "those of 4.5 and more"
    assert any("10 of" in str(n) or f"Ratings by {MODEL}" in str(n) for n in found.notes)
    few = build("select")(
        [
            "select",
            "pool.jsonl",
            "--out",
            "few.jsonl",
            "--by",
            "deita",
            "--rule",
            "deita",
            "--n",
            "6",
            *asked,
        ],
        exit_on_error=False,
    )
    kept = [json.loads(line) for line in Path("few.jsonl").read_text().splitlines()]
    assert few.files[0].rows == 6 and len(kept) == 6
    with pytest.raises(AssayError, match="no sample has such a score"):
        assay.select("pool.jsonl", by="len_out", at_least=1e6)
    with pytest.raises(AssayError, match="a least score goes with"):
        assay.select("pool.jsonl", by="len_out", rule="bottom", at_least=1.0)


def test_ratings_are_part_of_a_studys_identity_and_of_a_rules(
    models: Callable[..., assay.Models], tmp_path: Path
) -> None:
    used = used_by(["deita"], models())
    assert used["rater"].name == MODEL and used["rater"].digest
    assert used_by(["alpagasus"], models())["rater"].digest != used["rater"].digest, "other prompts"
    pool = {"testbed": {"samples": 60}}
    config = {
        "name": "rated", "pool": pool, "evaluation": {"testbed": {"samples": 24, "seed": 1}},
        "ladder": {"rungs": [16], "seeds": 1}, "arms": {"best": {"rule": "top", "by": "deita"}},
        "models": {"rater": MODEL},
    }  # fmt: skip
    assert study.plan(config).models == 3
