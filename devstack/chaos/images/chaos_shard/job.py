"""The container of the chaos scenarios: works for some seconds, and leaves evidence of each execution in a ledger.

Only the standard library, without its site packages: hundreds of these run on two cores.
"""

import hashlib
import http.client
import json
import os
import signal
import sys
import time
from urllib.parse import urlsplit

FAILURE_EXIT_CODE = 3
HUNGRY_MIB = 600
PAGE_BYTES = 4096
PUT_SECONDS = 120.0
PUT_PAUSE_SECONDS = 0.5


def main() -> int:
    """Do the shard's work as docs/job-contract.md says."""
    environ = os.environ
    write("started")
    signal.signal(signal.SIGTERM, end)
    shard, attempt = environ["SHARD"], environ["ATTEMPT"]
    print(f"shard {shard}, try {attempt}", flush=True)
    food = None
    if shard in environ["CHAOS_HUNGRY"].split(","):
        food = bytearray(HUNGRY_MIB * 1024 * 1024)
        food[::PAGE_BYTES] = b"x" * (len(food) // PAGE_BYTES)
    time.sleep(seconds_of(shard, environ["CHAOS_SECONDS"]))
    if f"{shard}:{attempt}" in environ["CHAOS_FAILING"].split(","):
        write("failed")
        return FAILURE_EXIT_CODE
    content = f"{environ['LOGICAL_DATE']} {shard}\n".encode()
    put(environ["OUTPUT_URI"], content)
    file = {
        "uri": environ["OUTPUT_URI"],
        "bytes": len(content),
        "rows": 1,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    put(environ["RESULT_URI"], json.dumps({"shard": shard, "rows": 1, "files": [file]}).encode())
    write("done")
    print(f"shard {shard} is done", flush=True)
    return 0


def seconds_of(shard: str, text: str) -> float:
    """How long the shard works, of a text like ``s01:4,s02:60``, or of one number for all."""
    each = dict(item.split(":") for item in text.split(",")) if ":" in text else {shard: text}
    return float(each[shard])


def end(*_: object) -> None:
    """Say in the ledger that SIGTERM came, and exit as a shell would say it."""
    write("terminated")
    os._exit(128 + signal.SIGTERM)


def write(event: str) -> None:
    """Add a line to the ledger; one short write to a file opened for appending is never torn apart."""
    environ = os.environ
    line = json.dumps(
        {
            "event": event,
            "at": time.time(),
            "dag": environ["CHAOS_DAG"],
            "run": environ["RUN_ID"],
            "shard": environ["SHARD"],
            "attempt": int(environ["ATTEMPT"]),
            "task": environ["ECS_CONTAINER_METADATA_URI_V4"].rstrip("/").split("/")[-2],
        }
    )
    handle = os.open(environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def put(uri: str, content: bytes) -> None:
    """PutObject, repeated while S3 answers 5xx, as every SDK does. The local Fargate checks no signatures."""
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    scope = f"local/20130101/{os.environ['AWS_REGION']}/s3/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"}
    path = "/" + uri.removeprefix("s3://").replace(" ", "%20").replace("+", "%2B")
    deadline = time.monotonic() + PUT_SECONDS
    while True:
        status = 0
        try:
            connection = http.client.HTTPConnection(endpoint.hostname or "", endpoint.port, timeout=20)
            connection.request("PUT", path, content, headers)
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            print(f"PutObject: {error!r}", flush=True)
        if status == http.client.OK:
            return
        if (status and status not in (429, 503) and status < 500) or time.monotonic() > deadline:
            raise SystemExit(f"PutObject {uri} was answered with {status}")
        time.sleep(PUT_PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
