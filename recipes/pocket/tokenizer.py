"""Train the pocket model's tokenizer: a bilingual byte-level BPE of 4,096 tokens.

    python recipes/pocket/tokenizer.py --corpus CORPUS_DIR --out runs/pocket

The corpus folder holds ``en.jsonl.xz`` and ``zh.jsonl.xz`` (see the model card for sources).
Byte level means that every text round-trips; digits stand alone, so that arithmetic is learnable.
"""

from __future__ import annotations

import argparse
import json
import lzma
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 4096
SAMPLE_BYTES = {"en": 12_000_000, "zh": 12_000_000}
SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
# Words with their leading space, single digits, runs of other signs, white space.
SPLIT = r"(?:'[sdmt]|'ll|'ve|'re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def texts(corpus: Path) -> Iterator[str]:
    """Yield documents of both languages until each has given its share of bytes."""
    for language, limit in SAMPLE_BYTES.items():
        read = 0
        with lzma.open(corpus / f"{language}.jsonl.xz", "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"]
                read += len(text.encode())
                yield text
                if read > limit:
                    break


def train(corpus: Path) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE and wrap it with the chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts(corpus), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def main() -> None:
    """Train, save, and print characters per token in both languages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    tokenizer = train(arguments.corpus)
    tokenizer.save_pretrained(arguments.out / "model")
    for text in ("The quick brown fox jumps over 13 lazy dogs.", "数据质量比数据数量更重要吗？"):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        print(f"{len(text) / len(ids):.2f} characters per token: {text}")


if __name__ == "__main__":
    main()
