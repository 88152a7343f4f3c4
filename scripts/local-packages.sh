#!/usr/bin/env bash
# Installs what the cargo feature `local` needs to build: a C++ compiler, cmake, libclang.
. "$(dirname "$0")/common.sh"

missing=()
{ has cc && has c++ && has make; } || missing+=(build-essential)
has cmake || missing+=(cmake)
# The package also brings the compiler's own headers; a libclang alone is not enough.
[ -n "${LIBCLANG_PATH:-}" ] || dpkg-query -W -f '${Status}' libclang-dev 2>/dev/null | grep -q '^install ok' || missing+=(libclang-dev)
install_packages "${missing[@]}"

if [ -r /proc/cpuinfo ] && [ "$(uname -m)" = x86_64 ] && ! grep -qw avx2 /proc/cpuinfo; then
    fail "this processor has no AVX2, which the build of llama.cpp uses; pillion itself runs here with any other provider"
fi
