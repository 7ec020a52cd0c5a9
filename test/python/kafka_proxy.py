"""A proxy that knows Kafka's frames, between a producer and a broker.

  kafka_proxy.py PORT_FILE BROKER_FILE RULES_FILE [LOG_FILE]

Writes its own host:port to PORT_FILE, and connects to the one that BROKER_FILE names when somebody connects. The broker
has to tell its clients to come back to the proxy (KAFKA_PROXY of kafka-up.sh).

RULES_FILE, read again when it changes, holds a JSON list. A rule answers batches itself instead of passing them on:

  code      the error, a number of the protocol
  topic     of these topics: the beginning of the name
  batch     the n-th batch of a partition that a producer sends for the first time, from 1 on; or the text that it contains; 0: every one
  times     so often per partition, counting repetitions of the batch; 0: always
  chance    with this probability only
  delay     seconds until the answer; what comes behind the batch reaches the broker meanwhile

KAFKA_PROXY_LISTEN is where it listens (127.0.0.1:0, a free port).

Ends with the process that started it (or with KAFKA_PROXY_PARENT, a process id), whatever way that ends.

LOG_FILE gets a line of JSON for each batch: topic, partition, producer id, epoch, sequence, records, code (0: passed on).
"""
import json
import os
import random
import signal
import socket
import struct
import sys
import threading
import time

PRODUCE = 0


class Rules:
    """The rules at present, and what they have done."""

    def __init__(self, path, log):
        self.path, self.log, self.rules, self.read_at = path, log, [], None
        self.lock, self.seen, self.done = threading.Lock(), {}, {}

    def load(self):
        try:
            stamp = os.stat(self.path)
        except FileNotFoundError:
            return
        stamp = (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino)
        if stamp != self.read_at:
            with open(self.path, encoding="utf-8") as file:
                self.rules = json.load(file)
            self.read_at = stamp
            self.done = {}

    def answer(self, batch):
        """The rule that answers this batch, or None."""
        with self.lock:
            self.load()
            place = (batch["topic"], batch["partition"], batch["producer"])
            seen = self.seen.setdefault(place, {})
            # without idempotence every batch looks the same
            identity = (batch["epoch"], batch["sequence"]) if batch["producer"] >= 0 else len(seen)
            number = seen.setdefault(identity, len(seen) + 1)
            found = next((rule for index, rule in enumerate(self.rules) if self.applies(rule, index, place, number, batch)), None)
            if self.log:
                line = {name: value for name, value in batch.items() if name != "bytes"}
                line["code"] = found["code"] if found else 0
                self.log.write(json.dumps(line) + "\n")
                self.log.flush()
            return found

    def applies(self, rule, index, place, number, batch):
        which = rule.get("batch", 1)
        if not batch["topic"].startswith(rule.get("topic", "")):
            return False
        if which not in (0, number) and not (isinstance(which, str) and which.encode() in batch["bytes"]):
            return False
        if random.random() >= rule.get("chance", 1):
            return False
        times = rule.get("times", 1)
        done = self.done.get((index, place[:2]), 0)
        if times and done >= times:
            return False
        self.done[(index, place[:2])] = done + 1
        return True


class Reader:
    """Walks through the fields of a request."""

    def __init__(self, data, flexible):
        self.data, self.at, self.flexible = data, 0, flexible

    def number(self, layout):
        value = struct.unpack_from(">" + layout, self.data, self.at)[0]
        self.at += struct.calcsize(layout)
        return value

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def length(self, layout):
        return self.varint() - 1 if self.flexible else self.number(layout)

    def bytes(self, layout):
        length = max(self.length(layout), 0)
        self.at += length
        return self.data[self.at - length:self.at]


def read_batch(frame):
    """What a ProduceRequest holds: one batch of one partition is all that librdkafka sends. None: something else."""
    kind, version, _ = struct.unpack(">hhi", frame[:8])
    if kind != PRODUCE or version < 3:
        return None
    reader = Reader(frame, flexible=False)
    reader.at = 8
    reader.bytes("h")  # the client's name, never compact
    reader.flexible = version >= 9
    if reader.flexible:
        reader.varint()
    reader.bytes("h")  # transactional id
    reader.number("h")
    reader.number("i")
    reader.length("i")
    topic = reader.bytes("h").decode()
    reader.length("i")
    partition = reader.number("i")
    records = reader.bytes("i")
    producer, epoch, sequence, count = struct.unpack(">qhii", records[43:61])
    return {"topic": topic, "partition": partition, "producer": producer, "epoch": epoch, "sequence": sequence,
            "records": count, "version": version, "bytes": records}


def refusal(frame, batch, code):
    """The broker's answer to the request: the error."""
    version, correlation = struct.unpack(">hi", frame[2:8])
    name = batch["topic"].encode()
    result = struct.pack(">ihqq", batch["partition"], code, -1, -1)
    if version >= 5:
        result += struct.pack(">q", -1)
    if version >= 9:
        body = b"\x00\x02" + bytes([len(name) + 1]) + name + b"\x02" + result + b"\x01\x00\x00\x00" + struct.pack(">i", 0) + b"\x00"
    else:
        if version >= 8:
            result += struct.pack(">ih", 0, -1)
        body = struct.pack(">ih", 1, len(name)) + name + struct.pack(">i", 1) + result + struct.pack(">i", 0)
    body = struct.pack(">i", correlation) + body
    return struct.pack(">i", len(body)) + body


def receive(connection, length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Connection:
    """A client's connection and the one to the broker. Answers keep the order of the requests."""

    def __init__(self, client, broker, rules):
        self.client, self.broker, self.rules = client, broker, rules
        self.lock = threading.Lock()
        self.expected = []  # correlation ids of requests, in order; with the answer of those that are ours
        for run in (self.requests, self.answers):
            threading.Thread(target=self.run, args=(run,), daemon=True).start()

    def run(self, what):
        try:
            what()
        except (EOFError, OSError, struct.error):
            pass
        for connection in (self.client, self.broker):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def requests(self):
        while True:
            length = receive(self.client, 4)
            frame = receive(self.client, struct.unpack(">i", length)[0])
            batch = read_batch(frame)
            rule = self.rules.answer(batch) if batch else None
            entry = {"id": struct.unpack(">i", frame[4:8])[0], "answer": None, "ours": rule is not None}
            with self.lock:
                self.expected.append(entry)
            if rule is None:
                self.broker.sendall(length + frame)
            else:
                answer = refusal(frame, batch, rule["code"])
                timer = threading.Timer(rule.get("delay", 0.1), self.arrived, (entry, answer))
                timer.daemon = True
                timer.start()

    def answers(self):
        while True:
            length = receive(self.broker, 4)
            frame = receive(self.broker, struct.unpack(">i", length)[0])
            identity = struct.unpack(">i", frame[:4])[0]
            with self.lock:
                entry = next(e for e in self.expected if e["id"] == identity and not e["ours"])
            self.arrived(entry, length + frame)

    def arrived(self, entry, answer):
        with self.lock:
            entry["answer"] = answer
            while self.expected and self.expected[0]["answer"] is not None:
                try:
                    self.client.sendall(self.expected.pop(0)["answer"])
                except OSError:
                    return


def end_with(parent):
    """Nobody else ends a proxy whose test was killed."""
    pause = threading.Event()
    while os.path.exists(f"/proc/{parent}") and os.getppid() != 1:
        pause.wait(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def main():
    threading.Thread(target=end_with, args=(int(os.environ.get("KAFKA_PROXY_PARENT", os.getppid())),), daemon=True).start()
    port_file, broker_file, rules_file, *rest = sys.argv[1:]
    rules = Rules(rules_file, open(rest[0], "a", encoding="utf-8") if rest else None)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host, port = os.environ.get("KAFKA_PROXY_LISTEN", "127.0.0.1:0").rsplit(":", 1)
    listener.bind((host, int(port)))
    listener.listen(100)
    with open(port_file + ".new", "w", encoding="ascii") as file:
        file.write("%s:%d\n" % listener.getsockname())
    os.rename(port_file + ".new", port_file)
    while True:
        client, _ = listener.accept()
        try:
            with open(broker_file, encoding="ascii") as file:
                host, port = file.read().strip().rsplit(":", 1)
            broker = socket.create_connection((host, int(port)))
        except (OSError, ValueError):
            client.close()
            time.sleep(0.05)
            continue
        for connection in (client, broker):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Connection(client, broker, rules)


if __name__ == "__main__":
    main()
