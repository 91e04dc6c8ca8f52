"""The first step of docker-compose.airflow.yml: every secret, made up at the first "up" and kept from then on.

A file of SECRETS_DIR with a secret's name is taken instead. Postgres and Redis see a volume with their own secret
alone; Airflow's containers see the rest.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from devstack import airflow

STACK = Path("/var/lib/stack")
OWN = Path("/var/lib/secrets")
GIVEN = Path("/run/given")
PASSWORDS = ("admin_password", "postgres_password", "redis_password")
KEYS = ("fernet_key", "jwt_secret", "api_secret_key")


def main(stack: Path = STACK, own: Path = OWN, given: Path = GIVEN) -> None:
    """Make what is missing, and write what is made of it.

    :raises SystemExit: a given secret is not usable; one sentence says which.
    """
    keys = stack / "keys"
    found = asdict(airflow.load_secrets(keys)) | {name: _kept(keys / name) for name in PASSWORDS}
    found |= {name: text for name in (*KEYS, *PASSWORDS) if (text := _given(given / name)) is not None}
    postgres, redis = (quote(found[name], safe="") for name in ("postgres_password", "redis_password"))
    found |= {
        "database_url": f"postgresql+psycopg2://airflow:{postgres}@postgres/airflow",
        "broker_url": f"redis://:{redis}@redis:6379/0",
        "passwords.json": json.dumps({"admin": found["admin_password"]}),
    }
    for name, text in found.items():
        write(keys / name, text, 0o600)
    # Each in a volume that only its own container has; the user there has another id than ours.
    write(own / "postgres" / "password", found["postgres_password"], 0o444)
    settings = ("appendonly yes", "dir /data", "maxmemory-policy noeviction", f"requirepass {found['redis_password']}")
    write(own / "redis" / "redis.conf", "\n".join((*settings, "")), 0o444)


def write(path: Path, text: str, mode: int) -> None:
    """Write a file that from its first moment on is readable to no more than it shall be."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.chmod(mode)
    draft.replace(path)


def _kept(path: Path) -> str:
    return path.read_text() if path.exists() else secrets.token_urlsafe(32)


def _given(path: Path) -> str | None:
    if not path.parent.is_dir() or not path.exists():
        return None
    text = path.read_text().strip()
    if not text or any(character.isspace() or not character.isprintable() for character in text):
        raise SystemExit(f"{path.name} in SECRETS_DIR is empty or has spaces in it: it must be one word.")
    return text


if __name__ == "__main__":
    main()
