"""Tiny random checkpoints of real architectures, each with a tokenizer of its family's kind, trained here.

What is told apart is what differs in reality: split rule, metaspace and byte fallback, marks, who writes the
start mark, chat template, tied heads, rows of the embedding beyond the tokenizer, attention, soft caps.
Weights are drawn wide, so that logits differ and greedy answers have no ties.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from assay.data.synthetic import generate

FAMILIES = ("llama", "llama3", "bloom", "qwen", "mistral", "neox", "gemma")
VOCABULARY = 600

_BYTES = [f"<0x{value:02X}>" for value in range(256)]
_LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_SPLIT = _LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
_BLOOM_SPLIT = " ?[^(\\s|[.,!?…。，、।۔،])]+"

_LLAMA3_CHAT = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    "+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_QWEN_CHAT = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
_MISTRAL_CHAT = (
    "{{ bos_token }}{% for message in messages %}" + _ALTERNATE + "{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token}}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
_GEMMA_CHAT = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    + _ALTERNATE
    + "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}"
    "{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Family:
    """Marks ``first`` in the vocabulary and ``last`` after it, by role; ``settings`` of tokenizer_config."""

    architecture: str
    tokenizer_class: str
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    sentencepiece: bool = False
    bos: str | None = None
    eos: str = "</s>"
    pad: str | None = None
    stops: tuple[str, ...] = ()
    adds_bos: bool = False
    chat: str | None = None
    row_multiple: int = 1
    settings: dict[str, Any] = field(default_factory=dict)


_SP = {"sentencepiece": True, "adds_bos": True, "tokenizer_class": "LlamaTokenizer"}
_SP_MARKS = {"first": ("<unk>", "<s>", "</s>"), "bos": "<s>", "settings": {"unk_token": "<unk>"}}
_FAMILIES = {
    "llama": Family("Llama", **_SP, **_SP_MARKS),
    "mistral": Family("Mistral", **_SP, **_SP_MARKS, chat=_MISTRAL_CHAT),
    "llama3": Family(
        "Llama",
        "PreTrainedTokenizerFast",
        last=(
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eot_id|>",
        ),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        stops=("<|end_of_text|>",),
        adds_bos=True,
        chat=_LLAMA3_CHAT,
    ),
    "bloom": Family(
        "Bloom",
        "BloomTokenizerFast",
        first=("<unk>", "<s>", "</s>", "<pad>"),
        bos="<s>",
        pad="<pad>",
        row_multiple=64,
        settings={"unk_token": "<unk>", "padding_side": "left"},
    ),
    "qwen": Family(
        "Qwen2",
        "Qwen2Tokenizer",
        last=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
        pad="<|endoftext|>",
        stops=("<|endoftext|>",),
        chat=_QWEN_CHAT,
        row_multiple=64,
    ),
    "neox": Family(
        "GPTNeoX",
        "GPTNeoXTokenizer",
        first=("<|endoftext|>", "<|padding|>"),
        bos="<|endoftext|>",
        eos="<|endoftext|>",
        row_multiple=64,
        settings={"unk_token": "<|endoftext|>", "add_prefix_space": False},
    ),
    "gemma": Family(
        "Gemma2",
        "GemmaTokenizer",
        first=("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"),
        sentencepiece=True,
        bos="<bos>",
        eos="<eos>",
        pad="<pad>",
        stops=("<end_of_turn>",),
        adds_bos=True,
        chat=_GEMMA_CHAT,
        row_multiple=64,
        settings={"unk_token": "<unk>"},
    ),
}


def build(family: str, folder: Path, hidden: int = 64) -> Path:
    """Write a checkpoint of ``family`` with rows of ``hidden`` into ``folder`` and return it."""
    rules = _FAMILIES[family]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(family, rules, folder)
    _write_model(family, rules, vocabulary, folder, hidden)
    return folder


_EXPERTS = {"num_experts_per_tok": 2, "num_local_experts": 4}
OTHERS: dict[str, dict[str, Any]] = {
    "Qwen3": {"head_dim": 16},
    "Qwen3Moe": {"head_dim": 16, "moe_intermediate_size": 32, **_EXPERTS},
    "Mixtral": _EXPERTS,
    "Gemma3Text": {"head_dim": 16, "sliding_window": 32},
    "Phi": {},
    "Phi3": {"pad_token_id": 0},
    "Granite": {"logits_scaling": 4.0},
    "Olmo2": {},
    "GptOss": {"head_dim": 16, "sliding_window": 32, "layer_types": ["sliding_attention", "full_attention"],
               **_EXPERTS},
    "GPT2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
}  # fmt: skip
"""Other architectures, of which only the network is their own: the tokenizer is ``qwen``'s."""


def build_other(architecture: str, tokenizer: Path, folder: Path) -> Path:
    """Write a checkpoint of one of :data:`OTHERS` with the tokenizer of another folder."""
    import shutil

    import torch
    import transformers

    shape = {"num_key_value_heads": 2, **_shape("qwen", 64)} if architecture != "GPT2" else {}
    marks = json.loads((tokenizer / "generation_config.json").read_text())
    rows = json.loads((tokenizer / "config.json").read_text())["vocab_size"]
    config = getattr(transformers, f"{architecture}Config")(
        **{"tie_word_embeddings": False, **shape, "vocab_size": rows, "bos_token_id": None,
           "eos_token_id": marks["eos_token_id"], "initializer_range": 0.1, **OTHERS[architecture]}
    )  # fmt: skip
    names = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        getattr(transformers, names.get(architecture, f"{architecture}ForCausalLM"))(config).save_pretrained(
            folder
        )
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(tokenizer / name, folder / name)
    return folder


@cache
def _texts() -> tuple[str, ...]:
    samples = [planted.sample for planted in generate(2400, seed=7)]
    return tuple(message.content for sample in samples for message in sample.messages)


def _write_tokenizer(family: str, rules: Family, folder: Path) -> dict[str, int]:
    from tokenizers import AddedToken, processors

    tokenizer = _sentencepiece(family, rules) if rules.sentencepiece else _byte_level(family, rules)
    tokenizer.add_special_tokens([AddedToken(m, special=True, normalized=False) for m in rules.first])
    tokenizer.add_special_tokens([AddedToken(m, special=True, normalized=False) for m in rules.last])
    if rules.adds_bos:
        bos = str(rules.bos)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": rules.tokenizer_class,
        "bos_token": rules.bos,
        "eos_token": rules.eos,
        "pad_token": rules.pad,
        "chat_template": rules.chat,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        **({"add_bos_token": True, "add_eos_token": False} if rules.sentencepiece else {}),
        **rules.settings,
    }
    kept = {key: value for key, value in settings.items() if value is not None or key == "bos_token"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept, ensure_ascii=False, indent=2) + "\n")
    return tokenizer.get_vocab(with_added_tokens=True)


def _sentencepiece(family: str, rules: Family) -> Any:
    """BPE over characters with byte fallback and a metaspace, as converted from SentencePiece."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    lines = [line for text in _texts() for line in text.split("\n")]
    learner.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[*rules.first, *_BYTES],
            limit_alphabet=200,
            show_progress=False,
        ),
    )
    state = json.loads(learner.to_str())["model"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=state["vocab"],
            merges=[tuple(pair) for pair in state["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if family == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        parts.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(parts)
    return tokenizer


def _byte_level(family: str, rules: Family) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=family == "llama3"))
    if family in ("qwen", "neox"):
        tokenizer.normalizer = normalizers.NFC()
    split = {"llama3": _LLAMA3_SPLIT, "qwen": _QWEN_SPLIT, "bloom": _BLOOM_SPLIT}.get(family)
    if split is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(split), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _texts(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - len(rules.last),
            special_tokens=list(rules.first),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def _write_model(family: str, rules: Family, vocabulary: dict[str, int], folder: Path, hidden: int) -> None:
    import torch
    import transformers

    rows = -(-len(vocabulary) // rules.row_multiple) * rules.row_multiple
    marks = {
        "bos_token_id": vocabulary[rules.bos] if rules.bos else None,
        "eos_token_id": vocabulary[rules.eos],
        "pad_token_id": vocabulary[rules.pad] if rules.pad else None,
    }
    config_class = getattr(transformers, f"{rules.architecture}Config")
    config = config_class(vocab_size=rows, **marks, **_shape(family, hidden))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{rules.architecture}ForCausalLM")(config)
        if family == "bloom":
            # Else its normed, tied embeddings repeat the last token for ever.
            model.transformer.ln_f.weight.data.normal_()
    stops: Sequence[int] = [vocabulary[mark] for mark in (rules.eos, *rules.stops)]
    model.generation_config = transformers.GenerationConfig(
        **{**marks, "eos_token_id": list(stops) if len(stops) > 1 else stops[0]}
    )
    model.save_pretrained(folder)


def _shape(family: str, hidden: int) -> dict[str, Any]:
    if family == "bloom":
        return {"hidden_size": hidden, "n_layer": 2, "n_head": 4, "initializer_range": 0.1}
    shape = {
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
    }
    special: dict[str, dict[str, Any]] = {
        "llama": {"num_key_value_heads": 4},
        "llama3": {"num_key_value_heads": 2, "rope_theta": 500000.0},
        "qwen": {"num_key_value_heads": 2, "tie_word_embeddings": True},
        "mistral": {"num_key_value_heads": 2, "sliding_window": 32},
        "neox": {"use_parallel_residual": True, "rotary_pct": 0.25},
        "gemma": {
            "num_key_value_heads": 2,
            "head_dim": hidden // 2,
            "query_pre_attn_scalar": hidden // 2,
            "sliding_window": 32,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 3.0,
        },
    }
    return {**shape, **special[family]}
