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
if [ "${1-}" = clean ] && [ ! -d var ]; then exit 0; fi
command -v apt-get >/dev/null || fail "This is made for Debian 12, and this machine has no apt-get." \
    "Run it on a Debian 12 machine."

python=/usr/bin/python3.11
if [ ! -x "$python" ] || ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "installing Debian's Python"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    { apt-get -q install -y --no-install-recommends python3.11 python3.11-venv ca-certificates ||
        { apt-get -q update && apt-get -q install -y --no-install-recommends python3.11 python3.11-venv ca-certificates; }; } \
        >"$log" 2>&1 || {
        tail -n 3 "$log" >&2
        rm -f "$log"
        fail "Debian's Python 3.11 could not be installed." "Check that \`apt-get update\` works on this machine (Debian 12), then run it again."
    }
    rm -f "$log"
fi

tool=var/provision
if [ "${1-}" = clean ]; then
    # Whatever installer is there will do, and where nothing was ever installed there is nothing to stop: no network is needed.
    if [ -x "$tool/bin/python" ]; then
        "$tool/bin/python" -m provision clean && rm -rf var
        exit
    elif [ ! -e var/installation ]; then
        rm -rf var
        exit
    fi
fi
if ! cmp -s requirements/provision.txt "$tool/requirements.txt"; then
    echo "preparing the installer"
    mkdir -p var
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
    rm -rf "$tool"
    mv "$tool.partial" "$tool"
fi

if [ "${1-}" = clean ]; then
    "$tool/bin/python" -m provision clean && rm -rf var
    exit
fi
exec "$tool/bin/python" -m provision "$@"
