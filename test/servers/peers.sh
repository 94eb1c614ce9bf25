# shellcheck shell=bash
# The servers of others that etl_ext reads from and that the tests need now and then: s3, kafka, nginx, and monitor: programs that read metrics. Sourced after lib.sh by
# test/run.sh and test/servers/up.sh. Each has NAME_packages, NAME_install, NAME_create, NAME_start and NAME_env.
# shellcheck source=test/servers/s3.sh
. "$ROOT/test/servers/s3.sh"
# shellcheck source=test/servers/kafka.sh
. "$ROOT/test/servers/kafka.sh"
# shellcheck source=test/servers/nginx.sh
. "$ROOT/test/servers/nginx.sh"
# shellcheck source=test/servers/monitor.sh
. "$ROOT/test/servers/monitor.sh"

# shellcheck disable=SC2034 # read by those that source this
PEERS=(s3 kafka nginx monitor)

# start_peer installs and starts one in $WORK/PEER, or prints why that is not possible here and returns false. One that
# was there before keeps its data.
start_peer() {
	local peer=$1 log=$WORK/$1_start.log
	# In the background, because a shell does not stop at errors to the left of "||".
	(
		trap - EXIT
		set -e
		# shellcheck disable=SC2046 # one word per package
		install_packages $("${peer}_packages")
		"${peer}_install"
		[ -d "$WORK/$peer" ] || "${peer}_create" "$peer"
		"${peer}_start" "$peer"
	) >"$log" 2>&1 &
	if ! wait $!; then
		say "skip: $peer: $({ grep '^error:' "$log" || tail -n 1 "$log"; } | head -n 1) (log: $log)"
		return 1
	fi
}
