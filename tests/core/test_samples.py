"""Samples and messages: what they are is what their digests say."""

from __future__ import annotations

from assay.core import Message, Sample, digest


def test_fields_that_plain_turns_do_not_have_change_no_digest() -> None:
    plain = Message("user", "a")
    assert digest(plain) == digest({"role": "user", "content": "a"})
    assert digest(Message("user", "a", learned=False)) != digest(plain)
    assert Sample.single("ab", "cd").id == "0a763e6a66662957275af59ff0e58050"
    told = Sample((plain, Message("assistant", "b", tool_calls="[]")))
    assert told.id != Sample.single("a", "b").id and told.messages[1].said == "b\n[]"
