"""The error codes that the installed librdkafka knows, and what src/sinks/kafka makes of them: prints what does not agree.

  kafka_error_codes.py kafka_error.c README.md

Every code of the library is in the table of kafka_error.c with its name, every name there in a row of README.md with its verdict.
"""
import ctypes
import ctypes.util
import re
import sys

MARKERS = ("_BEGIN", "_END")


class Description(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char_p)]


def of_library():
    library = ctypes.CDLL(ctypes.util.find_library("rdkafka") or "librdkafka.so.1")
    found, count = ctypes.POINTER(Description)(), ctypes.c_size_t()
    library.rd_kafka_get_err_descs(ctypes.byref(found), ctypes.byref(count))
    return {found[i].code: found[i].name.decode() for i in range(count.value) if found[i].name}


def main():
    source, readme = (open(name, encoding="utf-8").read() for name in sys.argv[1:3])
    rules = {int(code): (name, verdict) for code, name, verdict in re.findall(r'^\t\{(-?\d+), "(\w+)", KAFKA_(\w+),', source, re.M)}
    wrong = []
    library = of_library()
    if len(library) < 100:
        wrong.append(f"the library lists {len(library)} codes only")
    for code, name in library.items():
        if code not in rules:
            wrong.append(f"no verdict for {code} {name}: add it to kafka_error.c and README.md")
        elif rules[code][0] != name:
            wrong.append(f"{code} is {name}, not {rules[code][0]}")
    if list(rules) != sorted(rules):
        wrong.append("the codes are not in order")
    rows = {}
    for names, verdict in re.findall(r"^\| ((?:`_?[A-Z_]+` ?)+)\| ??(\w*) ?\|", readme, re.M):
        for name in re.findall(r"`(\w+)`", names):
            if name in rows:
                wrong.append(f"{name} is in README.md twice")
            rows[name] = verdict
    shown = {"BEHIND": "RETRY", "TOO_BIG": "REJECT"}
    for name, verdict in rules.values():
        expected = "" if name == "_QUEUE_FULL" else shown.get(verdict, verdict)
        if name not in MARKERS and rows.get(name) != expected:
            wrong.append(f"{name} is {expected}, README.md says {rows.get(name)}")
    wrong += [f"README.md has {name}, which is no code" for name in set(rows) - {name for name, _ in rules.values()}]
    print("\n".join(wrong), end="")


if __name__ == "__main__":
    main()
