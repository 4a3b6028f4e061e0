#!/usr/bin/env python3
"""Files of a folder over HTTP, for tests: `fileserver.py FOLDER PORT PORTFILE LOG`. PORT 0: any; PORTFILE gets it. LOG gets a line a request:
path and Range. Parts of files are given. /moved/X leads to /X, /slow/X comes with 100 KB/s, /half/X breaks off after its half
unless a part is asked for, /loop leads to itself."""
import http.server
import os
import socketserver
import sys
import time

FOLDER, PORT, PORTFILE, LOG = sys.argv[1:5]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = self.headers.get("Range", "")
        with open(LOG, "a") as log:
            log.write(f"{self.path} {asked}".strip() + "\n")
        path = self.path.split("?")[0].lstrip("/")
        way, _, rest = path.partition("/")
        if way in ("moved", "loop"):
            self.send_response(302)
            self.send_header("Location", "/" + (rest if way == "moved" else "loop/again"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        name = rest if way in ("slow", "half") else path
        try:
            with open(os.path.join(FOLDER, os.path.basename(name)), "rb") as file:
                data = file.read()
        except OSError:
            self.send_error(404)
            return
        begin = int(asked[len("bytes="):].split("-")[0]) if asked else 0
        if asked and begin >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        data = data[begin:]
        if way == "half" and not asked:
            self.wfile.write(data[:len(data) // 2])
            self.close_connection = True
            return
        if way != "slow":
            self.wfile.write(data)
            return
        for at in range(0, len(data), 10_000):
            self.wfile.write(data[at:at + 10_000])
            self.wfile.flush()
            time.sleep(0.1)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, address):
        pass  # Whoever asked is gone.


server = Server(("127.0.0.1", int(PORT)), Handler)
with open(PORTFILE + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(PORTFILE + ".new", PORTFILE)
server.serve_forever()
