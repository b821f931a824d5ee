"""Samples and messages: what they are is what their digests say."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from assay.core import Message, Sample, digest
from assay.core._frozen import quickly_made


def test_fields_that_plain_turns_do_not_have_change_no_digest() -> None:
    plain = Message("user", "a")
    assert digest(plain) == digest({"role": "user", "content": "a"})
    assert digest(Message("user", "a", learned=False)) != digest(plain)
    assert Sample.single("ab", "cd").id == "0a763e6a66662957275af59ff0e58050"
    told = Sample((plain, Message("assistant", "b", tool_calls="[]")))
    assert told.id != Sample.single("a", "b").id and told.messages[1].said == "b\n[]"


def test_messages_and_samples_stay_frozen_however_they_are_made() -> None:
    made = Sample((Message("user", "a"), Message("assistant", "b", learned=False)), "code", origin="x:1")
    again = [pickle.loads(pickle.dumps(made)), copy.deepcopy(made), dataclasses.replace(made)]
    assert all(one == made and hash(one) == hash(made) and type(one) is Sample for one in again)
    for value, name in ((made, "type"), (made.messages[0], "content"), (made, "other")):
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
            setattr(value, name, "c")
    with pytest.raises(TypeError, match="content"):
        Message("user")  # type: ignore[call-arg]


def test_a_subclass_is_made_as_dataclasses_make_it() -> None:
    @dataclasses.dataclass(frozen=True)
    class Rated(Sample):
        rating: int = 0

    rated = Rated((Message("user", "a"),), rating=3)
    assert (type(rated), rated.rating, rated.prompt[0].content) == (Rated, 3, "a")
    assert dataclasses.replace(rated, rating=4).rating == 4


def test_only_plain_fields_are_set_quickly() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Listed:
        turns: list[str] = dataclasses.field(default_factory=list)

    with pytest.raises(TypeError, match=r"Listed\.turns"):
        quickly_made(Listed)
