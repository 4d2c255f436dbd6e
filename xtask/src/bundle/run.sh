#!/bin/sh
# Measures this machine's GPU with SwitchLoRA. README.md, beside this file, says what is needed and what comes out.
#
#   ./run.sh [--minutes N] [--stages a,b,...] [--out DIR]   all measurements (./run.sh --help lists the arguments)
#   ./run.sh --tests [ARGUMENTS]                            the tests of the kernels on an NVIDIA GPU
set -eu

case $0 in
  */*) here=${0%/*} ;;
  *) here=. ;;
esac
here=$(CDPATH='' cd -- "${here:-/}" && pwd -P)

# Started with an empty environment: where Python is looked for.
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
export PATH

# Mesa's drivers complain where it is not set, as in many batch jobs. Nothing is shown or put there.
XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
export XDG_RUNTIME_DIR

# The programs replace this script, so that a signal reaches them.
if [ "${1-}" = --tests ]; then
  shift
  [ $# -gt 0 ] || set -- on_cuda --include-ignored
  exec "$here/bin/switchlora-bench" with-cuda "$here/bin/kernel-tests" "$@"
fi
exec "$here/bin/switchlora-bench" device "$@"
