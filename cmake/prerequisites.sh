# Say in one line what is missing and which package brings it.
python=$1
missing() { echo "coexec needs $1; on Debian or Ubuntu: apt-get install $2" >&2; exit 1; }
command -v "$python" >/dev/null || missing "Python 3.11 or newer" "python3 python3-venv python3-dev"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  missing "Python 3.11 or newer ($("$python" --version 2>&1) found; set PYTHON=...)" python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing "Python's venv module" python3-venv
"$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
  missing "Python's C headers" python3-dev
command -v "${CXX:-c++}" >/dev/null || missing "a C++20 compiler" g++
