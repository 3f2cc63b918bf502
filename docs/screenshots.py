"""Make the README's pictures: JupyterLab in a real browser, and what `./inv setup` shows on a terminal.

    GPUDOCK_JUPYTER_PASSWORD=… .venv/bin/python docs/screenshots.py

Run it on a machine that has the development tools (`./inv test --suite lint` installs them), Chromium, and no stack
yet: it takes the stack down first, so that `setup` has something to show. Volumes stay.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gpudock.config import load  # noqa: E402
from gpudock.steps.jupyter import VARIABLE, url  # noqa: E402
from tests import browser  # noqa: E402

WIDTH = 110
CURSOR = re.compile(r"\x1b\[(2K|1A|\?25[lh])")  # what moves or hides it; colours stay


def main() -> None:
    """Make both pictures."""
    subprocess.run([ROOT / "inv", "teardown"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    terminal(ROOT / "docs" / "setup.svg")
    lab(ROOT / "docs" / "jupyterlab.png")


def terminal(picture: Path) -> None:
    """Record a setup as a terminal shows it, finished lines only, as an SVG."""
    shown: list[bytes] = []

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        shown.append(data)
        return data

    os.environ.update(COLUMNS=str(WIDTH), TERM="xterm-256color")
    os.chdir(ROOT)
    pty.spawn(["./inv", "setup"], read)
    lines = b"".join(shown).decode().replace("\r\n", "\n").split("\n")
    # A live row is drawn over by what follows: what stands before the last return to the line's start is gone.
    kept = [line.rpartition("\r")[2] for line in lines if "●" not in line.rpartition("\r")[2]]
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print("$ ./inv setup")
    for line in kept:
        text = Text.from_ansi(CURSOR.sub("", line))
        if text.plain.strip():
            console.print(text, soft_wrap=True)
    console.save_svg(str(picture), title="gpudock")


def lab(picture: Path) -> None:
    """Sign in to JupyterLab and keep what the browser shows."""
    with tempfile.TemporaryDirectory() as profile, browser.chromium(Path(profile)) as driver:
        browser.sign_in(driver, url(load().settings), os.environ[VARIABLE])
        browser.wait_for_lab(driver)
        driver.save_screenshot(str(picture))


if __name__ == "__main__":
    main()
