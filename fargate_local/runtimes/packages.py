"""The Python packages of an image, for the process runtime: what its requirements.txt names and this Python lacks."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from fargate_local.errors import StartFailure

REQUIREMENTS: Final = "requirements.txt"


class Packages:
    """Installs each image's packages once, into a folder of their own.

    :param folder: of those folders; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def install(self, image: Path) -> None:
        """Make the image's packages importable, as a pull of the image would.

        :raises StartFailure: CannotPullContainerError, they cannot be installed.
        """
        target = self._target(image)
        if target is None:
            return
        async with self._locks[target]:
            if not target.exists():
                await self._install(image, target)

    def path(self, image: Path) -> Path | None:
        """The folder that has to be on its Python path; None: this Python has all that the image needs."""
        target = self._target(image)
        return target if target is not None and target.exists() else None

    def _target(self, image: Path) -> Path | None:
        file = image / REQUIREMENTS
        if not file.is_file():
            return None
        text = file.read_text(encoding="utf-8", errors="replace")
        if all(_is_here(line) for line in lines_of(text)):
            return None
        digest = hashlib.sha256(f"{sys.version} {text}".encode()).hexdigest()[:16]
        return self._folder / f"{image.name}-{digest}"

    async def _install(self, image: Path, target: Path) -> None:
        draft = target.with_name(f"{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        tool = ["uv", "pip"] if importlib.util.find_spec("uv") else ["pip"]
        python = ["--python", sys.executable] if tool[0] == "uv" else []
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *tool, "install", "--quiet", *python, "--target", str(draft), "-r",
            str(image / REQUIREMENTS),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            said = " ".join(output.decode(errors="replace").split())[-500:]
            raise StartFailure(f"CannotPullContainerError: {image.name}/{REQUIREMENTS} cannot be installed: {said}")
        draft.replace(target)


def lines_of(text: str) -> Iterable[str]:
    """The lines of a requirements file that say something."""
    bare = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in bare if line and not line.startswith("#")]


def _is_here(line: str) -> bool:
    """Whether this Python has what a line asks for; of options and URLs that is not known."""
    try:
        wanted = Requirement(line.partition(" --")[0].rstrip("\\ "))
    except InvalidRequirement:
        return False
    if wanted.url or (wanted.marker is not None and not wanted.marker.evaluate()):
        return not wanted.url
    try:
        return wanted.specifier.contains(importlib.metadata.version(wanted.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False
