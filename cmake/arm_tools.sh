# Say in one line what building for Arm on another machine lacks and which package brings it.
missing() { echo "make test-arm needs $1; on Debian or Ubuntu: apt-get install $2" >&2; exit 1; }
command -v aarch64-linux-gnu-g++ >/dev/null ||
  missing "a C++ compiler for AArch64" g++-aarch64-linux-gnu
command -v qemu-aarch64-static >/dev/null || command -v qemu-aarch64 >/dev/null ||
  missing "an emulator of AArch64 programs" qemu-user
