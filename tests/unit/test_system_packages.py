"""`make packages`: quick where all is there, apt-get where it may, else one line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "system-packages"
_TOOLS = ("bash", "env", "cp", "mv", "tee")


class Machine:
    """A machine whose commands are the ones given here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder / "said"
        for name in _TOOLS:
            found = next(
                Path(part, name)
                for part in os.environ["PATH"].split(os.pathsep)
                if Path(part, name).exists()
            )
            (folder / name).symlink_to(found)

    def has(self, name: str, script: str = "exit 0") -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def run(self) -> str:
        finished = subprocess.run(
            [self.folder / "bash", SCRIPT],
            env={"PATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        return finished.stdout

    def asked(self) -> str:
        return self.said.read_text() if self.said.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.has("initdb")
    made.has("apt-get", f'echo "$@" >> {made.said}')
    return made


def test_nothing_is_asked_where_nothing_is_missing(machine: Machine) -> None:
    machine.has("chromium")
    machine.has("chromedriver")
    assert (machine.run(), machine.asked()) == ("", "")


def test_root_installs_what_is_missing(machine: Machine) -> None:
    machine.has("chromium")
    machine.has("id", "echo 0")
    assert machine.run().startswith("Installing chromium-driver for the tests")
    update, install = machine.asked().splitlines()
    assert update == "update -qq" and install.endswith("--no-install-recommends chromium-driver")


def test_others_install_through_sudo_that_asks_nothing(machine: Machine) -> None:
    machine.has("chromium")
    machine.has("id", "echo 1000")
    machine.has("sudo", 'shift; exec "$@"')
    machine.has("true")
    machine.run()
    assert "install" in machine.asked()


def test_who_may_not_install_is_told_what_to_install(machine: Machine) -> None:
    machine.has("id", "echo 1000")
    machine.has("sudo", "exit 1")
    assert machine.run() == (
        "Not installed, their tests are skipped: sudo apt-get install chromium fonts-dejavu-core"
        " chromium-driver\n"
    )
    assert machine.asked() == ""


def test_an_installation_that_fails_is_told_and_stops_no_other_test(machine: Machine) -> None:
    machine.has("chromium")
    machine.has("id", "echo 0")
    machine.has("apt-get", '[ "$1" = update ]')
    assert "Could not be installed, their tests are skipped: chromium-driver" in machine.run()
