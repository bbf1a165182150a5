#!/bin/sh
# Installs tbgw: picks the file for this machine, verifies it, puts it to /usr/local/bin and keeps the one that was there.
# Needs nothing but a POSIX shell and busybox. Never touches a configuration.
set -eu

usage() {
  cat <<'EOF'
Usage: install.sh [--from FOLDER|URL] [--target NAME] [--uninstall]

  --from FOLDER|URL  Where the files of a release and SHA256SUMS are; the folder of this script if not given
  --target NAME      linux-x64, linux-x64-baseline, linux-x64-musl, linux-arm64 or linux-arm64-musl, instead of what fits here
  --uninstall        Remove the program; configuration and data stay

Environment:
  PREFIX   /usr/local if not given: the program is PREFIX/bin/tbgw
  DESTDIR  Put before PREFIX, for packages and images; the program is not run then
EOF
}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
misused() { printf 'install.sh: %s\n' "$*" >&2; usage >&2; exit 2; }
has() { command -v "$1" >/dev/null 2>&1; }

from=
target=
uninstall=no
while [ $# -gt 0 ]; do
  case $1 in
    --from) [ $# -ge 2 ] || misused '--from needs a folder or an address'; from=$2; shift 2 ;;
    --target) [ $# -ge 2 ] || misused '--target needs a name'; target=$2; shift 2 ;;
    --uninstall) uninstall=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) misused "Unknown option \"$1\"" ;;
  esac
done

root=${DESTDIR:-}
bin=$root${PREFIX:-/usr/local}/bin
program=$bin/tbgw
previous=$bin/tbgw.previous

remove() {
  if [ ! -e "$program" ] && [ ! -e "$previous" ]; then
    say "tbgw is not installed in $bin: nothing to remove."
    return
  fi
  for unit in /etc/systemd/system/tbgw.service /etc/init.d/tbgw; do
    [ ! -e "$root$unit" ] || fail "$root$unit still starts tbgw. Run \"tbgw service uninstall\" first."
  done
  rm -f "$program" "$previous" || fail "Cannot remove $program: run as root"
  say "Removed $program. Configuration (/etc/tbgw) and data (/var/lib/tbgw) are still there."
}

# A 64-bit kernel under a 32-bit system calls itself aarch64: the fifth byte of a program of the system tells.
is_32_bit() {
  [ "$(dd if="${TBGW_TEST_SHELL:-/bin/sh}" bs=1 skip=4 count=1 2>/dev/null | tr '\001\002' '12')" = 1 ]
}

refuse_32_bit_arm() {
  fail "This is a 32-bit ARM system ($1). tbgw is made for 64-bit systems only, because its runtime is.
Boards with a 64-bit processor (Raspberry Pi 3, 4, 5, Zero 2 W and most others since 2016) run the 64-bit image of
their system: install that (Raspberry Pi OS \"64-bit\", Debian or Ubuntu \"arm64\"), then this script again.
Raspberry Pi 1, 2 (before 1.2) and Zero (without 2) have a 32-bit processor and cannot run tbgw."
}

# Whether the first processor has something; where nothing is said about it, it has not.
can() { grep -qw "$1" "${TBGW_TEST_CPUINFO:-/proc/cpuinfo}"; }

# The runtime ends with "Illegal instruction" there, with every one of its programs.
refuse_old_pc() {
  can fpu || return 0
  for need in sse4_2 popcnt; do
    can $need || fail "This processor has no SSE4.2 ($need): it is one of before 2009, or an Intel Atom of before 2013. tbgw cannot run on it,
because its runtime needs that. In a virtual machine, choose the processor \"host\" or one from Nehalem on, not \"qemu64\" or \"kvm64\"."
  done
}

is_musl() {
  case $(ldd --version 2>&1 || true) in
    *musl*) return 0 ;;
    *GLIBC* | *GNU*) return 1 ;;
  esac
  [ -e /etc/alpine-release ] && return 0
  for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
    [ ! -e "$loader" ] || return 1
  done
  for loader in /lib/ld-musl-*.so.1; do
    [ ! -e "$loader" ] || return 0
  done
  return 1
}

detect() {
  system=${TBGW_TEST_SYSTEM:-$(uname -s)}
  [ "$system" = Linux ] || fail "tbgw runs on Linux; this is $system."
  machine=${TBGW_TEST_MACHINE:-$(uname -m)}
  case $machine in
    x86_64 | amd64) is_32_bit && fail "This is a 32-bit system on a 64-bit processor. tbgw needs a 64-bit system."; family=linux-x64 ;;
    aarch64 | arm64) is_32_bit && refuse_32_bit_arm "32-bit programs on a 64-bit kernel"; family=linux-arm64 ;;
    arm*) refuse_32_bit_arm "$machine" ;;
    *) fail "There is no tbgw for $machine processors: x86-64 and 64-bit ARM only." ;;
  esac
  [ "$family" = linux-arm64 ] || refuse_old_pc
  if is_musl; then
    target=$family-musl
  elif [ "$family" = linux-x64 ] && ! can avx2; then
    target=linux-x64-baseline
  else
    target=$family
  fi
}

checksum() {
  if has sha256sum; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif has openssl; then
    openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1
  else
    fail 'Cannot verify the download: neither "sha256sum" nor "openssl" is here'
  fi
}

# The checksum that SHA256SUMS gives for a file name; nothing when it has none.
expected() { awk -v name="$1" '$2 == name { print $1; exit }' "$work/SHA256SUMS"; }

verify() {
  want=$(expected "$2")
  [ -n "$want" ] || fail "SHA256SUMS has no line for $2: the release is not whole"
  got=$(checksum "$1")
  [ "$got" = "$want" ] || fail "$2 is not what SHA256SUMS says: it was damaged or tampered with. Nothing was installed.
  expected $want
  got      $got"
}

# Copies a file of the release. $1 its name, $2 where to.
fetch() {
  case $from in
    http://* | https://*)
      if has curl; then
        curl -fsSL -o "$2" "${from%/}/$1"
      elif has wget; then
        wget -q -O "$2" "${from%/}/$1"
      else
        fail 'Cannot download: neither "curl" nor "wget" is here'
      fi
      ;;
    *) [ -f "$from/$1" ] && cp "$from/$1" "$2" ;;
  esac
}

unpacker() {
  if has xz; then
    echo 'xz -dc'
  elif has unxz; then
    echo 'unxz -c'
  fi
}

# Brings the verified program to $work/tbgw.
obtain() {
  unpack=$(unpacker)
  if [ -n "$unpack" ] && [ -n "$(expected "$name.xz")" ] && fetch "$name.xz" "$work/tbgw.xz"; then
    verify "$work/tbgw.xz" "$name.xz"
    # Split on purpose: a command and its option.
    # shellcheck disable=SC2086
    $unpack <"$work/tbgw.xz" >"$work/tbgw" || fail "Cannot unpack $name.xz into $bin: is there room for 120 MB?"
    rm -f "$work/tbgw.xz"
  else
    fetch "$name" "$work/tbgw" || fail "Cannot get $name from $from"
  fi
  verify "$work/tbgw" "$name"
  chmod 755 "$work/tbgw"
}

# A program that does not start here never replaces one that does.
try() {
  if version=$("$work/tbgw" --version 2>&1); then
    say "$version"
    return
  else
    code=$?
  fi
  case $target.$code in
    # 128 and the number of SIGILL.
    linux-x64.132) fail "$name does not start here: this processor lacks an instruction. Run this script again with --target linux-x64-baseline." ;;
    *.132) fail "$name does not start here: this processor lacks an instruction. Nothing was installed." ;;
    *-musl.*) fail "$name does not start here: it needs the C++ library. Run \"apk add libstdc++\", then this script again.
  $version" ;;
    *) fail "$name does not start here. Nothing was installed.
  $version" ;;
  esac
}

# A file that takes the place of another loses what root gave that one with setcap(8), such as the use of Bluetooth adapters.
bequeath() {
  has getcap && has setcap || return 0
  # "FILE cap_net_raw=ep", before libcap 2.41 "FILE = cap_net_raw+ep".
  capabilities=$(getcap "$program" | sed 's/.* //')
  [ -n "$capabilities" ] || return 0
  setcap "$capabilities" "$work/tbgw" 2>/dev/null || say "Root must type, or Bluetooth stays away: setcap $capabilities $program"
}

install() {
  [ -n "$target" ] || detect
  name=tbgw-$target
  if [ -z "$from" ]; then
    from=$(dirname "$0")
    [ -f "$from/SHA256SUMS" ] || fail 'No files of a release beside this script: say where they are with --from FOLDER or --from URL'
  fi
  mkdir -p "$bin" 2>/dev/null && [ -w "$bin" ] || fail "Cannot write to $bin: run as root, or set PREFIX"
  # Beside the program, so that it is put in place by one rename, and /tmp may be small.
  work=$bin/.tbgw-install.$$
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' HUP INT TERM
  rm -rf "$work"
  mkdir -m 700 "$work"
  fetch SHA256SUMS "$work/SHA256SUMS" || fail "Cannot get SHA256SUMS from $from"
  [ -n "$(expected "$name")" ] || fail "$from has no $name"
  if [ -f "$program" ] && [ "$(checksum "$program")" = "$(expected "$name")" ]; then
    say "$program is this version already ($target): nothing changed."
    return
  fi
  obtain
  [ -n "$root" ] || try
  if [ -e "$program" ]; then
    ln -f "$program" "$previous" 2>/dev/null || cp -p "$program" "$previous"
    say "The previous program is $previous."
    bequeath
  fi
  mv -f "$work/tbgw" "$program"
  say "Installed $program ($target)."
  case $target in
    *-musl) say 'It needs the C++ library: "apk add libstdc++" if it is not there yet.' ;;
  esac
  say 'Next: "tbgw init" writes a configuration, "tbgw demo" shows it work. A configuration that is there was not touched.'
}

if [ "$uninstall" = yes ]; then
  remove
else
  install
fi
