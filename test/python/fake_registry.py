"""A schema registry that answers what it is told: fake_registry.py PORT_FILE MODES_FILE

Writes its URL to PORT_FILE. MODES_FILE, read at every request, holds a JSON object: parts of subjects to
a status (409, 422, 500, ...), "garbage" (a page of HTML with status 200), "wrong" (JSON without an id),
"slow" (no answer for 20 s), {"status", "body", "headers"} or "ok". The first that is part of the subject counts; otherwise it works: ids
are given to texts, and can be read back.
"""
import http.server
import json
import os
import sys
import threading
import urllib.parse

texts = []
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        identity = int(self.path.rsplit("/", 1)[1])
        self.answer(200, json.dumps({"schema": texts[identity - 1]}))

    def do_POST(self):
        subject = urllib.parse.unquote(self.path.split("/")[2])
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[2]) as modes:
            mode = next((m for part, m in json.load(modes).items() if part in subject), "ok")
        if mode == "slow":
            threading.Event().wait(20)
        elif mode == "garbage":
            return self.answer(200, "<html>It works!</html>")
        elif mode == "wrong":
            return self.answer(200, '{"version": 1}')
        elif isinstance(mode, dict):
            self.send_response(mode["status"])
            for name, value in mode.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(mode["body"].encode())))
            self.end_headers()
            return self.wfile.write(mode["body"].encode())
        elif mode != "ok":
            return self.answer(mode, json.dumps({"error_code": mode, "message": f"no, says the registry: {mode}"}))
        with lock:
            if body["schema"] not in texts:
                texts.append(body["schema"])
        self.answer(200, json.dumps({"id": texts.index(body["schema"]) + 1}))

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(sys.argv[1] + ".tmp", "w") as out:
    out.write(f"http://127.0.0.1:{server.server_port}\n")
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
server.serve_forever()
