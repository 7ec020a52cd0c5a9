"""What peers.py measured, as a table (Markdown) and as a plot: medians, and the range from the smallest to the largest run."""
import os
import platform

import common

# field, title, format; the plot has the first, and the latencies
COLUMNS = [
    ("write_us", "capture, µs/row", "{:.1f}"),
    ("wal_bytes", "WAL, B/event", "{:.0f}"),
    ("per_second", "drain, events/s", "{:,.0f}"),
    ("cpu_us", "CPU, µs/event", "{:.1f}"),
    ("memory_mb", "memory, MB", "{:.0f}"),
    ("p50_100_ms", "p50 at 100/s, ms", "{:.1f}"),
    ("p99_100_ms", "p99 at 100/s, ms", "{:.1f}"),
    ("p50_1000_ms", "p50 at 1000/s, ms", "{:.1f}"),
    ("p99_1000_ms", "p99 at 1000/s, ms", "{:.1f}"),
    ("dead_rows", "dead rows", "{:,.0f}"),
]
# in the order of the table
NAMES = {"limit": "librdkafka alone (the limit)", "outbox": "**outbox_ext**", "outbox_minimal": "**outbox_ext**, id and type as headers",
         "pgq": "PGQ + Python consumer",
         "poller": "PL/pgSQL trigger + Python relay", "debezium": "Debezium Server, tuned",
         "none": "no capture; the client produces after its commit"}
COLORS = {"limit": "#999999", "outbox": "#1f6f8b", "outbox_minimal": "#1f6f8b", "pgq": "#c9a227", "poller": "#b5651d", "debezium": "#7a5195", "none": "#999999"}


def summary(runs):
    rows = []
    for name in (n for n in NAMES if any(r["contender"] == n for r in runs)):
        mine = [r for r in runs if r["contender"] == name]
        row = {"contender": name, "about": NAMES[name].replace("*", "")}
        for field, _, _ in COLUMNS:
            values = [r[field] for r in mine if r.get(field) is not None]
            if values:
                row[field] = round(common.median(values), 3)
                row[field + "_range"] = [min(values), max(values)]
        rows.append(row)
    return rows


def cell(row, field, form):
    if field not in row:
        return "–"
    low, high = (form.format(v) for v in row[field + "_range"])
    middle = form.format(row[field])
    return middle if low == high else f"{middle} ({low}–{high})"


def machine_line(about):
    return (f"{about['cpus']} CPUs ({about['cpu_model']}), {about['memory_gb']} GB, Linux {platform.release().split('-')[0]}, "
            f"PostgreSQL {about['postgresql'].split()[0]}, Kafka on the same machine")


def markdown(rows, args, about, targets):
    lines = ["| | " + " | ".join(title for _, title, _ in COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for row in rows:
        lines.append(f"| {NAMES[row['contender']]} | " + " | ".join(cell(row, field, form) for field, _, form in COLUMNS) + " |")
    return "\n".join([
        "# From a table to Kafka, side by side", "",
        f"`{os.environ.get('BENCH_COMMAND', 'make bench')}`: {args.rounds} rounds in which every contender runs once, {args.events:,} rows; "
        "medians, in parentheses the smallest and the largest.", "",
        f"The machine: {machine_line(about)}; load when it began {about['load_at_start']}. "
        "fsync on, one broker, 4 partitions, acks=all, idempotent, lz4.", "",
        *lines, "", "What is counted, and what the contenders do: [bench/README.md](../README.md).", "",
        *(f"- {'met' if t['met'] else 'missed'}: {t['target']}: {t['value']:.3g} (target {t['limit']})" for t in targets), ""])


def plot(rows, path, about):
    """Three panels of bars; the whiskers are the ranges."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "outbox_ext", "svg.fonttype": "none"})
    from matplotlib import pyplot

    panels = [("per_second", "drain, events/s", False), ("cpu_us", "CPU, µs per event, server included", False),
              ("p50_100_ms", "latency at 100/s, ms, p50 to p99", True)]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(11, 2.9))
    for axis, (field, title, latency) in zip(axes, panels):
        shown = [row for row in reversed(rows) if field in row]
        for place, row in enumerate(shown):
            color = COLORS[row["contender"]]
            if latency:
                # the consumer may be faster than the server's answer to the writer
                left = max(row[field], 0.1)
                axis.barh(place, max(row["p99_100_ms"] - left, 0), left=left, color=color, height=0.6)
                axis.text(row["p99_100_ms"] * 1.1, place, f"{row[field]:.1f} – {row['p99_100_ms']:.1f}", va="center", fontsize=7)
            else:
                low, high = row[field + "_range"]
                axis.barh(place, row[field], color=color, height=0.6, xerr=[[row[field] - low], [high - row[field]]], ecolor="#333333", capsize=2)
                axis.text(high, place, "  " + (f"{row[field]:,.0f}" if row[field] >= 100 else f"{row[field]:.1f}"), va="center", fontsize=7)
        axis.set_yticks(range(len(shown)), [row["about"].split(" (")[0].split(";")[0].replace("id and type as headers", "2 headers") if field != "p50_100_ms" or row["contender"] != "none"
                                            else "client, after its commit" for row in shown], fontsize=7)
        axis.set_title(title, fontsize=8, loc="left")
        axis.tick_params(axis="x", labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
        if latency:
            axis.set_xscale("log")
            axis.set_xlim(0.1, axis.get_xlim()[1] * 10)
        else:
            axis.set_xlim(0, axis.get_xlim()[1] * 1.25)
            axis.locator_params(axis="x", nbins=4)
    figure.text(0.995, 0.01, machine_line(about), ha="right", fontsize=6, color="#666666")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, metadata={"Date": None})


def verdicts(rows):
    of = {row["contender"]: row for row in rows}
    ours = of.get("outbox")
    if ours is None:
        return []
    targets = []
    # each with the headers of the rival
    for rival, mine, factor in (("limit", "outbox", 0.7), ("pgq", "outbox_minimal", 2), ("debezium", "outbox_minimal", 10)):
        if rival in of and mine in of:
            name = NAMES[rival].split(" (")[0]
            targets.append(common.verdict(f"drain, outbox_ext / {name}", of[mine]["per_second"] / of[rival]["per_second"], factor, at_most=False))
    targets.append(common.verdict("CPU, µs per event", ours["cpu_us"], 5))
    targets.append(common.verdict("WAL, bytes per event", ours["wal_bytes"], 240))
    targets.append(common.verdict("memory, MB", ours["memory_mb"], 150))
    for rate in (100, 1000):
        targets.append(common.verdict(f"p50 at {rate}/s, ms", ours[f"p50_{rate}_ms"], 1))
        targets.append(common.verdict(f"p99 at {rate}/s, ms", ours[f"p99_{rate}_ms"], 5))
    return targets


def peers(runs, args, about):
    """Prints the table and the targets; writes bench/results/peers.md and peers.svg. Returns the targets."""
    rows = summary(runs)
    targets = verdicts(rows)
    common.RESULTS.mkdir(exist_ok=True)
    name = args.output or "peers"
    text = markdown(rows, args, about, targets)
    (common.RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    plot(rows, common.RESULTS / f"{name}.svg", about)
    print("\n" + text)
    return targets
