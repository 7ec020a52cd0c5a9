"""The Kafka sink beside librdkafka alone: the same messages, settings and topic, alternated.

  sink_ratio.py --bootstrap HOST:PORT --topic TOPIC --dsn DSN [--n 1000000] [--runs 5] [--output FILE]

The server of DSN has the extension sink_driver (test/modules/sink_driver); build/rdkafka_limit is
bench/rdkafka_limit.c. TOPIC exists, with 4 partitions. Prints medians; FILE gets every run as JSON.
"""
import argparse
import json
import statistics
import subprocess

import psycopg

PAYLOAD_BYTES = 140


def alone(options, headers):
    out = subprocess.run(["build/rdkafka_limit", options.bootstrap, options.topic, str(options.n), str(PAYLOAD_BYTES), headers],
                         check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def sink(options, connection, headers):
    settings = json.dumps({"bootstrap.servers": options.bootstrap, "headers": headers})
    row = connection.execute("SELECT publish_n('outbox_kafka', %s::jsonb, %s, %s, %s, max_seconds => 300)",
                             (settings, options.topic, options.n, PAYLOAD_BYTES)).fetchone()
    assert row[0]["ok"] == options.n, row[0]
    return row[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bootstrap", "topic", "dsn"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output")
    options = parser.parse_args()

    runs = []
    with psycopg.connect(options.dsn, autocommit=True) as connection:
        for number in range(options.runs):
            for headers in ("none", "minimal", "cloudevents"):
                for contender in ("librdkafka", "sink"):
                    result = alone(options, headers) if contender == "librdkafka" else sink(options, connection, headers)
                    runs.append({"run": number, "headers": headers, "contender": contender, **result})
    if options.output:
        with open(options.output, "w") as out:
            json.dump(runs, out, indent=1)

    def median(headers, contender, what):
        return statistics.median(r[what] for r in runs if (r["headers"], r["contender"]) == (headers, contender))

    print(f"{'headers':<12} {'librdkafka/s':>13} {'sink/s':>10} {'ratio':>6} {'librdkafka us':>14} {'sink us':>8}")
    for headers in ("none", "minimal", "cloudevents"):
        limit, ours = median(headers, "librdkafka", "per_second"), median(headers, "sink", "per_second")
        print(f"{headers:<12} {limit:>13.0f} {ours:>10.0f} {ours / limit:>6.2f} "
              f"{median(headers, 'librdkafka', 'cpu_us'):>14.2f} {median(headers, 'sink', 'cpu_us'):>8.2f}")


if __name__ == "__main__":
    main()
