"""The laws of readers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay import data
from assay.core import Sample, file_digest
from assay.testing._suite import Suite


def fingerprint(name: str, place: str) -> list[Any]:
    """Return the ids of samples, and the reasons of rows that are none."""
    rows = data.read(place, format=name)
    return [row.id if isinstance(row, Sample) else [row.line, row.reason] for row in rows]


class ReaderSuite(Suite):
    """Inherit it, set ``name``, and write files to be read in :meth:`examples`."""

    plugins = data.READERS
    fingerprint = f"{__name__}:fingerprint"

    def examples(self, folder: Path) -> Mapping[Path, int]:
        """Write files that the reader knows into ``folder``; return each with the number of its rows."""
        raise NotImplementedError

    def test_it_is_known_by_its_name(self) -> None:
        """It is installed, and says which files of a folder it reads."""
        super().test_it_is_known_by_its_name()
        if not self.ours:
            for suffix in data.READERS[self.name].suffixes:
                assert suffix.startswith("."), f"the suffix {suffix!r} has no dot"

    def test_values_are_the_same_in_every_process(self, tmp_path: Path) -> None:  # type: ignore[override]
        """A second reading and another process give the same rows."""
        from assay.testing._elsewhere import elsewhere, here

        for place in self.examples(tmp_path):
            mine = here(self.fingerprint, self.name, str(place))
            assert mine == here(self.fingerprint, self.name, str(place)), "a second reading differs"
            assert mine == elsewhere(self.fingerprint, self.name, str(place)), "another process differs"

    def test_every_row_is_kept_or_rejected(self, tmp_path: Path) -> None:
        """Rows are samples or have a reason; their number is that of the file, and lines rise."""
        for place, count in self.examples(tmp_path).items():
            rows = list(data.read(place, format=self.name))
            kept = [row for row in rows if isinstance(row, Sample)]
            rejected = [row for row in rows if isinstance(row, data.Rejected)]
            assert len(rows) == len(kept) + len(rejected) == count, f"{len(rows)} rows of {count} in {place}"
            assert kept, f"no row of {place} is a sample"
            assert all(row.reason.strip() for row in rejected), "a rejected row without a reason"
            lines = [row.line for row in rejected]
            assert lines == sorted(set(lines)), f"lines {lines}"
            assert all(sample.origin and sample.source for sample in kept), "a sample without its place"
            assert len({sample.origin for sample in kept}) == len(kept), "two samples of one place"

    def test_its_files_are_found_without_its_name(self, tmp_path: Path) -> None:
        """Nobody has to say which format a file has."""
        for place in self.examples(tmp_path):
            reading = data.read(place)
            assert reading.detection.format == self.name, reading.detection
            assert list(reading) == list(data.read(place, format=self.name)), "the name changes the rows"

    def test_its_files_are_found_in_a_folder(self, tmp_path: Path) -> None:
        """A folder of shards is read as its files are."""
        places = list(self.examples(tmp_path))
        assert set(places) <= set(data.find_files(str(tmp_path))), "suffixes do not name its files"

    def test_other_files_are_left_to_others(self, tmp_path: Path) -> None:
        """Nothing, noise, prose and a file of ours are not its own."""
        noise = bytes((7 * i * i + 13 * i) % 256 for i in range(997))
        prose, ours = b"Once upon a time.\n", b'{"instruction": "Add 1 and 1.", "output": "2"}\n'
        for number, content in enumerate((b"", noise, prose, ours)):
            place = tmp_path / f"other{number}.txt"
            place.write_bytes(content)
            if not self.ours:
                assert data.READERS[self.name](place) is None, (
                    f"it claims a file that begins {content[:40]!r}"
                )

    def test_damaged_files_do_not_raise(self, tmp_path: Path) -> None:
        """What is cut off or altered is rejected with a reason; what stands before it is kept."""
        folder = tmp_path / "whole"
        folder.mkdir()
        for place in self.examples(folder):
            whole = place.read_bytes()
            for share in (0.0, 0.3, 0.6, 0.9):
                cut = tmp_path / f"cut{share}{place.suffix}"
                cut.write_bytes(whole[: int(len(whole) * share)])
                list(data.read(cut, format=self.name))
            middle = len(whole) // 2
            spoilt = tmp_path / f"spoilt{place.suffix}"
            spoilt.write_bytes(whole[:middle] + b"\xff\x00\xfe" + whole[middle + 3 :])
            list(data.read(spoilt, format=self.name))

    def test_files_are_left_alone(self, tmp_path: Path) -> None:
        """Reading writes nothing: neither into the file nor beside it."""
        before = {place: file_digest(place) for place in self.examples(tmp_path)}
        for place in before:
            list(data.read(place, format=self.name))
        after = {place: file_digest(place) for place in tmp_path.rglob("*") if place.is_file()}
        assert after == before, "files have changed"
