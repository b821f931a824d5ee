"""Items with hostile texts, a real server in a process of its own, and a person without a browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script></textarea>&lt;b&gt;{{7331*8837}}'


def rows(n: int) -> list[dict[str, Any]]:
    """Return items in English and Chinese, every fifth in Arabic."""
    made = []
    for i in range(n):
        question = [f"What is {i} plus 1?", f"{i} 加 1 等于多少？", f"ما هو {i} زائد 1؟"][
            2 if i % 5 == 4 else i % 2
        ]
        made.append(
            {
                "messages": [
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": f"The answer is {i + 1}."},
                ],
                "type": ["math", "open_qa", "cot"][i % 3],
            }
        )
    return made


def write_rows(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


class Server:
    """``assay annotate`` in a process of its own."""

    def __init__(self, out: Path, items: Path, **options: Any) -> None:
        self.out = out
        code = (
            "import json, sys\nfrom pathlib import Path\nfrom assay import annotate\n"
            "options = json.loads(sys.argv[1])\n"
            "if options.get('answers'): options['answers'] = Path(options['answers'])\n"
            "annotate([sys.argv[2]], out=Path(sys.argv[3]), **options)\n"
        )
        command = [sys.executable, "-c", code, json.dumps(options), str(items), str(out)]
        self.log = out.with_name(f"server-{time.monotonic_ns()}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stderr=log)
        self.links = self._links(options.get("annotators", 1))
        self.base = self.links[0].split("/login")[0]

    def _links(self, n: int) -> list[str]:
        deadline = time.monotonic() + 60
        while "Ctrl-C" not in (said := self.log.read_text(encoding="utf-8")):
            assert self.process.poll() is None and time.monotonic() < deadline, f"it did not start: {said}"
            time.sleep(0.05)
        self.said = said
        links = re.findall(r"http://\S+", said)
        assert len(links) == n
        return links

    @property
    def port(self) -> int:
        return int(self.base.rsplit(":", 1)[1])

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End the process as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(timeout=30) == 0


class Person:
    """An annotator over HTTP, without a browser: keeps cookies and the fields of the last page."""

    def __init__(self, link: str, name: str) -> None:
        self.base, _, token = link.partition("/login?token=")
        self.http = httpx.Client(base_url=self.base, headers={"origin": self.base}, timeout=30)
        reply = self.http.post("/login", data={"token": token, "name": name})
        assert reply.status_code == 303, reply.text
        self.fields: dict[str, str] = {}

    def open(self, position: int) -> str:
        """Fetch an item's page and keep the fields of its form."""
        page = self.http.get(f"/items/{position}").raise_for_status().text
        self.fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        return page

    def post(self, position: int, do: str | None, **fields: str) -> httpx.Response:
        """Send the form, or (``do`` None) a draft."""
        data = {**self.fields, **fields} | ({} if do is None else {"do": do})
        return self.http.post(f"/items/{position}" + ("/draft" if do is None else ""), data=data)
