"""A study at Tinker against a server that really trains: the ladder that Assay's own trainer gives."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tinker", reason="Tinker's SDK is not installed: pip install tinker")
if find_spec("peft") is None:
    pytest.skip("peft is not installed: the extra scale", allow_module_level=True)

import polars
import torch

from assay import model, study
from assay.core import AssayError, StudyResult

sys.path.insert(0, str(Path(__file__).parent.parent / "llm"))
from tinker_server import Row, TinkerProvider, Weights
from tune_server import tuning

RECIPE: dict[str, Any] = {
    "preset": "tinker", "rank": 4, "batch_size": 16, "learning_rate": 1e-2, "schedule": "cosine",
    "warmup_steps": 1, "weight_decay": 0.1,
}  # fmt: skip
PRICES = '[[price]]\nmodel = "tinker/own/pocket"\ninput = 1.0\noutput = 2.0\ntrain = 5.0\n'


class Trained(Weights):
    """The pocket model with an adapter, trained as the requests say; the formulas are the server's own."""

    def __init__(self, lora: Mapping[str, Any]) -> None:
        # peft takes seconds to import, and each process collects all tests.
        from assay.model.train._adapters import adapted

        super().__init__(lora)
        recipe = model.preset("tinker", rank=lora["rank"])
        self.network = adapted(model.resolve_base("pocket"), recipe, lora.get("seed", 0), "cpu").eval()
        own = [one for one in self.network.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(own, lr=1.0)

    def copy(self) -> Weights:
        made = Trained(self.lora)
        made.log = list(self.log)
        made.network.load_state_dict(self.network.state_dict())
        made.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
        return made

    def gradient(self, rows: Sequence[Row]) -> list[list[float]]:
        super().gradient(rows)
        found = []
        for ids, targets, weights in rows:
            scores = self._scores(ids)[range(len(ids)), targets]
            (-scores @ torch.tensor(weights)).backward()
            found.append(scores.tolist())
        return found

    def step(self, params: Mapping[str, float]) -> None:
        super().step(params)
        own = self.optimizer.param_groups[0]["params"]
        torch.nn.utils.clip_grad_norm_(own, params["grad_clip_norm"])
        self.optimizer.param_groups[0] |= {
            "lr": params["learning_rate"], "betas": (params["beta1"], params["beta2"]), "eps": params["eps"],
            "weight_decay": params["weight_decay"],
        }  # fmt: skip
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def score(self, ids: Sequence[int]) -> list[float]:
        return [float("nan"), *self._scores(ids[:-1])[range(len(ids) - 1), ids[1:]].tolist()]

    @torch.no_grad()
    def write(self, ids: Sequence[int], params: Mapping[str, Any]) -> list[int]:
        written: list[int] = []
        while len(written) < params["max_tokens"] and (not written or written[-1] not in params["stop"]):
            written.append(int(self._scores([*ids, *written])[-1].argmax()))
        return written

    def _scores(self, ids: Sequence[int]) -> torch.Tensor:
        logits: torch.Tensor = self.network(input_ids=torch.tensor([list(ids)])).logits[0]
        return logits.log_softmax(-1)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TinkerProvider]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.toml").write_text(PRICES)
    with tuning(TinkerProvider, weights=Trained, dies=(3,)) as running:
        yield running


def asked(provider: TinkerProvider, **changes: Any) -> dict[str, Any]:
    hosted = {"base_url": provider.url.removesuffix("/v1"), "tokenizer": "pocket", "save_every": 2}
    few: dict[str, Any] = {"types": ["math"], "languages": ["en"]}
    return {
        "name": "there", "base": "tinker/own/pocket", "recipe": RECIPE,
        "pool": {"testbed": {"samples": 90, **few}},
        "evaluation": {"testbed": {"samples": 6, "seed": 1, **few}},
        "ladder": {"rungs": [16, 40], "seeds": 1}, "measure": {"max_new_tokens": 12},
        "hosted": {**hosted, "prices": "prices.toml", "budget": "5 USD"}, **changes,
    }  # fmt: skip


def values(result: Any) -> dict[tuple[str, int], float]:
    assert isinstance(result, StudyResult)
    return {(p.metric, p.n_train): p.value for p in result.points if p.type == "math"}


def measured(store: str) -> list[tuple[str, ...]]:
    """Return the answers of every model that a store holds."""
    tables = [polars.read_parquet(file) for file in Path(store).rglob("items.parquet")]
    return sorted(tuple(table["answer"]) for table in tables)


def traces(store: str) -> list[list[tuple[int, float]]]:
    """Return the losses of the steps of every run that a store holds, the shortest run first."""
    reports = [json.loads(file.read_text()) for file in Path(store).rglob("train.json")]
    return sorted(([(step, loss) for step, loss in one["trace"]] for one in reports), key=len)


def test_the_ladder_is_that_of_the_own_trainer(provider: TinkerProvider) -> None:
    """Losses, answers, steps and verdicts agree, though a session is lost in the middle."""
    plan = study.plan(asked(provider))
    there = study.run(asked(provider), pool="inline")
    assert provider.met["died"] == 1
    own = asked(provider, name="here", base="pocket", control=False, recipe_check=False)
    del own["hosted"]
    own["measure"] = {"max_new_tokens": 12, "text": False}
    own["where"] = {"store": "own"}
    here = study.run(own, pool="inline")
    assert isinstance(there, StudyResult) and isinstance(here, StudyResult)
    found, wanted = values(there), values(here)
    assert set(found) == set(wanted) and {n for _, n in found} == {0, 16, 40}
    assert found == pytest.approx(wanted, abs=2e-5)
    assert measured(".assay") == measured("own") and len(set(measured("own"))) == 3
    for run, by_hand in zip(traces(".assay"), traces("own"), strict=True):
        assert [step for step, _ in run] == [step for step, _ in by_hand]
        assert [loss for _, loss in run] == pytest.approx([loss for _, loss in by_hand], abs=1e-5)
    assert found["loss", 40] < found["loss", 0] - 0.1
    most, billed = plan.plan.total.money["USD"], provider.billed() * 1e-6
    assert billed < most and "USD" in (Path("runs/there") / "cost.json").read_text()
    assert [row.n_train for row in there.runs] == [16, 40] and there.recipe["rank"] == 4
    before = dict(provider.asked)
    study.run(asked(provider), pool="inline")
    assert dict(provider.asked) == before


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"recipe": "pocket"}, "recipe.adapter"),
        ({"recipe": "belle-lora"}, "recipe.adapter_dropout"),
        ({"recipe": {"preset": "tinker", "targets": ["q_proj"]}}, "recipe.targets"),
        ({"hosted": {"epochs": 5}}, "hosted.epochs"),
        ({"question": {"recipes": [1e-4]}}, "question.recipes"),
        ({"arms": {"top": {"rule": "top", "by": "ifd"}}}, "arms.top"),
        ({"hosted": {"tokenizer": "no/such/folder"}}, "hosted.tokenizer"),
        ({"hosted": {"tokenizer": "pocket", "budget": "1 EUR", "prices": "prices.toml"}}, "hosted.budget"),
    ],
)
def test_what_it_cannot_do_is_refused(provider: TinkerProvider, changes: dict[str, Any], place: str) -> None:
    with pytest.raises(AssayError) as refused:
        study.plan({**asked(provider), **changes})
    assert refused.value.place == place


def test_without_a_recipe_the_preset_is_tinkers(provider: TinkerProvider) -> None:
    plain = asked(provider)
    del plain["recipe"]
    assert study.parse_config(plain).recipe == model.preset("tinker")
