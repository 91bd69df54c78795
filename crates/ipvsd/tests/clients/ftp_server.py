"""ftp_server.py FOLDER ADDRESS...: Debian's pyftpdlib, serving FOLDER at port 21 of each address to user "user" with password "pass"."""
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

folder, addresses = sys.argv[1], sys.argv[2:]
authorizer = DummyAuthorizer()
authorizer.add_user("user", "pass", folder, perm="elradfmwMT")


class Handler(FTPHandler):
    pass


Handler.authorizer = authorizer
loop = IOLoop()
servers = [FTPServer((address, 21), Handler, ioloop=loop) for address in addresses]
for server in servers:
    server.max_cons, server.max_cons_per_ip = 500, 0
print("ready", flush=True)
servers[0].serve_forever(handle_exit=False)
