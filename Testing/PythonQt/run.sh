#!/bin/sh
# run.sh WORK PYTHON [pytest's arguments]: the stories of Testing/Host, in what build.sh has made.
set -eu
[ $# -ge 2 ] || { echo "usage: run.sh WORK PYTHON [pytest's arguments]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
work=$(realpath "$1")
PYTHONPATH=$("$2" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
PYTHONHOME=$("$2" -c "import sys; print(sys.base_prefix)")
QT_QPA_PLATFORM=${QT_QPA_PLATFORM:-offscreen}
SLICER_SOURCE=$work/Slicer
export PYTHONPATH PYTHONHOME QT_QPA_PLATFORM SLICER_SOURCE
shift 2
exec "$work/build/pythonqt-host" "$here/run_stories.py" "$@"
