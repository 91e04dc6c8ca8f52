"""How a container's world is mapped onto this machine for the process runtime. Pure but for looking at folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from fargate_local.errors import StartFailure
from fargate_local.runtimes.base import ContainerSpec, Mount

PYTHON_NAMES = frozenset({"python", "python3"})


def image_folder(images: Path | None, image: str) -> Path:
    """The folder that stands for an image: its last path component without tag, `-` as `_`.

    :raises StartFailure: CannotPullContainerError, as there is no such folder.
    """
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0].replace("-", "_")
    folder = None if images is None else images / name
    if folder is None or name in ("", ".", "..") or not folder.is_dir():
        raise StartFailure(
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: "
            f"{image}: not found"
        )
    return folder


def to_host(text: str, mounts: Iterable[Mount]) -> str:
    """A value of an environment variable or a word of a command, with a leading container path replaced."""
    for mount in sorted(mounts, key=lambda m: len(m.container_path), reverse=True):
        path = mount.container_path.rstrip("/")
        if text == path or text.startswith(path + "/"):
            return mount.host_path + text[len(path) :]
    return text


def host_command(spec: ContainerSpec) -> list[str]:
    """The command as this machine runs it: `python` is this interpreter, container paths are host paths."""
    words = [to_host(word, spec.mounts) for word in spec.words]
    if words and words[0] in PYTHON_NAMES:
        words[0] = sys.executable
    return words


def host_environment(spec: ContainerSpec, folder: Path, scratch: Path, packages: Path | None = None) -> dict[str, str]:
    """The complete environment of the child process; nothing of the server's own but PATH and LANG.

    :param packages: the folder of the image's own Python packages.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": path,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "PYTHONPATH": os.pathsep.join(map(str, [folder, *([packages] if packages else [])])),
    } | {name: to_host(value, spec.mounts) for name, value in spec.environment.items()}
