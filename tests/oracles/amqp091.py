"""A small AMQP 0-9-1 client that leaves every field type to its caller.

Client libraries choose the type octet of a header value themselves; the vectors are about
exactly those octets, so the recorder needs a client that writes what it is told, including
duplicate keys and bytes that are not UTF-8.  One connection uses one channel, in confirm mode.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Text = str | Mapping[str, str]  # text, or {"hex": "ff00"} for raw bytes
Table = Sequence[Sequence[Any]]  # [[key, tag, value], ...] in wire order

FRAME_METHOD, FRAME_HEADER, FRAME_BODY = 1, 2, 3
FRAME_END = 0xCE
CHANNEL = 1

# class id, method id
CONNECTION_START, CONNECTION_START_OK = (10, 10), (10, 11)
CONNECTION_TUNE, CONNECTION_TUNE_OK = (10, 30), (10, 31)
CONNECTION_OPEN, CONNECTION_OPEN_OK = (10, 40), (10, 41)
CONNECTION_CLOSE, CONNECTION_CLOSE_OK = (10, 50), (10, 51)
CHANNEL_OPEN, CHANNEL_OPEN_OK = (20, 10), (20, 11)
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = (20, 40), (20, 41)
EXCHANGE_DECLARE, EXCHANGE_DECLARE_OK = (40, 10), (40, 11)
EXCHANGE_DELETE, EXCHANGE_DELETE_OK = (40, 20), (40, 21)
EXCHANGE_BIND, EXCHANGE_BIND_OK = (40, 30), (40, 31)
EXCHANGE_UNBIND, EXCHANGE_UNBIND_OK = (40, 40), (40, 51)
QUEUE_DECLARE, QUEUE_DECLARE_OK = (50, 10), (50, 11)
QUEUE_BIND, QUEUE_BIND_OK = (50, 20), (50, 21)
QUEUE_DELETE, QUEUE_DELETE_OK = (50, 40), (50, 41)
QUEUE_UNBIND, QUEUE_UNBIND_OK = (50, 50), (50, 51)
BASIC_PUBLISH, BASIC_RETURN = (60, 40), (60, 50)
BASIC_GET, BASIC_GET_OK, BASIC_GET_EMPTY = (60, 70), (60, 71), (60, 72)
BASIC_ACK = (60, 80)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)

# bit of a content property in the flags word
PROPERTY_HEADERS, PROPERTY_CORRELATION_ID = 13, 10
PROPERTY_MESSAGE_ID, PROPERTY_TIMESTAMP = 7, 6

INTEGER_BYTES = {"b": 1, "B": 1, "s": 2, "u": 2, "I": 4, "i": 4, "l": 8, "L": 8, "T": 8}


class AmqpError(Exception):
    """The broker closed the channel or the connection; the client must be replaced or reopened."""

    def __init__(self, scope: str, code: int, text: str) -> None:
        super().__init__(f"{scope} closed: {code} {text}")
        self.scope = scope
        self.code = code
        self.name = text.split(" ", 1)[0]


@dataclass
class Properties:
    """The content properties that can change a route."""

    headers: Table | None = None  # None: the property is absent; []: present and empty
    correlation_id: Text | None = None
    message_id: Text | None = None
    timestamp: int | str | None = None


@dataclass
class Reader:
    """Cursor over one method or content header."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        chunk = self.data[self.at : self.at + count]
        if len(chunk) != count:
            raise ValueError("truncated AMQP data")
        self.at += count
        return chunk

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def shortstr(self) -> bytes:
        return self.take(self.uint(1))

    def longstr(self) -> bytes:
        return self.take(self.uint(4))

    def table_keys(self) -> list[bytes]:
        """Keys of a table in wire order; the values are only measured and skipped."""
        end = self.uint(4) + self.at
        keys = []
        while self.at < end:
            keys.append(self.shortstr())
            self.skip_value()
        return keys

    def skip_value(self) -> None:
        tag = self.take(1).decode("latin-1")
        if tag in INTEGER_BYTES:
            self.take(INTEGER_BYTES[tag])
        elif tag in "SxFA":
            self.longstr()
        elif tag != "V":
            self.take({"t": 1, "f": 4, "d": 8, "D": 5}[tag])


@dataclass
class Reply:
    method: tuple[int, int]
    args: Reader
    header: bytes = b""


class Client:
    """One connection with one confirm channel, blocking."""

    def __init__(self, port: int, vhost: str, user: str = "guest", password: str = "guest",
                 timeout: float = 60.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        try:
            self._handshake(vhost, user, password)
            self.open_channel()
        except BaseException:
            self.drop()
            raise

    def _handshake(self, vhost: str, user: str, password: str) -> None:
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(CONNECTION_START)
        login = f"\0{user}\0{password}".encode()
        self._send(0, CONNECTION_START_OK, encode_table([]) + shortstr("PLAIN")
                   + struct.pack(">I", len(login)) + login + shortstr("en_US"))
        tune = self._expect(CONNECTION_TUNE).args
        channel_max, frame_max = tune.uint(2), tune.uint(4)
        # Heartbeat 0: a slow route must not look like a dead peer.
        self._send(0, CONNECTION_TUNE_OK, struct.pack(">HIH", channel_max, frame_max, 0))
        self._send(0, CONNECTION_OPEN, shortstr(vhost) + b"\0\0")
        self._expect(CONNECTION_OPEN_OK)

    def open_channel(self) -> None:
        self._call(CHANNEL_OPEN, b"\0", CHANNEL_OPEN_OK)
        self._call(CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)

    def close(self) -> None:
        try:
            self._send(0, CONNECTION_CLOSE, struct.pack(">H", 200) + shortstr("") + bytes(4))
            self._expect(CONNECTION_CLOSE_OK)
        finally:
            self.drop()

    def drop(self) -> None:
        self.stream.close()
        self.socket.close()

    # -- topology -------------------------------------------------------------------------

    def exchange_declare(self, exchange: Text, kind: Text = "direct", *, passive: bool = False,
                         durable: bool = False, auto_delete: bool = False,
                         internal: bool = False, arguments: Table = ()) -> None:
        self._call(EXCHANGE_DECLARE, b"\0\0" + shortstr(exchange) + shortstr(kind)
                   + bits(passive, durable, auto_delete, internal, False)
                   + encode_table(arguments), EXCHANGE_DECLARE_OK)

    def exchange_delete(self, exchange: Text, *, if_unused: bool = False) -> None:
        self._call(EXCHANGE_DELETE, b"\0\0" + shortstr(exchange) + bits(if_unused, False),
                   EXCHANGE_DELETE_OK)

    def exchange_bind(self, destination: Text, source: Text, routing_key: Text = "",
                      arguments: Table = ()) -> None:
        self._call(EXCHANGE_BIND, binding(destination, source, routing_key) + b"\0"
                   + encode_table(arguments), EXCHANGE_BIND_OK)

    def exchange_unbind(self, destination: Text, source: Text, routing_key: Text = "",
                        arguments: Table = ()) -> None:
        self._call(EXCHANGE_UNBIND, binding(destination, source, routing_key) + b"\0"
                   + encode_table(arguments), EXCHANGE_UNBIND_OK)

    def queue_declare(self, queue: Text, *, passive: bool = False, durable: bool = False,
                      auto_delete: bool = False, arguments: Table = ()) -> bytes:
        """Returns the name that the broker really gave to the queue."""
        reply = self._call(QUEUE_DECLARE, b"\0\0" + shortstr(queue)
                           + bits(passive, durable, False, auto_delete, False)
                           + encode_table(arguments), QUEUE_DECLARE_OK)
        return reply.args.shortstr()

    def queue_delete(self, queue: Text, *, if_unused: bool = False, if_empty: bool = False) -> None:
        self._call(QUEUE_DELETE, b"\0\0" + shortstr(queue) + bits(if_unused, if_empty, False),
                   QUEUE_DELETE_OK)

    def queue_bind(self, queue: Text, exchange: Text, routing_key: Text = "",
                   arguments: Table = ()) -> None:
        self._call(QUEUE_BIND, binding(queue, exchange, routing_key) + b"\0"
                   + encode_table(arguments), QUEUE_BIND_OK)

    def queue_unbind(self, queue: Text, exchange: Text, routing_key: Text = "",
                     arguments: Table = ()) -> None:
        self._call(QUEUE_UNBIND, binding(queue, exchange, routing_key)
                   + encode_table(arguments), QUEUE_UNBIND_OK)

    # -- messages -------------------------------------------------------------------------

    def publish(self, exchange: Text, routing_key: Text, properties: Properties,
                *, mandatory: bool = True, body: bytes = b"x") -> bool:
        """Publishes, waits for the confirm, and says whether the message came back unroutable.

        The broker confirms after every queue took its copy, so a get that follows sees it.
        """
        method = b"\0\0" + shortstr(exchange) + shortstr(routing_key) + bits(mandatory, False)
        self.socket.sendall(
            frame(FRAME_METHOD, CHANNEL, struct.pack(">HH", *BASIC_PUBLISH) + method)
            + frame(FRAME_HEADER, CHANNEL, encode_properties(properties, len(body)))
            + frame(FRAME_BODY, CHANNEL, body))
        returned = False
        while True:
            reply = self._expect(BASIC_ACK, BASIC_RETURN)
            if reply.method == BASIC_ACK:
                return returned
            returned = True

    def drain(self, queues: Sequence[bytes], copies: int) -> list[list[bytes]]:
        """Takes up to `copies` messages from each queue; returns each message's content header."""
        request = b"".join(
            frame(FRAME_METHOD, CHANNEL, struct.pack(">HH", *BASIC_GET) + b"\0\0"
                  + struct.pack("B", len(name)) + name + bits(True))
            for name in queues for _ in range(copies))
        self.socket.sendall(request)
        taken = []
        for _ in queues:
            replies = [self._expect(BASIC_GET_OK, BASIC_GET_EMPTY) for _ in range(copies)]
            taken.append([reply.header for reply in replies if reply.method == BASIC_GET_OK])
        return taken

    # -- frames ---------------------------------------------------------------------------

    def _send(self, channel: int, method: tuple[int, int], args: bytes) -> None:
        self.socket.sendall(frame(FRAME_METHOD, channel, struct.pack(">HH", *method) + args))

    def _call(self, method: tuple[int, int], args: bytes, answer: tuple[int, int]) -> Reply:
        self._send(CHANNEL, method, args)
        return self._expect(answer)

    def _expect(self, *methods: tuple[int, int]) -> Reply:
        kind, payload = self._read_frame()
        if kind != FRAME_METHOD:
            raise ValueError(f"frame type {kind} where a method was due")
        args = Reader(payload)
        method = (args.uint(2), args.uint(2))
        if method in (CHANNEL_CLOSE, CONNECTION_CLOSE):
            code, text = args.uint(2), args.shortstr().decode("utf-8", "replace")
            if method == CHANNEL_CLOSE:
                self._send(CHANNEL, CHANNEL_CLOSE_OK, b"")
                raise AmqpError("channel", code, text)
            self._send(0, CONNECTION_CLOSE_OK, b"")
            self.drop()
            raise AmqpError("connection", code, text)
        if method not in methods:
            raise ValueError(f"method {method} where one of {methods} was due")
        header = self._read_content() if method in (BASIC_GET_OK, BASIC_RETURN) else b""
        return Reply(method, args, header)

    def _read_content(self) -> bytes:
        _, header = self._read_frame()
        size = int.from_bytes(header[4:12], "big")
        while size > 0:
            size -= len(self._read_frame()[1])
        return header

    def _read_frame(self) -> tuple[int, bytes]:
        start = self.stream.read(7)
        if len(start) < 7:
            self.drop()
            raise AmqpError("connection", 0, "DROPPED without a close method")
        kind, _, size = struct.unpack(">BHI", start)
        payload = self.stream.read(size + 1)
        if len(payload) != size + 1 or payload[-1] != FRAME_END:
            raise ValueError("broken frame")
        return kind, payload[:-1]


def header_names(content_header: bytes) -> list[bytes]:
    """Names in the headers table of a content header, in wire order."""
    reader = Reader(content_header, 12)
    flags = reader.uint(2)
    for bit in (15, 14):  # content-type and content-encoding come before the headers
        if flags >> bit & 1:
            reader.shortstr()
    return reader.table_keys() if flags >> PROPERTY_HEADERS & 1 else []


def encode_properties(properties: Properties, body_size: int) -> bytes:
    flags, values = 0, b""
    encoders: tuple[tuple[int, Any, Callable[[Any], bytes]], ...] = (
        (PROPERTY_HEADERS, properties.headers, encode_table),
        (PROPERTY_CORRELATION_ID, properties.correlation_id, shortstr),
        (PROPERTY_MESSAGE_ID, properties.message_id, shortstr),
        (PROPERTY_TIMESTAMP, properties.timestamp, lambda value: integer("T", value)),
    )
    for bit, value, encode in encoders:
        if value is not None:
            flags |= 1 << bit
            values += encode(value)
    return struct.pack(">HHQH", 60, 0, body_size, flags) + values


def encode_table(table: Table) -> bytes:
    rows = b"".join(shortstr(key) + encode_value(tag, value) for key, tag, value in table)
    return struct.pack(">I", len(rows)) + rows


def encode_value(tag: str, value: Any) -> bytes:
    octet = tag.encode("latin-1")
    if tag in INTEGER_BYTES:
        return octet + integer(tag, value)
    match tag:
        case "S" | "x":
            data = raw(value)
            return octet + struct.pack(">I", len(data)) + data
        case "t":  # a number is a raw octet: any non-zero one is true
            return octet + struct.pack("B", int(value))
        case "f":
            return octet + struct.pack(">f", value)
        case "d":
            return octet + struct.pack(">d", value)
        case "D":
            scale, digits = value
            return octet + struct.pack(">BI", scale, digits)
        case "V":
            return octet
        case "F":
            return octet + encode_table(value)
        case "A":
            items = b"".join(encode_value(inner, item) for inner, item in value)
            return octet + struct.pack(">I", len(items)) + items
    raise ValueError(f"unknown field type {tag!r}")


def integer(tag: str, value: int | str) -> bytes:
    """Two's complement of any value that fits the width signed or unsigned."""
    number, size = int(value), INTEGER_BYTES[tag]
    return number.to_bytes(size, "big", signed=number < 0)


def raw(text: Text) -> bytes:
    return text.encode("utf-8") if isinstance(text, str) else bytes.fromhex(text["hex"])


def shortstr(text: Text) -> bytes:
    data = raw(text)
    return struct.pack("B", len(data)) + data


def binding(destination: Text, source: Text, routing_key: Text) -> bytes:
    return b"\0\0" + shortstr(destination) + shortstr(source) + shortstr(routing_key)


def bits(*flags: bool) -> bytes:
    return bytes([sum(flag << position for position, flag in enumerate(flags))])


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([FRAME_END])
