#!/usr/bin/env bash
# Finds a restic of at least 0.18, or fetches one from a newer Debian suite.
#
#   get-restic.sh [--both] [SUITE]
#
# SUITE is forky (the default) or any other suite whose restic is new enough. With --both, restic
# is fetched from SUITE and from trixie as well, whatever is on PATH: the driver's tests run on
# the oldest supported version and on the current one. Standard output holds one path per line;
# the last line is the binary to use (with --both the line before is the oldest one).
#
# The package comes from the mirror this machine's own apt uses, with the same keys and proxies;
# lists, cache and sources are temporary, so apt's set-up and state stay as they are. Nothing is
# installed: the package is unpacked below .tools/ of the project (or $TOOLS_DIR).
set -euo pipefail

readonly oldest_suite=trixie
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=${TOOLS_DIR:-$root/.tools}

say() { printf 'get-restic: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

version_of() { # BINARY -> "0.19.1", or nothing if it does not run
  "$1" version 2>/dev/null | sed -n 's/^restic \([0-9][0-9.]*\).*/\1/p' | head -n 1
}

new_enough() { # VERSION -> is it 0.18 or later?
  local major minor
  IFS=. read -r major minor _ <<<"$1"
  [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] && ((major > 0 || minor >= 18))
}

# Prints every enabled binary source of a Debian release on this machine as one line:
#   URI <tab> Signed-By, with "\n" for the line ends of a key written into the file.
# Both notations are read: deb822 (*.sources) and one line per source (*.list).
debian_sources() {
  local file files=()
  eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
  [[ -f ${list:-} ]] && files+=("$list")
  for file in "${parts:-/etc/apt/sources.list.d}"/*.list "${parts:-/etc/apt/sources.list.d}"/*.sources; do
    [[ -f $file ]] && files+=("$file")
  done
  ((${#files[@]})) || return 0
  awk '
    function is_release(name) {
      return name ~ /^(bookworm|trixie|forky|duke|sid|oldstable|stable|testing|unstable)$/
    }
    function flush(    i, n, m, s, u, ok) {
      n = split(field["suites"], s, /[ \t]+/)
      for (i = 1; i <= n; i++) if (is_release(s[i])) ok = 1
      if (ok && " " field["types"] " " ~ / deb / && " " field["components"] " " ~ / main / &&
          tolower(field["enabled"]) !~ /^ *(no|false)/) {
        m = split(field["uris"], u, /[ \t]+/)
        for (i = 1; i <= m; i++) if (u[i] != "") print u[i] "\t" field["signed-by"]
      }
      split("", field); key = ""
    }
    FNR == 1 { if (NR > 1) flush() }
    FILENAME ~ /\.sources$/ {
      if ($0 ~ /^#/) next
      if ($0 ~ /^[ \t]*$/) { flush(); next }
      if ($0 ~ /^[ \t]/) { field[key] = field[key] (key == "signed-by" ? "\\n" : " ") $0; next }
      key = tolower(substr($0, 1, index($0, ":") - 1))
      value = substr($0, index($0, ":") + 1); sub(/^[ \t]+/, "", value); field[key] = value
      next
    }
    /^[ \t]*deb[ \t]/ {
      line = $0; sub(/^[ \t]*deb[ \t]+/, "", line); sub(/#.*/, "", line)
      if (match(line, /^\[[^]]*\]/)) {
        options = substr(line, 2, RLENGTH - 2); line = substr(line, RLENGTH + 1)
        n = split(options, o, /[ \t]+/)
        for (i = 1; i <= n; i++) if (o[i] ~ /^signed-by=/) field["signed-by"] = substr(o[i], 11)
      }
      n = split(line, w, /[ \t]+/); i = (w[1] == "") ? 2 : 1
      field["types"] = "deb"; field["uris"] = w[i]; field["suites"] = w[i + 1]
      for (i += 2; i <= n; i++) field["components"] = field["components"] " " w[i]
      gsub(",", " ", field["signed-by"]); flush()
    }
    END { flush() }
  ' "${files[@]}" | sort -u
}

# Runs apt-get on the temporary sources, lists and cache in directory $1. The hooks that other
# packages hang on an update are left out: they would work on the real lists and cache.
apt_in() { # DIRECTORY ARGUMENT...
  local dir=$1
  shift
  apt-get -qq -c "$dir/apt.conf" "$@"
}

prepare() { # DIRECTORY SUITE URI SIGNED_BY
  local dir=$1
  mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/parts" "$dir/out"
  chmod -R a+rX "$dir"
  {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$3" "$2"
    [[ -n $4 ]] && printf 'Signed-By: %b\n' "$4"
  } >"$dir/parts/restic.sources"
  cat >"$dir/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$dir/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir";
Dir::Cache::archives "$dir/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::Retries "2";
CONF
}

# Fetches the package of SUITE into DIRECTORY/out from the first source that has it.
download() { # DIRECTORY SUITE
  local dir=$1 suite=$2 uri signed_by found=0
  while IFS=$'\t' read -r uri signed_by; do
    found=1
    rm -rf "$dir"
    prepare "$dir" "$suite" "$uri" "$signed_by"
    if apt_in "$dir" update >>"$log" 2>&1 &&
      (cd "$dir/out" && apt_in "$dir" download restic >>"$log" 2>&1) &&
      compgen -G "$dir/out/restic_*.deb" >/dev/null; then
      return 0
    fi
  done < <(debian_sources)
  ((found)) || fail "apt on this machine has no Debian source to derive one from; install restic 0.18 or later and put it on PATH"
  sed -E 's#//[^/@ ]*@#//***@#g' "$log" | tail -n 5 >&2
  fail "no Debian source of this machine gave restic from $suite; check the network, or install restic 0.18 or later and put it on PATH"
}

# Prints the binary of SUITE, fetching it the first time only.
from_suite() { # SUITE
  local suite=$1 link=$tools/suite-$1 deb version place
  if [[ -x $link/usr/bin/restic ]]; then
    (cd "$link" && printf '%s/usr/bin/restic\n' "$(pwd -P)")
    return 0
  fi
  command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
    fail "this machine has no apt; install restic 0.18 or later and put it on PATH"
  say "fetching restic from Debian $suite"
  download "$work/apt" "$suite"
  deb=$(compgen -G "$work/apt/out/restic_*.deb" | head -n 1)
  rm -rf "$work/tree"
  dpkg -x "$deb" "$work/tree"
  version=$(version_of "$work/tree/usr/bin/restic")
  [[ -n $version ]] || fail "the restic of Debian $suite does not run on this machine"
  new_enough "$version" || fail "Debian $suite has restic $version; 0.18 or later is needed"
  place=$tools/restic-$version
  chmod -R a+rX "$work/tree"
  rm -rf "$place"
  mv "$work/tree" "$place"
  ln -sfn "restic-$version" "$link"
  printf '%s/usr/bin/restic\n' "$place"
}

both=0
suite=forky
for argument in "$@"; do
  case $argument in
    --both) both=1 ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) fail "unknown option $argument; see --help" ;;
    *) suite=$argument ;;
  esac
done

if ((!both)) && found=$(command -v restic) && version=$(version_of "$found") &&
  [[ -n $version ]] && new_enough "$version"; then
  say "restic $version is on PATH"
  printf '%s\n' "$found"
  exit 0
fi

mkdir -p "$tools"
exec 9>"$tools/.lock" # two sessions may ask at the same time
flock 9
work=$(mktemp -d "$tools/.fetch.XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
log=$work/log
if ((both)); then from_suite "$oldest_suite"; fi
from_suite "$suite"
