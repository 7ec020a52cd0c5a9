#!/bin/bash
# Stops what registry-up.sh started.
#   registry-down.sh DIR [--kill] [--wipe]     --kill: without a chance to tidy up; --wipe: the data too
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -ge 1 ] || die "usage: $0 DIR [--kill] [--wipe]"
stop "$@"
