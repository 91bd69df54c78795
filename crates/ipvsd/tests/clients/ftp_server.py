"""ftp_server.py FOLDER ADDRESS: Debian's pyftpdlib, serving FOLDER at port 21 of ADDRESS to user "user" with password "pass"."""
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

folder, address = sys.argv[1:]
FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user("user", "pass", folder, perm="elradfmwMT")
# A thread for each session: with one loop for all, some sessions stand still, on one host too (1.5.7).
server = ThreadedFTPServer((address, 21), FTPHandler)
server.max_cons, server.max_cons_per_ip = 500, 0
print("ready", flush=True)
server.serve_forever()
