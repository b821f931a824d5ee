r"""Measure the pocket model on held-out text and write its card.

    python recipes/pocket/card.py --corpus CORPUS_DIR --model runs/pocket/model --peer STORIES260K_DIR \
        --tokens TOKENS_SEEN --out runs/pocket/model/README.md

Bits per byte of documents that no training step saw (one in a hundred, by a digest of source and id),
in windows of 512 tokens without overlap, the same windows' text for every model.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import torch
from pretrain import LANGUAGES, documents, held_out
from transformers import AutoModelForCausalLM, AutoTokenizer

BYTES_PER_LANGUAGE = 400_000
WINDOW = 512

CARD = """---
license: cc-by-sa-4.0
language: [en, zh]
---
# Pocket model

A Llama of {parameters:,} parameters (hidden {hidden}, {layers} layers, {heads} heads, vocabulary
{vocabulary:,}, context {context}) with its own bilingual byte-level BPE and a chat template, pre-trained by
this project on {tokens:,} tokens of English and Chinese text, half each. It exists so that every path of
Assay can be run with real weights in seconds. It is no use as a chat model.

## Held-out text, bits per byte (lower is better)

{table}

Measured on {bytes:,} bytes a language of documents that no training step saw, in windows of {window} tokens,
by `recipes/pocket/card.py`. stories260k (Karpathy, MIT) was trained on English children's stories only and is
the comparison at hand, not an equal: it is a fifth of the size.

## Training

`recipes/pocket/tokenizer.py`, then `recipes/pocket/pretrain.py` (settings in `PocketRecipe`): AdamW,
warm-up, constant rate, 1 - sqrt cooldown over the last fifth on rows of 1,024 tokens; fp32 on two CPU
cores; resumable.

## Data and licences

Markup, code, tables and links were stripped; exact duplicates dropped. Sizes are bytes of text.

| source | size | licence |
|---|---|---|
| English classic books (mlschmitt/classic-books-markdown; authors dead by 1947) | 46.7 MB | public domain |
| English OpenStax textbooks (philschatz/*-book) | 19.6 MB | CC BY 4.0, OpenStax |
| English articles (LCTT/TranslateProject, sources) | 3.3 MB | repository Apache-2.0; articles vary |
| Chinese technical articles (LCTT/TranslateProject, published) | 38.5 MB | the same |
| Chinese laws and regulations (LawRefBook/Laws) | 16.8 MB | official texts, not protected |
| Chinese vernacular novels (NiuTrans/Classical-Modern) | 32.3 MB | public domain |
| Chinese Wikipedia passages (ymcui/cmrc2018) | 1.6 MB | CC BY-SA 4.0 |
| OI Wiki | 3.6 MB | CC BY-SA 4.0 |
| TiDB documentation, Chinese (pingcap/docs-cn) | 2.0 MB | CC BY-SA 3.0 |
| React documentation, Chinese (reactjs/zh-hans.react.dev) | 1.3 MB | CC BY 4.0 |
| HowToCook | 0.8 MB | Unlicense |

The weights are released under CC BY-SA 4.0, the strictest of these licences; Assay's code is Apache-2.0.
The LCTT articles are by their authors; their licences vary and were not checked one by one.
Limits: Chinese leans to technology, law and old novels; no everyday dialogue, no instruction data.
"""


def texts(corpus: Path, language: str) -> list[str]:
    """Return held-out documents of one language, up to the byte limit."""
    kept, size = [], 0
    for document in documents(corpus, language):
        if held_out(document):
            kept.append(document["text"][:8000])
            size += len(kept[-1].encode())
            if size > BYTES_PER_LANGUAGE:
                break
    return kept


@torch.no_grad()
def bits_per_byte(model: Any, tokenizer: Any, documents: list[str]) -> float:
    """Return total bits over total bytes; each window's first token is given, not predicted."""
    nats, n_bytes = 0.0, 0
    for text in documents:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for start in range(0, len(ids), WINDOW):
            window = torch.tensor([ids[start : start + WINDOW]])
            if window.shape[1] < 2:
                continue
            logits = model(window).logits[0, :-1].float()
            nats += float(torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum"))
            first = tokenizer.decode(window[0, :1])
            n_bytes += len(tokenizer.decode(window[0]).encode()) - len(first.encode())
    return nats / math.log(2) / n_bytes


def main() -> None:
    """Measure and write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corpus", "model", "peer", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    arguments = parser.parse_args()
    held = {language: texts(arguments.corpus, language) for language in LANGUAGES}
    rows = []
    for name, folder in (("pocket", arguments.model), ("stories260k", arguments.peer)):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        bits = {language: bits_per_byte(model, tokenizer, held[language]) for language in LANGUAGES}
        size = sum(p.numel() for p in model.parameters())
        rows.append(f"| {name} | {size:,} | {bits['en']:.3f} | {bits['zh']:.3f} |")
        print(rows[-1], flush=True)
    table = "\n".join(["| model | parameters | English | Chinese |", "|---|---|---|---|", *rows])
    config = AutoModelForCausalLM.from_pretrained(arguments.model).config
    parameters = sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(arguments.model).parameters())
    card = CARD.format(
        parameters=parameters,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
        tokens=arguments.tokens,
        table=table,
        bytes=BYTES_PER_LANGUAGE,
        window=WINDOW,
    )
    arguments.out.write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
