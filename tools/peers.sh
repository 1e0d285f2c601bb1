#!/bin/sh
# With CI=true, installs what the tests compare against; elsewhere a missing peer only skips its tests.
set -eu
[ "${CI:-}" = true ] || exit 0
need=""
command -v iptables >/dev/null 2>&1 || need="$need iptables"
command -v nsenter >/dev/null 2>&1 || need="$need util-linux"
command -v strace >/dev/null 2>&1 || need="$need strace"
command -v ip >/dev/null 2>&1 || need="$need iproute2"
command -v etcd >/dev/null 2>&1 || need="$need etcd-server"
command -v rsvg-convert >/dev/null 2>&1 || need="$need librsvg2-bin"
[ -z "$need" ] && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $need
