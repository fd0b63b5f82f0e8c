#!/bin/sh
# Gets as far as a Python with `uv` and `rich`, then hands over: sh provision/bootstrap.sh COMMAND [ARGUMENT...]
set -eu
fail() {
    echo "nephoscope: $1 $2" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "This installs packages and runs virtual machines, so it needs the rights of root." \
    "Become root (\`su -\` or \`sudo -i\`) and run \`make $*\` again."
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD" PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX-$PWD/var/pycache}"
export LC_ALL=C.UTF-8 # What we print, read and name is UTF-8, in a terminal of another encoding as well.
if [ "${1-}" = clean ] && [ ! -d var ]; then exit 0; fi
command -v apt-get >/dev/null || fail "This is made for Debian 12, and this machine has no apt-get." \
    "Run it on a Debian 12 machine."

python=/usr/bin/python3.11
if [ ! -x "$python" ] || ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "installing Debian's Python"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # A machine that has just started often installs its updates.
    install="apt-get -q -oDPkg::Lock::Timeout=120 install -y --no-install-recommends python3.11 python3.11-venv ca-certificates"
    { $install || { apt-get -q -oDPkg::Lock::Timeout=120 update && $install; }; } \
        >"$log" 2>&1 || {
        tail -n 3 "$log" >&2
        rm -f "$log"
        fail "Debian's Python 3.11 could not be installed." "Check that \`apt-get update\` works on this machine (Debian 12), then run it again."
    }
    rm -f "$log"
fi

tool=var/provision
clean_up() {
    "$tool/bin/python" -m provision clean || exit
    rm -rf var
    if [ -n "${NEPHO_VAR-}" ] && [ -d "$NEPHO_VAR" ]; then
        echo "stopped; the folder that NEPHO_VAR names stays: if all in it is ours, remove $NEPHO_VAR yourself"
    fi
    exit 0
}
if [ "${1-}" = clean ]; then
    # Whatever installer is there will do, and where nothing was ever installed there is nothing to stop: no network is needed.
    if [ -x "$tool/bin/python" ]; then
        clean_up
    elif [ ! -e var/installation ]; then
        rm -rf var
        exit
    fi
fi
is_prepared() {
    cmp -s requirements/provision.txt "$tool/requirements.txt"
}
if ! is_prepared; then
    mkdir -p var
    exec 9>var/bootstrap.lock
    if ! flock -n 9; then
        echo "waiting for another set-up of this folder to end"
        flock 9
    fi
fi
if ! is_prepared; then
    echo "preparing the installer"
    rm -rf "$tool.partial"
    if ! "$python" -m venv "$tool.partial" ||
        ! "$tool.partial/bin/python" -m pip install -q --disable-pip-version-check --no-input --timeout 30 --retries 2 \
            --require-hashes --only-binary :all: -r requirements/provision.txt 2>var/provision.log; then
        reason=$(grep -o -m 1 'Caused by .*' var/provision.log || grep -m 1 ERROR var/provision.log || tail -n 1 var/provision.log)
        rm -rf "$tool.partial"
        fail "The Python package index did not give what is needed ($reason)." \
            "Check the network, or name your mirror in pip's configuration, and run it again."
    fi
    rm -f var/provision.log
    cp requirements/provision.txt "$tool.partial/requirements.txt"
    sync
    rm -rf "$tool"
    mv "$tool.partial" "$tool"
fi
exec 9>&-

if [ "${1-}" = clean ]; then clean_up; fi
exec "$tool/bin/python" -m provision "$@"
