"""What the demo prints about the messages that its consumer read (JSON lines from consume.py).

  demo_report.py first MESSAGES WIDTH        the first message of every event type, decoded, payloads cut at WIDTH columns
  demo_report.py counts MESSAGES CAPTURED    captured and consumed per event type; CAPTURED holds "type TAB count" lines
  demo_report.py consumed MESSAGES           the number of different events
Tombstones are not events; a message delivered twice carries the same id and counts once.
"""
import json
import sys


def read_events(path):
    with open(path, encoding="utf-8") as lines:
        messages = [json.loads(line) for line in lines]
    return [m for m in messages if m["value"] is not None]


def event_type(message):
    return message["schema_name"].rsplit(".", 1)[-1]


def print_first(events, width):
    seen = set()
    for message in sorted(events, key=lambda m: m["headers"]["ce_sequence"]):
        name = event_type(message)
        if name in seen:
            continue
        seen.add(name)
        payload = "    " + json.dumps(message["value"], ensure_ascii=False)
        if len(payload) > width:
            payload = payload[: width - 1] + "…"
        print(f"{name:<20} {message['topic']}[{message['partition']}]  key {message['key']}\n{payload}")


def print_counts(events, captured_path):
    ids, by_type = set(), {}
    for message in events:
        if message["headers"]["ce_id"] not in ids:
            ids.add(message["headers"]["ce_id"])
            by_type[event_type(message)] = by_type.get(event_type(message), 0) + 1
    print(f"{'event type':<22} {'captured':>9} {'consumed':>9}")
    with open(captured_path, encoding="utf-8") as lines:
        for line in lines:
            name, count = line.rstrip("\n").split("\t")
            print(f"{name:<22} {count:>9} {by_type.pop(name, 0):>9}")
    for name, count in by_type.items():
        print(f"{name:<22} {0:>9} {count:>9}")
    if len(events) != len(ids):
        print(f"{len(events) - len(ids)} messages were delivered twice, with the same id")


def main(argv):
    command, events = argv[1], read_events(argv[2])
    if command == "first":
        print_first(events, int(argv[3]))
    elif command == "counts":
        print_counts(events, argv[3])
    elif command == "consumed":
        print(len({m["headers"]["ce_id"] for m in events}))
    else:
        sys.exit(__doc__)


main(sys.argv)
