"""Chat templates: how a conversation is written for a model, by the tokenizer's own rule or a named one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assay.core import AssayError, Message

# Alpaca's headings without its preamble; what tokenizers without a template get.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ '### Response:\\n' + message['content'] + eos_token | default('') }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)

# The cards of BELLE-7B-0.2M to 2M: prompts end in "Assistant:", answers follow after a space.  Turns follow
# each other without a separator, as in BELLE's training code.
_BELLE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Human: ' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ 'Assistant: ' + message['content'] + eos_token | default('') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

# Stanford Alpaca's prompt without input (an input is already part of the user's turn); a system turn takes
# the place of its preamble.
_ALPACA = (
    "{% if messages[0]['role'] != 'system' %}{{ 'Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\\n\\n' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ '### Response:' + message['content'] + eos_token | default('') }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:' }}{% endif %}"
)

_CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

TEMPLATES: Mapping[str, str] = {
    "plain": PLAIN_TEMPLATE,
    "belle": _BELLE,
    "alpaca": _ALPACA,
    "chatml": _CHATML,
}
AUTO = "auto"
_START = "{{ bos_token }}"


def chat_template(tokenizer: Any, name: str = AUTO) -> str:
    """Return a named template for a tokenizer; ``auto`` is the tokenizer's own, else ``plain``.

    A named template begins with the start mark where the tokenizer itself puts one before a text; an own
    template is taken as it is, as it says itself where a start mark belongs.
    """
    own: str | None = getattr(tokenizer, "chat_template", None)
    if name == AUTO and own:
        return own
    body = TEMPLATES["plain" if name == AUTO else name]
    bos = tokenizer.bos_token_id
    starts = bos is not None and tokenizer("")["input_ids"][:1] == [bos]
    return _START + body if starts else body


def starts_as_tokenizer(tokenizer: Any) -> bool:
    """Whether the template is a named one that begins with the start mark because the tokenizer does."""
    template = chat_template(tokenizer)
    return template.startswith(_START) and template.removeprefix(_START) in TEMPLATES.values()


def render(tokenizer: Any, messages: Sequence[Message], *, generation_prompt: bool = False) -> str:
    """Return the text of a conversation by the tokenizer's chat template or the plain default.

    Where a template refuses system turns, they are put before the user turn that follows.  Tools, tool calls
    and their results go to the template as its own language has them.  Raises :class:`AssayError` where it
    refuses the conversation even so (roles that do not alternate ...), or leaves tools out.
    """
    from jinja2 import TemplateError

    template = chat_template(tokenizer)
    try:
        return _apply(tokenizer, template, messages, generation_prompt)
    except TemplateError as error:
        folded = _without_system(messages)
        if len(folded) == len(messages):
            raise _refused(tokenizer, messages, error) from None
    try:
        return _apply(tokenizer, template, folded, generation_prompt)
    except TemplateError as error:
        raise _refused(tokenizer, messages, error) from None


def _apply(tokenizer: Any, template: str, messages: Sequence[Message], generation_prompt: bool) -> str:
    from jinja2 import TemplateError

    if not any(m.role == "tool" or m.tool_calls is not None or m.tools is not None for m in messages):
        return _written(tokenizer, template, messages, generation_prompt)
    if any(template.endswith(own) for own in TEMPLATES.values()):
        raise TemplateError("it knows no tools")
    try:
        text = _written(tokenizer, template, messages, generation_prompt)
        others = _with_others(messages)
        left = next((w for w, o in others if _same(tokenizer, template, o, generation_prompt, text)), "")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise TemplateError(f"it cannot write the tools ({error})") from None
    if left:
        raise TemplateError(f"it leaves out {left}")
    return text


def _same(
    tokenizer: Any, template: str, messages: Sequence[Message], generation_prompt: bool, text: str
) -> bool:
    from jinja2 import TemplateError

    try:
        return _written(tokenizer, template, messages, generation_prompt) == text
    except TemplateError:
        return False


def _written(tokenizer: Any, template: str, messages: Sequence[Message], generation_prompt: bool) -> str:
    tools = messages[0].tools if messages else None
    offered = {} if tools is None else {"tools": [_tool(one) for one in json.loads(tools)]}
    text: str = tokenizer.apply_chat_template(
        [_turn(m) for m in messages],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=generation_prompt,
        **offered,
    )
    return text


def _with_others(messages: Sequence[Message]) -> Iterator[tuple[str, list[Message]]]:
    """Yield what a conversation has of tools, and the same conversation with something else in its place."""
    if messages[0].tools is not None:
        yield "the list of tools", [replace(messages[0], tools=_renamed(messages[0].tools)), *messages[1:]]
    for index, message in enumerate(messages):
        before, after = list(messages[:index]), list(messages[index + 1 :])
        if message.tool_calls is not None:
            yield "a tool call", [*before, replace(message, tool_calls=_renamed(message.tool_calls)), *after]
        if message.role == "tool":
            yield "a tool's result", [*before, replace(message, content=message.content + "?"), *after]


def _renamed(listed: str) -> str:
    """Return tools or calls of which each has another name."""
    return json.dumps([_other(one) for one in json.loads(listed)])


def _other(one: Any) -> Any:
    if not isinstance(one, dict):
        return f"{one}_other"
    if isinstance(one.get("function"), dict):
        return one | {"function": _other(one["function"])}
    return one | {"name": f"{one.get('name')}_other"}


def _turn(message: Message) -> dict[str, Any]:
    """Return a turn as templates know it: the arguments of a call are a mapping, not a text."""
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls is not None:
        plain["tool_calls"] = [_with_arguments(call) for call in json.loads(message.tool_calls)]
    named = {"tool_call_id": message.tool_call_id, "name": message.name}
    return plain | {key: value for key, value in named.items() if value is not None}


def _with_arguments(call: dict[str, Any]) -> dict[str, Any]:
    arguments = call["function"]["arguments"]
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments)
        except ValueError:
            parsed = arguments
        arguments = parsed if isinstance(parsed, dict) else arguments
    return call | {"function": call["function"] | {"arguments": arguments}}


def _tool(tool: Any) -> Any:
    """Return a tool in the form that templates know: a bare function is wrapped."""
    bare = isinstance(tool, dict) and "function" not in tool and "name" in tool
    return {"type": "function", "function": tool} if bare else tool


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """Put each system turn before the user turn that follows it."""
    folded: list[Message] = []
    waiting = ""
    for message in messages:
        if message.role == "system":
            waiting += message.content + "\n\n"
        elif message.role == "user":
            folded.append(replace(message, content=waiting + message.content))
            waiting = ""
        else:
            folded.append(message)
    if folded and messages[0].tools is not None:
        folded[0] = replace(folded[0], tools=messages[0].tools)
    return folded


def _refused(tokenizer: Any, messages: Sequence[Message], error: Exception) -> AssayError:
    return AssayError(
        f"the chat template rejects a conversation: {error}",
        place=getattr(tokenizer, "name_or_path", None),
        value=", ".join(m.role for m in messages),
        expected="turns in an order that the model's chat template takes",
        hint="choose another template (recipe.template) or leave such samples out",
    )


def end_mark(tokenizer: Any) -> str:
    """Return the special token with which the template ends an assistant turn.

    Raises :class:`AssayError` where there is none: a model could not learn to stop.
    """
    content = "assay"
    text = render(tokenizer, (Message("user", "?"), Message("assistant", content)))
    tail = text[text.rindex(content) + len(content) :]
    special = sorted(tokenizer.added_tokens_decoder.values(), key=lambda token: -len(token.content))
    found: list[str] = [token.content for token in special if token.special and token.content in tail]
    if not found:
        raise AssayError(
            "the template writes no end token that the tokenizer knows",
            place=getattr(tokenizer, "name_or_path", None),
            value=tail,
            expected="a special token after the assistant's turn",
            hint="set eos_token in tokenizer_config.json to a special token, or choose another template",
        )
    return min(found, key=tail.index)


def stop_ids(tokenizer: Any) -> list[int]:
    """Return the ids that end an answer: the template's end mark and the tokenizer's own."""
    mark = tokenizer.convert_tokens_to_ids(end_mark(tokenizer))
    own = tokenizer.eos_token_id
    return [mark] if own is None or own == mark else [mark, own]
