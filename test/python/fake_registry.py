"""A schema registry that answers what it is told: fake_registry.py PORT_FILE MODES_FILE

Writes its URL to PORT_FILE, and every request of ours to PORT_FILE.requests. MODES_FILE, read at every request,
holds a JSON object: parts of subjects to a status (409, 422, 500, ...), "garbage" (a page of HTML with status
200), "wrong" (JSON without an id), "slow" (no answer for 20 s), {"status", "body", "headers"} or "ok". The first that is part of the subject
counts; otherwise it works: ids are given to texts, and can be read back. Some names mean something else:
  "/ids"     how ids are read back: a mode as above, "scale" (with another scale of decimals), "plain" (without
             logical types), "doc" (with other words and order), or "garbage"
  "/rebuilt" when it changes the registry is empty again
  "/first"   the number that the next empty registry begins with (1)
  "/level"   the level of subjects that have none ("BACKWARD")
  "/config"  a mode of questions about levels
  "/no"      part of subjects for which a compatibility check says no, with these words after a blank
  "/plain"   true: it checks against the newest version alone, as older ones do
  "/deleted" part of subjects whose versions were deleted softly
"""
import http.server
import json
import os
import sys
import threading
import urllib.parse

texts = {}  # id -> schema
subjects = {}  # subject -> ids, in order
levels = {}  # subject -> level
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


def mode_of(modes, subject):
    return next((m for part, m in modes.items() if not part.startswith("/") and part in subject), "ok")


def is_deleted(modes, subject):
    return "/deleted" in modes and modes["/deleted"] in subject


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
            self.path, _, self.query = self.path.partition("?")
            with open(sys.argv[2]) as file:
                modes = json.load(file)
            if modes.get("/rebuilt") != rebuilt:
                rebuilt = modes.get("/rebuilt")
                texts.clear()
                subjects.clear()
                levels.clear()
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
        modes = self.begin()
        parts = [urllib.parse.unquote(p) for p in self.path.split("/")]
        if parts[1] == "config":
            return self.tell_level(modes, parts[2] if len(parts) > 2 else None)
        if parts[1] == "subjects":
            return self.tell_versions(modes, parts[2], parts[4:])
        mode = modes.get("/ids", "ok")
        identity = int(parts[-1])
        if self.trouble(mode):
            return
        if identity not in texts:
            return self.refuse(404, 40403, "Schema not found")
        text = texts[identity]
        if mode in ("scale", "plain", "doc"):
            text = json.dumps(reread(json.loads(text), mode))
        self.answer(200, json.dumps({"schema": text}))

    def tell_level(self, modes, subject):
        if self.trouble(modes.get("/config", "ok")):
            return
        level = levels.get(subject) if subject else modes.get("/level", "BACKWARD")
        if level is None and "defaultToGlobal=true" in self.query:
            level = modes.get("/level", "BACKWARD")
        if level is None:
            return self.refuse(404, 40408, "no level")
        self.answer(200, json.dumps({"compatibilityLevel": level}))

    def tell_versions(self, modes, subject, number):
        if self.trouble(mode_of(modes, subject)):
            return
        ids = subjects.get(subject, [])
        if is_deleted(modes, subject) and "deleted=true" not in self.query:
            ids = []
        if not ids:
            return self.refuse(404, 40401, f"Subject '{subject}' not found.")
        if not number:
            return self.answer(200, json.dumps(list(range(1, len(ids) + 1))))
        identity = ids[int(number[0]) - 1]
        self.answer(200, json.dumps({"subject": subject, "id": identity, "version": int(number[0]), "schema": texts[identity]}))

    def do_PUT(self):
        modes = self.begin()
        subject = urllib.parse.unquote(self.path.split("/")[2])
        level = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["compatibility"]
        if self.trouble(modes.get("/config", "ok")):
            return
        levels[subject] = level
        self.answer(200, json.dumps({"compatibility": level}))

    def check(self, modes, subject, all_versions):
        if modes.get("/plain") and all_versions:
            return self.answer(404, "<html>no such page</html>")
        part, _, words = modes.get("/no", "").partition(" ")
        if part and part in subject:
            return self.answer(200, json.dumps({"is_compatible": False, "messages": [words]}))
        if subject not in subjects:
            return self.refuse(404, 40401, f"Subject '{subject}' not found.")
        self.answer(200, json.dumps({"is_compatible": True}))

    def do_POST(self):
        global next_id
        modes = self.begin()
        parts = [urllib.parse.unquote(p) for p in self.path.split("/")]
        checks = parts[1] == "compatibility"
        subject = parts[3] if checks else parts[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        schema = body["schema"]
        if self.trouble(mode_of(modes, subject)):
            return
        if checks:
            return self.check(modes, subject, parts[-1] == "versions")
        with lock:
            identity = next((i for i, text in texts.items() if text == schema), None)
            if parts[-1] == "versions":
                if identity is None:
                    identity = next_id
                    next_id += 1
                    texts[identity] = schema
                if identity not in subjects.setdefault(subject, []):
                    subjects[subject].append(identity)
        if subject not in subjects or is_deleted(modes, subject):
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
