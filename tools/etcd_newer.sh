#!/bin/sh
# Fetches the etcd of a newer Debian release (default trixie: etcd 3.5) into .bench/etcd, beside the installed one, for
# `ETCD_BINARIES=.bench/etcd/usr/bin/etcd make bench`. Uses the package sources that this machine has.
set -eu
cd "$(dirname "$0")/.."
suite="${1:-trixie}"
place="$PWD/.bench/etcd-packages"
mkdir -p "$place/lists/partial" "$place/cache/archives/partial" .bench/etcd
from=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" >"$place/sources.list"
options="-o Dir::Etc::SourceList=$place/sources.list -o Dir::Etc::SourceParts=/dev/null"
options="$options -o Dir::State::lists=$place/lists -o Dir::Cache=$place/cache -o APT::Sandbox::User=root"
cd "$place"
# shellcheck disable=SC2086
apt-get $options update -qq
# shellcheck disable=SC2086
apt-get $options download -qq etcd-server
dpkg -x etcd-server_*.deb ../etcd
../etcd/usr/bin/etcd --version | head -n 1
