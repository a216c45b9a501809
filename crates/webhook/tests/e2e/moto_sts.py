"""Runs moto's STS on a free port of the loopback interface, and says which."""

import signal

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print(f"moto {host}:{port}", flush=True)
signal.pause()
