#!/bin/bash
# Stops what kafka-up.sh started.
#   kafka-down.sh DIR [--kill] [--wipe]     --kill: without a chance to tidy up; --wipe: the data too
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -ge 1 ] || die "usage: $0 DIR [--kill] [--wipe]"
stop "$@"
