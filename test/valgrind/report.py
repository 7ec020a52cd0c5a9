"""What valgrind found in our code: report.py LOGS SOURCES; exit status 1 if there is something.

An error counts when one of our functions is in the stack where it happened, whoever was called from
there; what happens in PostgreSQL alone is only counted. The same stack is shown once.
"""
import pathlib
import re
import sys

FRAME = re.compile(r"(?:at|by) 0x[0-9A-F]+: (.*)")


def errors(log):
    """Blocks of one log: the lines of an error, without process number and suppressions."""
    block = []
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"==\d+== ?(.*)", line)
        if match and match.group(1).strip():
            block.append(match.group(1))
        elif block:
            yield block
            block = []
    if block:
        yield block


def stack(block):
    """The frames of the place where it happened; those of an allocation follow a second sentence."""
    frames = []
    for line in block[1:]:
        match = FRAME.search(line)
        if not match:
            break
        frames.append(match.group(1))
    return frames


def main(logs, sources):
    ours, others = {}, 0
    files = sorted(pathlib.Path(logs).glob("*.log"))
    for log in files:
        for block in errors(log):
            frames = stack(block)
            if not frames:
                continue
            if any(sources in frame or "/outbox_" in frame for frame in frames):
                ours.setdefault((block[0], tuple(frames[:8])), [log.name, block, 0])[2] += 1
            else:
                others += 1
    for name, block, times in ours.values():
        print(f"\n{name}, {times} times:")
        print("\n".join(block))
    print(f"valgrind: {len(files)} processes, {len(ours)} errors in outbox_ext, {others} in PostgreSQL alone")
    return 1 if ours or not files else 0


sys.exit(main(sys.argv[1], sys.argv[2]))
