"""The laws of readers of results."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay import results
from assay.core import AssayError, file_digest
from assay.results import ResultReader, Run
from assay.testing._suite import Suite


def reader(name: str) -> ResultReader:
    """Return a reader of results by name, ours or a package's."""
    own: ResultReader | None = next((one for one in results.OWN if one.name == name), None)
    return own or results.RESULTS[name]


def fingerprint(name: str, place: str) -> list[Any]:
    """Return what a reader finds in a file."""
    return [repr(run) for run in reader(name)(Path(place)) or ()]


class ResultReaderSuite(Suite):
    """Inherit it, set ``name``, and write files of results in :meth:`examples`."""

    plugins = results.RESULTS
    fingerprint = f"{__name__}:fingerprint"

    def examples(self, folder: Path) -> Mapping[Path, int]:
        """Write files that the reader knows into ``folder``; return each with the number of its runs."""
        raise NotImplementedError

    def _runs(self, place: Path) -> Sequence[Run]:
        found = reader(self.name)(place)
        assert found is not None, f"it does not know its own file {place.name}"
        return list(found)

    def test_values_are_the_same_in_every_process(self, tmp_path: Path) -> None:  # type: ignore[override]
        """A second reading and another process give the same runs."""
        from assay.testing._elsewhere import elsewhere, here

        place = next(iter(self.examples(tmp_path)))
        mine = here(self.fingerprint, self.name, str(place))
        assert mine == here(self.fingerprint, self.name, str(place)), "a second reading differs"
        assert mine == elsewhere(self.fingerprint, self.name, str(place)), "another process differs"

    def test_every_run_can_be_placed(self, tmp_path: Path) -> None:
        """Runs are as many as there are, and each has names or a size by which its rung can be told."""
        for place, count in self.examples(tmp_path).items():
            runs = self._runs(place)
            assert len(runs) == count, f"{len(runs)} runs of {count} in {place.name}"
            assert all(run.names or "n_train" in run.facts for run in runs), "a run that nothing names"
            assert all(run.tool == self.name and run.place for run in runs), "a run without tool or place"

    def test_measures_are_finite_and_named_once(self, tmp_path: Path) -> None:
        """Values and those of items are finite; a task's metric stands once; facts have our names."""
        for place in self.examples(tmp_path):
            for run in self._runs(place):
                names = [(m.task, m.metric) for m in run.measures]
                assert len(set(names)) == len(names), f"{run.place}: a metric stands twice"
                for m in run.measures:
                    assert all(map(math.isfinite, [m.value, *(m.items or {}).values()])), m.metric

    def test_its_files_are_found_in_a_folder(self, tmp_path: Path) -> None:
        """Its patterns name its files; a reader without any is asked about files that are named."""
        patterns = reader(self.name).patterns
        for place in self.examples(tmp_path):
            assert not patterns or any(fnmatch.fnmatch(place.name, p) for p in patterns), place.name

    def test_other_files_are_left_to_others(self, tmp_path: Path) -> None:
        """Nothing, noise, prose and JSON of no tool are not its own."""
        noise = bytes((7 * i * i + 13 * i) % 256 for i in range(997))
        for number, content in enumerate((b"", noise, b"Once upon a time.\n", b'{"a": 1}\n', b"[]")):
            for suffix in (".txt", ".json", ".db"):
                place = tmp_path / f"other{number}{suffix}"
                place.write_bytes(content)
                assert reader(self.name)(place) is None, f"it claims a file that begins {content[:40]!r}"

    def test_damaged_files_are_errors_with_a_place(self, tmp_path: Path) -> None:
        """What is cut off raises nothing but AssayError, which names the file."""
        for place in self.examples(tmp_path):
            whole = place.read_bytes()
            for share in (0.0, 0.4, 0.8):
                place.write_bytes(whole[: int(len(whole) * share)])
                try:
                    list(reader(self.name)(place) or ())
                except AssayError as error:
                    assert error.place and Path(place).name in str(error), "an error that names no file"
            place.write_bytes(whole)

    def test_files_are_left_alone(self, tmp_path: Path) -> None:
        """Reading writes nothing: neither into the file nor beside it."""
        before = {place: file_digest(place) for place in self.examples(tmp_path)}
        everything = {place for place in tmp_path.rglob("*") if place.is_file()}
        for place in before:
            self._runs(place)
        assert {place for place in tmp_path.rglob("*") if place.is_file()} == everything, "a file is new"
        assert {place: file_digest(place) for place in before} == before, "files have changed"
