#!/usr/bin/env bash
# Servers for tests by hand, from a bare Debian 12 machine, root or not.
#   test/servers/up.sh [PEER...] DIR    starts those of s3, kafka and nginx that are named, or all, below DIR and writes
#                                       DIR/env, which exports the ETL_TEST_* variables of all that run there
#   test/servers/up.sh stop DIR         stops them and removes DIR
# They stay up until then. What runs already goes on; what was stopped starts again with its data, on another port.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
[ $# -ge 1 ] || {
	sed -n '3,6s/^# *//p' "${BASH_SOURCE[0]}" >&2
	exit 1
}
WORK=${!#}
# shellcheck source=test/servers/lib.sh
. "$ROOT/test/servers/lib.sh"
# shellcheck source=test/servers/peers.sh
. "$ROOT/test/servers/peers.sh"

# running NAME: whether its process is still there, by the rule of stop_process.
running() {
	local pid
	pid=$(cat "$WORK/$1/server.pid" 2>/dev/null) || return 1
	[[ $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$WORK/$1"* ]]
}

down() {
	stop_servers
	[ ! -e "$WORK" ] || [ -e "$WORK/.etl_peers" ] || die "$WORK was not made by test/servers/up.sh; it stays"
	rm -rf "$WORK"
}

# need_user sees to the user that servers run as when you are root.
need_user() {
	id "$(run_user)" >/dev/null 2>&1 || install_packages postgresql-common
}

up() {
	local peer status=0 started
	local -a peers=("$@")
	[ $# -gt 0 ] || peers=("${PEERS[@]}")
	for peer in "${peers[@]}"; do
		[[ " ${PEERS[*]} " == *" $peer "* ]] || die "there is no '$peer'; there are: ${PEERS[*]}"
	done
	[ ! -e "$WORK" ] || [ -e "$WORK/.etl_peers" ] || [ -z "$(ls -A "$WORK")" ] ||
		die "$WORK is there and was not made by test/servers/up.sh"
	make_work
	touch "$WORK/.etl_peers"
	need_user
	for peer in "${peers[@]}"; do
		running "$peer" && continue
		started=$EPOCHREALTIME
		if start_peer "$peer"; then
			say "$peer is up after $(seconds_since "$started") s"
		else
			status=1
		fi
	done
	for peer in "${PEERS[@]}"; do
		! running "$peer" || "${peer}_env" "$peer"
	done | sed 's/^/export /' >"$WORK/env"
	own "$WORK/env"
	chmod 600 "$WORK/env"
	say "Now: . $WORK/env"
	return $status
}

if [ "$1" = stop ] && [ $# -eq 2 ]; then
	down
	say "Stopped; $WORK is gone."
else
	up "${@:1:$#-1}"
fi
