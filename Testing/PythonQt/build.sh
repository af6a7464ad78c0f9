#!/bin/sh
# build.sh WORK PYTHON: fetches PythonQt, CTK and Slicer's sources into WORK and builds the host there.
# PYTHON: that of an environment with the tests' packages; the shared library of its version is linked.
set -eu
[ $# -eq 2 ] || { echo "usage: build.sh WORK PYTHON" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
python=$(realpath --no-symlinks "$2")
mkdir -p "$1"
cd "$1"
# The revisions that this was written with; PythonQt's is the one behind that of CTK's own build.
fetch() {
  [ -d "$1/.git" ] && return
  git init --quiet "$1"
  git -C "$1" fetch --quiet --depth 1 "$2" "$3"
  git -C "$1" checkout --quiet FETCH_HEAD
}
fetch PythonQt "${PYTHONQT_REPOSITORY:-https://github.com/MeVisLab/pythonqt}" refs/tags/v4.1.0
fetch CTK "${CTK_REPOSITORY:-https://github.com/commontk/CTK}" 868d56c72d2899f0f5595745c7c39765fed80eef
fetch Slicer "${SLICER_REPOSITORY:-https://github.com/Slicer/Slicer}" 583e9b37d50ead7daf7b783dce465ccaecec8809

ask() { "$python" -c "import sys, sysconfig; print($1)"; }
version=$(ask "'%d.%d' % sys.version_info[:2]")
home=$(ask "sys.base_prefix")
config=$home/bin/python$version-config
[ -x "$config" ] || config=$(command -v "python$version-config")
mkdir -p bin
ln -sf "$config" "bin/python$version-config"
(
  cd PythonQt
  export PATH="$PWD/../bin:$PATH" PYTHON_VERSION="$version"
  export PYTHONQTALL_CONFIG="PythonQtCore PythonQtGui PythonQtNetwork PythonQtUiTools"
  # As Slicer's PythonQt: `name` is an object's name.
  qmake -qt=5 PythonQt.pro CONFIG+=exclude_generator CONFIG+=release "PYTHON_VERSION=$version" \
    DEFINES+=PYTHONQT_SUPPORT_NAME_PROPERTY "QMAKE_CXXFLAGS_RELEASE=-O0 -w"
  make --jobs="$(nproc)" sub-src sub-extensions
)
cmake -S "$here" -B build -G Ninja -DPYTHONQT_SOURCE="$PWD/PythonQt" -DCTK_SOURCE="$PWD/CTK" \
  -DPython3_ROOT_DIR="$home" -DPython3_FIND_VIRTUALENV=STANDARD
cmake --build build
