"""What all suites ask of a plug-in: that it is listed, loaded by its name, and described."""

from __future__ import annotations

from typing import Any, ClassVar

from assay.core import Plugins
from assay.testing._elsewhere import elsewhere, here


class Suite:
    """The laws of every plug-in; ``name`` is that of its entry point."""

    name: ClassVar[str]
    plugins: ClassVar[Plugins[Any]]
    fingerprint: ClassVar[str]
    """``module:function`` that takes the name and returns values that have to be the same everywhere."""

    @property
    def ours(self) -> bool:
        """Whether it is an implementation of Assay's own, which no entry point names."""
        return self.name in self.plugins.own

    def test_it_is_known_by_its_name(self) -> None:
        """It is installed: an entry point of its group has the name, unlike any of ours, and it loads."""
        assert self.name in self.plugins.names, (
            f"no entry point {self.name} in the group {self.plugins.group}: is the package installed?"
        )
        if not self.ours:
            assert self.plugins[self.name] is self.plugins[self.name], "two loads give two objects"

    def test_its_identity_changes_with_its_package(self) -> None:
        """What steps are keyed by names distribution and version, and is the same in every process."""
        if not self.ours:
            entry, said = self.plugins.entry(self.name), self.plugins.identity(self.name)
            assert said.startswith(f"{entry.distribution} {entry.version} "), said
            assert said == elsewhere(f"{__name__}:identity", self.plugins.group, self.name), said

    def test_its_version_is_a_whole_number(self) -> None:
        """``version``, where there is one, is a whole number from 1."""
        if not self.ours:
            version = getattr(self.plugins[self.name], "version", 1)
            assert isinstance(version, int) and version >= 1, f"version {version!r}"

    def test_values_are_the_same_in_every_process(self) -> None:
        """Another process, with another seed of hashes and another folder, gives the same values."""
        mine = here(self.fingerprint, *self.arguments())
        again = here(self.fingerprint, *self.arguments())
        assert self.equal(mine, again), "a second call gives other values"
        there = elsewhere(self.fingerprint, *self.arguments())
        assert self.equal(mine, there), "another process gives other values"

    def equal(self, first: Any, second: Any) -> bool:
        """Tell whether two fingerprints are of the same values."""
        return bool(first == second)

    def arguments(self) -> tuple[Any, ...]:
        """Return what the fingerprint is called with: the name, unless a suite needs more."""
        return (self.name,)


def identity(group: str, name: str) -> str:
    """Return the identity of a plug-in of a group."""
    return Plugins(group, "plug-in", object).identity(name)
