"""A schema registry that answers what it is told: fake_registry.py PORT_FILE MODES_FILE

Writes its URL to PORT_FILE, and every request of ours to PORT_FILE.requests. MODES_FILE, read at every request,
holds a JSON object: parts of subjects to a status (409, 422, 500, ...), "garbage" (a page of HTML with status
200), "wrong" (JSON without an id), "slow" (no answer for 20 s), {"status", "body", "headers"} or "ok". The first that is part of the subject
counts; otherwise it works: ids are given to texts, and can be read back. Some names mean something else:
  "/ids"     how ids are read back: a mode as above, "scale" (with another scale of decimals), "plain" (without
             logical types), "doc" (with other words and order), or "garbage"
  "/rebuilt" when it changes the registry is empty again
  "/first"   the number that the next empty registry begins with (1)
"""
import http.server
import json
import os
import sys
import threading
import urllib.parse

texts = {}  # id -> schema
subjects = {}  # subject -> ids
rebuilt = object()
next_id = 1
lock = threading.Lock()


def reread(schema, mode):
    """What a registry makes of a schema that it gives back."""
    if isinstance(schema, list):
        return [reread(s, mode) for s in schema]
    if not isinstance(schema, dict):
        return schema
    result = {k: reread(v, mode) for k, v in (reversed(schema.items()) if mode == "doc" else schema.items())}
    if mode == "scale" and "scale" in result:
        result["scale"] += 1
    if mode == "plain":
        for k in ("logicalType", "precision", "scale"):
            result.pop(k, None)
    if mode == "doc" and "name" in result:
        result["doc"] = "Gr\u00fc\u00dfe"
    return result


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, code, words):
        self.answer(status, json.dumps({"error_code": code, "message": words}))

    def begin(self):
        global rebuilt, next_id
        with lock:
            if self.headers["User-Agent"] == "outbox_ext":
                with open(sys.argv[1] + ".requests", "a") as out:
                    out.write(f"{self.command} {urllib.parse.unquote(self.path)}\n")
            with open(sys.argv[2]) as file:
                modes = json.load(file)
            if modes.get("/rebuilt") != rebuilt:
                rebuilt = modes.get("/rebuilt")
                texts.clear()
                subjects.clear()
                next_id = modes.get("/first", 1)
        return modes

    def trouble(self, mode):
        """True: answered already."""
        if mode == "slow":
            threading.Event().wait(20)
        elif mode == "garbage":
            self.answer(200, "<html>It works!</html>")
            return True
        elif mode == "wrong":
            self.answer(200, '{"version": 1}')
            return True
        elif isinstance(mode, dict):
            self.send_response(mode["status"])
            for name, value in mode.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(mode["body"].encode())))
            self.end_headers()
            self.wfile.write(mode["body"].encode())
            return True
        elif isinstance(mode, int):
            self.refuse(mode, mode, f"no, says the registry: {mode}")
            return True
        return False

    def do_GET(self):
        mode = self.begin().get("/ids", "ok")
        identity = int(self.path.rsplit("/", 1)[1])
        if self.trouble(mode):
            return
        if identity not in texts:
            return self.refuse(404, 40403, "Schema not found")
        text = texts[identity]
        if mode in ("scale", "plain", "doc"):
            text = json.dumps(reread(json.loads(text), mode))
        self.answer(200, json.dumps({"schema": text}))

    def do_POST(self):
        global next_id
        modes = self.begin()
        parts = self.path.split("/")
        subject = urllib.parse.unquote(parts[2])
        schema = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["schema"]
        if self.trouble(next((m for part, m in modes.items() if not part.startswith("/") and part in subject), "ok")):
            return
        with lock:
            identity = next((i for i, text in texts.items() if text == schema), None)
            if parts[-1] == "versions":
                if identity is None:
                    identity = next_id
                    next_id += 1
                    texts[identity] = schema
                subjects.setdefault(subject, set()).add(identity)
        if subject not in subjects:
            return self.refuse(404, 40401, f"Subject '{subject}' not found.")
        if identity not in subjects[subject]:
            return self.refuse(404, 40403, "Schema not found")
        self.answer(200, json.dumps({"subject": subject, "id": identity, "version": 1, "schema": schema}))

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(sys.argv[1] + ".tmp", "w") as out:
    out.write(f"http://127.0.0.1:{server.server_port}\n")
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
server.serve_forever()
