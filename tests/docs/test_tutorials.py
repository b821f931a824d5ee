"""The tutorials run from top to bottom, each in a folder of its own, as a reader would run them.

Data that a tutorial takes from the Hub are real rows where the shared data sets are there, else samples of
the testbed in the same layout.  The chat model is a scripted one, under the name that the page uses.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx
import pytest
from doc_blocks import ROOT, Block, blocks

from assay.data import synthetic
from shared_data import shared_folder

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "tests" / "llm"), str(ROOT / "tests" / "generation")]
from chat_server import serving  # noqa: E402

ROWS = 700
TUTORIALS = (ROOT / "docs" / "tutorials").glob("*.md")
PAGES = sorted(p for p in TUTORIALS if ".zh" not in p.suffixes)  # translations have the same blocks
PAGES += [ROOT / "docs" / "start.md", ROOT / "docs" / "papers" / "belle.md"]
BY_HAND = ("rule", "belle")
"""Pages that take minutes each; not yet seen to pass whole, so they run only with ASSAY_ALL_TUTORIALS=1."""
INTERACTIVE = ("assay annotate ", "assay serve ")
"""Commands that go on until Ctrl-C; `annotate status` and `annotate export` do not."""


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = os.pathsep.join([str(HERE), str(ROOT / "tests" / "generation")])
    os.environ["PYTHONPATH"] = os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])
    with serving(script="doc_chat:answer", script_path=str(HERE)) as running:
        yield running.url


@pytest.fixture(scope="module")
def alpaca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of Alpaca, or of the testbed as Alpaca would have them."""
    place = tmp_path_factory.mktemp("hub") / "alpaca.jsonl"
    shared = shared_folder()
    if shared is not None:
        with gzip.open(
            shared / "data" / "alpaca_en_52k" / "alpaca_data.jsonl.gz", "rt", encoding="utf-8"
        ) as rows:
            place.write_text("".join(islice(rows, ROWS)), encoding="utf-8")
        return place
    samples = [planted.sample for planted in synthetic.generate(ROWS, seed=0, languages=("en",))]
    asked = [sample.prompt[0].content for sample in samples]
    rows = (  # answers as long as Alpaca's: the right one, then what else one might be asked
        {
            "instruction": question,
            "input": "",
            "output": " ".join([sample.answer, *asked[k + 1 : k + 4 + k % 5]]),
        }
        for k, (sample, question) in enumerate(zip(samples, asked, strict=True))
    )
    place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return place


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_the_page_runs(page: Path, chat: str, alpaca: Path, tmp_path: Path) -> None:
    if page.stem in BY_HAND and not os.environ.get("ASSAY_ALL_TUTORIALS"):
        pytest.skip("takes minutes: set ASSAY_ALL_TUTORIALS=1")
    put_beside(page, tmp_path)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OPENAI_BASE_URL": chat,
        "OPENAI_API_KEY": "of-a-test",
        "COLUMNS": "80",
    }
    ran = 0
    for block in blocks(page):
        if block.file and block.language != "sh":
            written = tmp_path / block.file
            if not (page.stem == "belle" and written.exists()):
                written.write_text(block.text, encoding="utf-8")
        elif block.run and block.language == "sh":
            ran += 1
            for script in scripts(block, alpaca):
                run(script, block, tmp_path, environment)
    assert ran >= 3


def put_beside(page: Path, folder: Path) -> None:
    """Give the reader what the page says they have."""
    if page.stem == "own-runs":
        for tool in ("lm_eval", "trl"):
            shutil.copytree(ROOT / "tests" / "results" / "peers" / tool, folder / tool)
    if page.stem == "belle":
        shutil.copy(ROOT / "recipes" / "studies" / "belle-twin.yaml", folder)


def scripts(block: Block, alpaca: Path) -> Iterator[str]:
    """Yield the block's scripts: commands that wait for Ctrl-C alone, what lies between them together."""
    text = block.text.replace("hf:tatsu-lab/alpaca", str(alpaca))
    held: list[str] = []
    for line in text.splitlines():
        if line.startswith(INTERACTIVE) and not re.match(r"assay annotate (status|export)", line):
            yield "\n".join(held)
            yield line
            held = []
        else:
            held.append(line)
    yield "\n".join(held)


def run(script: str, block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Run a script to its end, or an interactive command with a person at the other end."""
    if script.startswith(INTERACTIVE) and "annotate status" not in script and "annotate export" not in script:
        attended(script, folder, environment)
        return
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    where = f"{block.page.name}, line {block.line}"
    assert done.returncode == 0, f"{where}\n{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def attended(command: str, folder: Path, environment: dict[str, str]) -> None:
    """Start a server, do on its page what a person would, and end it with Ctrl-C."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=folder, env=environment, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "Ctrl-C" in line:
                break
        links = re.findall(r"http://\S+", "".join(said))
        assert links, "".join(said)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        if "annotate" in command:
            for link in links:
                label(link)
        else:
            assert httpx.get(links[0], follow_redirects=True, timeout=60).status_code == 200
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) in (0, 130), "".join(said)


def label(link: str) -> None:
    """Label every item that the link's owner has."""
    base, _, token = link.partition("/login?token=")
    with httpx.Client(base_url=base, headers={"origin": base}, timeout=60) as http:
        http.post("/login", data={"token": token, "name": f"Ann {token[:4]}"})
        number = 1
        while (page := http.get(f"/items/{number}")).status_code == 200:
            hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
            score = ("0", "0.5", "1")[number % 3]
            form = {**hidden, "answer": f"Answer {number}.", "score": score, "do": "save"}
            http.post(f"/items/{number}", data=form)
            number += 1
        assert number > 1


def test_both_languages_have_the_same_commands() -> None:
    """A translated page has the blocks of its original, so that running one runs both."""
    for page in (ROOT / "docs").rglob("*.zh.md"):
        original = page.with_name(page.name.replace(".zh.md", ".md"))
        theirs, ours = ([b.text for b in blocks(p) if b.language != "text"] for p in (original, page))
        assert [_code(text) for text in ours] == [_code(text) for text in theirs], page.name


def _code(text: str) -> list[str]:
    """Return the lines of a block without comments, which are translated."""
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).rstrip() for line in text.splitlines()) if line]


def test_the_twin_of_belle_is_the_same_study_but_for_three_keys() -> None:
    import yaml

    whole, twin = (
        flat(yaml.safe_load((ROOT / "recipes" / "studies" / f"{name}.yaml").read_text(encoding="utf-8")))
        for name in ("belle", "belle-twin")
    )
    shown = next(b for b in blocks(ROOT / "docs" / "papers" / "belle.md") if b.file == "belle.yaml")
    assert flat(yaml.safe_load(shown.text)) == whole
    assert {key for key in {*whole, *twin} if whole.get(key) != twin.get(key)} == {
        "base",
        "ladder.rungs",
        "where",
    }


def flat(study: dict[str, object]) -> dict[str, object]:
    """Return a study file with the keys of `ladder` written out."""
    ladder = study["ladder"]
    assert isinstance(ladder, dict)
    return {
        **{k: v for k, v in study.items() if k != "ladder"},
        **{f"ladder.{k}": v for k, v in ladder.items()},
    }
