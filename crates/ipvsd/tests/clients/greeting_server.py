"""greeting_server.py ADDRESS PORT: reads a PROXY protocol header (version 2), says what stands in it before it reads anything
else, and then sends back all that it gets."""
import socket
import struct
import sys
import threading

address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
listener = socket.create_server((address, port), family=family, backlog=50)


def exactly(stream, length):
    data = b""
    while len(data) < length:
        more = stream.recv(length - len(data))
        if not more:
            raise EOFError(data)
        data += more
    return data


def serve(stream):
    with stream:
        head = exactly(stream, 16)
        assert head[:13] == b"\r\n\r\n\0\r\nQUIT\n\x21", head
        rest = exactly(stream, struct.unpack("!H", head[14:])[0])
        size = {0x11: 4, 0x21: 16}[head[13]]
        client, virtual = (socket.inet_ntop(family, rest[at:at + size]) for at in (0, size))
        ports = struct.unpack("!HH", rest[2 * size:2 * size + 4])
        stream.sendall(f"{client} {ports[0]} {virtual} {ports[1]}\n".encode())
        while data := stream.recv(65536):
            stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)


print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
