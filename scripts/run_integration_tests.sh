#!/usr/bin/env bash
# Runs the integration tests: finds a Python, which does the rest. Options: --help.
# PYTHON names another Python than the one that would be found.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for python in "${PYTHON:-}" "$here/../.venv/bin/python" python3 python3.14 python3.13 python3.12 python3.11; do
  if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    exec "$python" "$here/integration_tests.py" "$@"
  fi
done
echo "no Python 3.11 or newer was found; install one, or name it: PYTHON=/path/to/python3 $0" >&2
exit 2
