"""What lies between a side and AWS in production, and fails there: a proxy and TLS. In front of the local Fargate.

An AWS_ENDPOINT_URL of plain HTTP knows no TLS error and no proxy. So the scenarios that need them give each side an
Airflow connection of its own (``endpoint_url`` with https, ``verify``, ``proxies``) that leads here: a proxy that takes
CONNECT, a TLS server with a certificate of its own, and behind them the local Fargate. While it is blind, some
connections fail in one of :data:`FATES`; what gets through meets the fault rules of the local Fargate. Containers
do not come this way.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devstack.chaos.plans import chance, sides_of, user_agent
from devstack.chaos.scenarios import Scenario, Side

HOST: Final = "127.0.0.1"
FATES: Final = (
    "proxy refuses",  # 502, as a proxy whose way is gone
    "proxy closes",
    "proxy resets",
    "tls closed",  # during the handshake
    "tls not spoken",  # plain bytes where a ServerHello should be
    "tls untrusted",  # the certificate of another authority, as of a proxy that looks into TLS
)
"""How a connection fails."""
THROUGH: Final = 0.5
"""The share of connections that get through to the local Fargate and its fault rules."""
CUT_SECONDS: Final = (0.2, 3.0)
"""How long such a connection lives while the front is blind; then it is cut, with a call in it or without."""
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_CHUNK: Final = 1 << 16


class Front:
    """The front of one side; it serves from its making until :meth:`close`.

    :param folder: where the certificates are written.
    :param seed: of the fates.
    :param connection_id: of the Airflow connection that leads here.
    :param user_agent: what its calls add to their User-Agent, by which fault rules know them.
    :ivar seen: how many connections had which fate while it was blind.
    """

    def __init__(self, folder: Path, seed: int, connection_id: str = "", user_agent: str = "") -> None:
        self.connection_id = connection_id
        self._user_agent = user_agent
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = folder / "authority.pem"
        self._good = _server_context(folder, self.authority)
        self._untrusted = _server_context(folder, folder / "untrusted.pem")
        self._chance = random.Random(seed)
        self._upstream = ("", 0)
        self._blind = False
        self._open: set[asyncio.StreamWriter] = set()
        self.seen: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server((HOST, 0))
        self._thread = threading.Thread(target=self._serve, name="chaos-front", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{HOST}:{self._socket.getsockname()[1]}"

    def connection(self) -> dict[str, Any]:
        """The Airflow connection that leads here, as its JSON has it."""
        return {
            "conn_type": "aws",
            "extra": {
                "endpoint_url": f"https://{self.url}",
                "verify": str(self.authority),
                "config_kwargs": {"user_agent_extra": self._user_agent, "proxies": {"https": f"http://{self.url}"}},
            },
        }

    def lead_to(self, endpoint: str) -> None:
        """:param endpoint: the local Fargate's AWS_ENDPOINT_URL."""
        parts = urlsplit(endpoint)
        self._upstream = (parts.hostname or "", parts.port or 80)

    def be_blind(self, blind: bool) -> bool:
        """Be blind from now on, or no more; return whether that is new. When it begins, all connections get reset."""
        new = blind != self._blind
        self._blind = blind
        if new and blind:
            self._loop.call_soon_threadsafe(self._reset_all)
        return new

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._take, sock=self._socket))
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._reset_all()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    def _fate(self) -> str:
        if not self._blind:
            return ""
        fate = "through" if self._chance.random() < THROUGH else self._chance.choice(FATES)
        self.seen[fate] += 1
        return fate

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError, EOFError, ssl.SSLError, asyncio.LimitOverrunError):
                await self._answer(reader, writer, self._fate())
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: str) -> None:
        await reader.readuntil(b"\r\n\r\n")  # CONNECT host:port
        if fate == "proxy resets":
            _reset(writer)
        if fate in ("proxy closes", "proxy resets"):
            return
        if fate == "proxy refuses":
            await _say(writer, b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if fate in ("tls closed", "tls not spoken"):
            await reader.read(_CHUNK)  # ClientHello
            if fate == "tls not spoken":
                await _say(writer, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        if not await _start_tls(writer, self._untrusted if fate == "tls untrusted" else self._good):
            return
        seconds = self._chance.uniform(*CUT_SECONDS) if fate == "through" else None
        try:
            async with asyncio.timeout(seconds):
                await self._pass(reader, writer)
        except TimeoutError:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends."""
        upstream_reader, upstream = await asyncio.open_connection(*self._upstream)
        ways = [
            asyncio.create_task(_carry(reader, upstream)),
            asyncio.create_task(_carry(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream.close()


async def _start_tls(writer: asyncio.StreamWriter, context: ssl.SSLContext) -> bool:
    """Whether the handshake succeeded.

    When the connection is lost meanwhile, CPython 3.12 leaves the writer without a transport, and fails at that.
    """
    raw = writer.transport
    try:
        await writer.start_tls(context)
    except AttributeError:
        if writer.transport is not None:
            raise
        writer._transport = raw
        return False
    return True


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()


async def _say(writer: asyncio.StreamWriter, text: bytes) -> None:
    writer.write(text)
    await writer.drain()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset (man 7 socket, SO_LINGER with a time of 0)."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


def _server_context(folder: Path, certificate: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own for :data:`HOST`, which is written beside its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, certificate.stem)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = folder / f"{certificate.stem}.key"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context


Fronts = Mapping[tuple[str, Side], Front]
"""By the scenario's name and the side."""


@contextlib.contextmanager
def opened_fronts(scenarios: Iterable[Scenario], sides: Sequence[Side], seed: int, folder: Path) -> Iterator[Fronts]:
    """Context manager: a front for each side of each scenario with blindness."""
    made: dict[tuple[str, Side], Front] = {}
    try:
        for scenario in scenarios:
            for side in sides_of(scenario, sides) if scenario.blindness is not None else ():
                fates = chance(seed, scenario.name, side, "front").randrange(1 << 30)
                names = scenario.connection(side), user_agent(scenario, side)
                made[scenario.name, side] = Front(folder / scenario.dag_id(side), fates, *names)
        yield made
    finally:
        for front in made.values():
            front.close()


def connections(fronts: Fronts) -> dict[str, dict[str, Any]]:
    """The Airflow connections that lead to the fronts, by id."""
    return {front.connection_id: front.connection() for front in fronts.values()}
