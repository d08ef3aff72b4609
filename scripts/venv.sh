#!/bin/sh
# Makes .venv with the Python given; installs Debian's venv package when root and it is missing.
set -eu
python=${1:-}
if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
	echo "comity needs Python 3.11, 3.12 or 3.13; found: ${python:-none}. Install one, or: make PYTHON=/path/to/python3.11" >&2
	exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		apt-get update -q
		apt-get install -q -y --no-install-recommends python3-venv
	else
		echo "Python's venv module is missing; install it first, on Debian: apt-get install python3-venv" >&2
		exit 1
	fi
fi
"$python" -m venv .venv
