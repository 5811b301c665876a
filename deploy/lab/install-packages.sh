#!/usr/bin/env bash
# Installs the Debian packages that a target of the Makefile needs and this machine lacks.
#
#   install-packages.sh setup|demo|test|bench|nightly
#
#   setup   a virtual environment can be made
#   demo    setup, a loop-mounted medium, and Ceph RGW as Object Lock server; without Ceph the
#           demo goes on with fewer copies, so this only says so
#   test    demo, PostgreSQL, rclone, poppler to read PDFs, SoftHSM to sign them; whatever is missing
#           is a failure
#   bench   demo and borg, the peer
#   nightly setup, QEMU with emulated drives, and the programs that sanitize drives
#
# What is there already, from whatever source, is left alone: a second call does nothing. As root,
# or by sudo. Nothing is started: no database cluster is made.
set -euo pipefail
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'install-packages: %s\n' "$*" >&2; }

has() { # PACKAGE -> is what we need of it there?
  case $1 in
    python3) command -v "${PYTHON:-python3}" ;;
    python3-venv) "${PYTHON:-python3}" -c 'import ensurepip, venv' ;;
    ca-certificates) [[ -e /etc/ssl/certs/ca-certificates.crt ]] ;;
    e2fsprogs) command -v mkfs.ext4 ;;
    mount) command -v mount && command -v umount && command -v losetup ;;
    util-linux) command -v blkid && command -v runuser ;;
    uuid-runtime) command -v uuidgen ;;
    ceph-common) command -v ceph && command -v monmaptool ;;
    radosgw) command -v radosgw && command -v radosgw-admin ;;
    postgresql) command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' ;;
    borgbackup) command -v borg ;;
    fonts-dejavu-core) [[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ]] ;;
    fonts-wqy-microhei) [[ -e /usr/share/fonts/truetype/wqy/wqy-microhei.ttc ]] ;;
    fonts-hosny-amiri) compgen -G '/usr/share/fonts/*/fonts-hosny-amiri/Amiri-Regular.ttf' ;;
    fonts-lohit-deva) [[ -e /usr/share/fonts/truetype/lohit-devanagari/Lohit-Devanagari.ttf ]] ;;
    fonts-freefont-ttf) [[ -e /usr/share/fonts/truetype/freefont/FreeSerif.ttf ]] ;;
    cryptsetup-bin) command -v cryptsetup ;;
    udev) command -v udevadm ;;
    golang-go) command -v go ;;
    qemu-system-x86) command -v qemu-system-x86_64 ;;
    smartmontools) command -v smartctl ;;
    nvme-cli) command -v nvme ;;
    sg3-utils) command -v sg_sanitize ;;
    softhsm2) command -v softhsm2-util && [[ -e /usr/lib/softhsm/libsofthsm2.so ]] ;;
    golang-golang-x-mod-dev) [[ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/note ]] ;;
    poppler-utils) command -v pdftotext && command -v pdfimages ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

missing_of() { # PACKAGE... -> those that are missing
  local package
  for package in "$@"; do
    has "$package" || printf '%s\n' "$package"
  done
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif [[ -t 0 ]] && command -v sudo >/dev/null; then
    sudo "$@"
  elif command -v sudo >/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

# PostgreSQL's packages make and start a cluster. The tests start their own, so none is wanted.
without_cluster() {
  has postgresql && return 0
  [[ -e /etc/postgresql-common/createcluster.conf ]] && return 0 # somebody's own settings
  apt install --no-install-recommends postgresql-common || return 1
  as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
    /etc/postgresql-common/createcluster.conf
}

install_now() { # PACKAGE...
  if [[ " $* " == *" postgresql "* ]]; then
    without_cluster || return 1
  fi
  apt install --no-install-recommends "$@"
}

install() { # PACKAGE... -> are they all there in the end?
  local packages log
  mapfile -t packages < <(missing_of "$@")
  ((${#packages[@]})) || return 0
  if ! command -v apt-get >/dev/null; then
    say "this machine has no apt; install by hand what Debian calls: ${packages[*]}"
    return 1
  fi
  say "installing ${packages[*]}"
  log=$(mktemp)
  # The lists are fetched only if they are missing or too old to install from.
  if install_now "${packages[@]}" >"$log" 2>&1 ||
    { apt update >>"$log" 2>&1 && install_now "${packages[@]}" >>"$log" 2>&1; }; then
    rm -f "$log"
  else
    say "that failed (root or sudo is needed, and a Debian mirror); its last words:"
    tail -n 5 "$log" >&2
    rm -f "$log"
    return 1
  fi
  mapfile -t packages < <(missing_of "$@")
  ((${#packages[@]} == 0)) && return 0
  say "installed, yet still not to be found on PATH: ${packages[*]}"
  return 1
}

setup=(python3 python3-venv ca-certificates)
medium=(e2fsprogs mount util-linux)
other_reader=(golang-go golang-golang-x-mod-dev openssl) # of the ledger, to compare with
fonts=(fonts-dejavu-core fonts-wqy-microhei fonts-hosny-amiri fonts-lohit-deva fonts-freefont-ttf)
sanitization=(nwipe cryptsetup-bin udev)
drives=(qemu-system-x86 smartmontools hdparm nvme-cli sg3-utils)
by_hand=(rclone curl) # a bucket's recovery with public tools
object_lock=(radosgw ceph-mon ceph-osd ceph-common uuid-runtime openssl curl)

case ${1:-} in
  setup)
    install "${setup[@]}"
    ;;
  demo | bench)
    install "${setup[@]}"
    install "${medium[@]}" || say "going on without them: the offline copy will be a plain folder"
    install "${object_lock[@]}" || say "going on without Ceph: no immutable copy will be made"
    install "${fonts[@]}" || say "going on without fonts: some names will show as code points"
    if [[ $1 == bench ]]; then
      install borgbackup || say "going on without borg: that comparison will be missing"
    fi
    ;;
  test)
    install "${setup[@]}" "${medium[@]}" "${object_lock[@]}" "${other_reader[@]}" \
      "${sanitization[@]}" "${fonts[@]}" "${by_hand[@]}" \
      postgresql poppler-utils softhsm2
    ;;
  nightly)
    install "${setup[@]}" "${medium[@]}" "${sanitization[@]}" "${drives[@]}"
    ;;
  *)
    sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
