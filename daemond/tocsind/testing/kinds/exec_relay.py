"""The command of the fake of kind "exec": it posts its standard input to the fake at the port in its first argument. The answer says
with which exit code it ends.

It uses the standard library only, and runs without site packages, because it starts for each batch.
"""

import socket
import sys

_CODES = {b"200": 0, b"400": 65, b"401": 77, b"429": 75}


def _asked(port: int, content: bytes) -> bytes:
    head = f"POST /run HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + content)
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def main() -> int:
    """The exit code for the answer; 1 for one that the fake does not mean, and for none."""
    try:
        answer = _asked(int(sys.argv[1]), sys.stdin.buffer.read())
    except OSError:
        return 1
    head, _, body = answer.partition(b"\r\n\r\n")
    sys.stdout.buffer.write(body)
    return _CODES.get(head[9:12], 1)


if __name__ == "__main__":
    sys.exit(main())
