#!/usr/bin/env bash
# Everything at once, for a while: pipelines that run by schedules and by hand from three kinds of sources, writers that never
# rest, and about once a second something that goes wrong. At the end everything comes to rest, and each target must be what
# its source is: nothing lost, nothing twice, every scheduled time done once, nothing left behind.
#   test/soak.sh [MINUTES]     default: 1; fractions are fine
# SOAK_SEED: number from which the actions are drawn (printed). SOAK_PG: the directory bin of an installation that has
# etl_ext already. KEEP=1 keeps the work directory. The exit status is 0 if all is as it must be.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MINUTES=${1:-1}
SEED=${SOAK_SEED:-$((RANDOM * 32768 + RANDOM))}
PATH=$PATH:/usr/sbin:/sbin
TEMP=${TMPDIR:-/tmp}
[ ${#TEMP} -le 50 ] || TEMP=/tmp
WORK=$(mktemp -d "$TEMP/etl_soak.XXXXXX")
# shellcheck source=test/servers/lib.sh
. "$ROOT/test/servers/lib.sh"
SOAK=$ROOT/test/soak
# How long the end may take, in seconds, before something counts as stuck.
PATIENCE=120
writers=()
outage=

finish() {
	local status=$?
	trap - EXIT
	stop_writers
	stop_servers
	if [ -n "${KEEP-}" ]; then
		say "Kept: $WORK"
	else
		rm -rf "$WORK"
	fi
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- servers ----------------------------------------------------------------------------------------------------------

# wh and shop ask a server, quietly: it may be down.
wh() {
	pg_psql wh -d soak -At -v ON_ERROR_STOP=1 "$@" </dev/null 2>>"$WORK/errors"
}

shop() {
	pg_psql shop -d shop -At "$@" </dev/null 2>>"$WORK/errors"
}

start_all() {
	pg_create shop shop <<-CONF
		fsync = off
		max_connections = 60
	CONF
	pg_start shop
	pg_psql shop -d shop -f "$SOAK/shop.sql" >/dev/null
	mariadb_create pay
	mariadb_start pay
	mariadb_sql pay <"$SOAK/pay.sql"
	# The log names what ended by a signal; fsync does not matter to processes that are killed.
	pg_create wh soak <<-CONF
		shared_preload_libraries = 'etl_ext'
		max_worker_processes = 24
		etl.max_workers = 6
		fsync = off
		restart_after_crash = on
		timezone = 'UTC'
		log_line_prefix = '%m [%p] %b '
	CONF
	pg_start wh
	pg_psql wh -d soak -v shop_host="$WORK/shop" -v shop_port="$(port_of shop)" -v pay_port="$(port_of pay)" \
		-v owed="$(awk -v minutes="$MINUTES" 'BEGIN { printf "%d", minutes * 60 }')" \
		-f "$SOAK/warehouse.sql" >/dev/null
}

# writer COMMAND... repeats a command until the file "rest" appears.
writer() {
	while [ ! -e "$WORK/rest" ]; do
		"$@" >/dev/null 2>&1 || true
		sleep 0.1
	done
}

change_payments() {
	mariadb_sql pay <"$SOAK/pay_change.sql"
}

# run_now_and_then keeps the pipelines busy whose runs do not queue up.
run_now_and_then() {
	local names=(events customers payments)
	wh -c "SELECT etl.run_pipeline('${names[RANDOM % 3]}', wait => false)"
	sleep 0.4
}

start_writers() {
	writer shop -c 'SELECT change_orders(0)' &
	writers+=($!)
	writer shop -c 'SELECT change_orders(1)' &
	writers+=($!)
	writer shop -c 'SELECT change_customers()' &
	writers+=($!)
	writer wh -c 'INSERT INTO src.events (n) SELECT n FROM generate_series(1, 30) AS n' &
	writers+=($!)
	writer change_payments &
	writers+=($!)
	writer run_now_and_then &
	writers+=($!)
}

stop_writers() {
	: >"$WORK/rest"
	[ ${#writers[@]} -eq 0 ] || wait "${writers[@]}" || true
	writers=()
	[ -z "$outage" ] || wait "$outage" || true
	outage=
}

# ---- what goes wrong --------------------------------------------------------------------------------------------------

# draw N prints a number from 0 to N - 1 into $drawn; not in a subshell, which would not move the generator on.
draw() {
	drawn=$((RANDOM % $1))
}

# pipeline draws one into $name.
pipeline() {
	local names=(orders events customers payments marks)
	draw ${#names[@]}
	name=${names[drawn]}
}

# worker KINDS prints the pid of a process of the warehouse, chosen by a number: more often than not one that works on a task.
worker() {
	wh -c "SELECT pid FROM pg_stat_activity WHERE $1
	       ORDER BY backend_type = 'etl executor' AND $2 % 4 > 0 DESC, (pid * 7919 + $2) % 101 LIMIT 1"
}

# run_by STATES prints the number of one of the latest runs in these states.
run_by() {
	wh -c "SELECT run_id FROM (SELECT * FROM etl.run WHERE state IN ($1) ORDER BY run_id DESC LIMIT 20) AS r
	       ORDER BY (run_id * 7919 + $2) % 101 LIMIT 1"
}

do_kill() {
	local pid
	draw 1000
	pid=$(worker "backend_type LIKE 'etl %'" "$drawn")
	[ -z "$pid" ] || as_user kill -KILL "$pid"
}

do_terminate() {
	local pid
	draw 1000
	pid=$(worker "backend_type LIKE 'etl %' OR application_name = 'postgres_fdw'" "$drawn")
	[ -z "$pid" ] || wh -c "SELECT pg_terminate_backend($pid)"
}

do_cancel() {
	local run
	draw 1000
	run=$(run_by "'queued', 'running'" "$drawn")
	[ -z "$run" ] || wh -c "SELECT etl.cancel_run($run)"
}

do_interrupt() {
	local pid
	draw 1000
	pid=$(worker "backend_type LIKE 'etl %'" "$drawn")
	[ -z "$pid" ] || wh -c "SELECT pg_cancel_backend($pid)"
}

do_run() {
	pipeline
	wh -c "SELECT etl.run_pipeline('$name', wait => false)"
}

# do_leave runs a pipeline from a session that waits for it and dies.
do_leave() {
	pipeline
	(
		PGAPPNAME=leaver timeout -s KILL 0.3 "$PGBIN/psql" -X -h "$WORK/wh" -p "$(port_of wh)" -U postgres -d soak \
			-c "SELECT etl.run_pipeline('$name')" >/dev/null 2>&1 </dev/null || true
	) 2>/dev/null
}

# do_tick fires schedules by hand, two at a time, as pg_cron would.
do_tick() {
	local other
	pipeline
	other=$name
	[ "$name" != customers ] || return 0
	wh -c "SET statement_timeout = '3s'" -c "CALL etl.execute_pipeline('$name', only_when_due => true)" &
	local first=$!
	wh -c "SET statement_timeout = '3s'" -c "CALL etl.execute_pipeline('$other', only_when_due => true)" || true
	wait $first || true
}

# do_owe puts a schedule back: times that had their run are decided again.
do_owe() {
	pipeline
	wh -c "UPDATE etl.schedule SET decided_until = greatest(decided_until - interval '5 min', (SELECT at FROM began))
	       WHERE pipeline_id = (SELECT pipeline_id FROM etl.pipeline WHERE name = '$name')"
}

# do_alter_source adds a column with a value in all rows to a source of either kind; the next extract follows. Rows that it reads
# again are not new versions for that: the events are appended to their target.
do_alter_source() {
	columns=$((columns + 1))
	shop -c "SET lock_timeout = '2s'" -c "ALTER TABLE orders ADD COLUMN c$columns int DEFAULT $columns" &&
		wh -c "SET lock_timeout = '2s'" -c "ALTER TABLE src.events ADD COLUMN c$columns int DEFAULT $columns"
}

# do_rewrite takes the strongest lock on a source for a moment.
do_rewrite() {
	wh -c "SET lock_timeout = '2s'" -c 'ALTER TABLE src.events ADD COLUMN c int; ALTER TABLE src.events DROP COLUMN c'
}

do_alter_task() {
	draw 200
	wh -c "SELECT etl.alter_task('orders', 'extract orders', chunk_rows => $((drawn + 50)))" \
		-c "SELECT etl.alter_task('marks', 'mark', priority => $drawn)" \
		-c "SELECT etl.alter_pipeline('events', max_parallel => $((drawn % 4 + 1)))"
}

do_pause() {
	pipeline
	wh -c "SELECT etl.pause_pipeline('$name')" -c "SELECT etl.resume_pipeline('$name')"
}

do_retry() {
	local run
	draw 1000
	run=$(run_by "'failed', 'cancelled'" "$drawn")
	[ -z "$run" ] || wh -c "SELECT etl.retry_run($run, wait => false)"
}

# do_outage takes the shop down for a moment.
do_outage() {
	[ ! -e "$WORK/outage" ] || return 0
	: >"$WORK/outage"
	draw 3
	(
		(cd "$WORK/shop" && as_user "$PGBIN/pg_ctl" -D "$WORK/shop/data" -m immediate -w -s stop)
		sleep "0.$((drawn * 3 + 1))"
		sleep "$drawn"
		pg_start_on shop "$(port_of shop)"
		rm "$WORK/outage"
	) >/dev/null 2>&1 </dev/null &
	outage=$!
}

# do_cut ends the connections of the warehouse to MariaDB.
do_cut() {
	mariadb_sql pay -N -e "SELECT concat('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'etl'" |
		mariadb_sql pay -f
}

# do_restart restarts the warehouse, in one of three ways.
do_restart() {
	local modes=(smart fast immediate)
	draw 3
	# Smart waits for sessions, which never rest here.
	[ "${modes[drawn]}" != smart ] || drawn=1
	(cd "$WORK/wh" && as_user "$PGBIN/pg_ctl" -D "$WORK/wh/data" -m "${modes[drawn]}" -w -t 60 -s stop) </dev/null
	pg_start_on wh "$(port_of wh)"
}

ACTIONS=(kill kill kill kill terminate terminate terminate interrupt cancel cancel cancel run run run run leave tick tick owe
	alter_source rewrite alter_task pause retry retry outage outage cut restart)

# act does one action; that it fails because a server is down is part of it.
act() {
	local started=$EPOCHREALTIME status=0
	draw ${#ACTIONS[@]}
	local action=${ACTIONS[drawn]}
	"do_$action" >/dev/null 2>>"$WORK/errors" || status=$?
	printf '%(%T)T %-12s status %s, %s s\n' -1 "$action" $status "$(seconds_since "$started")" >>"$WORK/actions"
}

storm() {
	local until=$1
	columns=0
	while [ "${EPOCHREALTIME/./}" -lt "$until" ]; do
		act
		draw 100
		sleep "0.$((drawn * 5 + 300))"
	done
}

# ---- the end ----------------------------------------------------------------------------------------------------------

# wait_until QUERY waits until the warehouse answers t; false when that takes too long.
wait_until() {
	local waited=0
	until [ "$(wh -c "$1" || true)" = t ]; do
		waited=$((waited + 1))
		[ $waited -lt $((PATIENCE * 5)) ] || return 1
		sleep 0.2
	done
}

at_rest() {
	wait_until "SELECT count(*) = 0 FROM etl.run WHERE state IN ('queued', 'running')" || {
		say "runs do not end:"
		wh -c "SELECT * FROM etl.task_status WHERE run_id IN (SELECT run_id FROM etl.run WHERE state IN ('queued', 'running'))" -x
		return 1
	}
}

# succeed NAME runs a pipeline until it succeeds; a task that is held back, because it was at work in too many crashes, is
# allowed to try again.
succeed() {
	local try run state
	for try in 1 2 3 4 5; do
		run=$(wh -c "SELECT etl.run_pipeline('$1', wait => false)") || continue
		state=$(wh -c "SELECT etl.wait_for_run($run, '$PATIENCE s')") || continue
		[ "$state" != failed ] || state=$(wh -c "SELECT etl.wait_for_run(etl.retry_run($run, wait => false), '$PATIENCE s')") || continue
		[ "$state" != success ] || return 0
	done
	say "$1 does not succeed (try $try): run $run is $state"
	wh -c "SELECT task, attempt, state, error_sqlstate, error_message FROM etl.task_run WHERE run_id = $run"
	return 1
}

# repair retries scheduled runs that failed or were cancelled, until all have succeeded.
repair() {
	local try owed="scheduled_for IS NOT NULL AND state IN ('failed', 'cancelled') AND pipeline_id IN
		(SELECT pipeline_id FROM etl.pipeline WHERE missed_run = 'catch_up')"
	for try in 1 2 3 4 5 6; do
		[ "$(wh -c "SELECT count(*) FROM etl.run WHERE $owed")" != 0 ] || return 0
		wh -c "SELECT etl.retry_run(run_id, wait => false) FROM etl.run WHERE $owed ORDER BY run_id" >/dev/null || true
		at_rest || return 1
	done
	say "scheduled runs do not succeed after $try tries:"
	wh -c "SELECT run_id, state, message FROM etl.run WHERE $owed"
	return 1
}

come_to_rest() {
	local name status=0
	stop_writers
	shop -c 'SELECT 1' >/dev/null || pg_start_on shop "$(port_of shop)"
	wait_until 'SELECT true' || return 1
	# By itself: the launcher sees to it.
	at_rest || return 1
	repair || return 1
	for name in orders events customers payments marks; do
		succeed $name || status=1
	done
	# What became due meanwhile.
	at_rest || return 1
	repair || return 1
	wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl executor'" || true
	return $status
}

# crashes prints what must never be in the logs: ends by other signals than KILL (QUIT is how the server ends the others).
crashes() {
	grep -hE 'PANIC|TRAP:|was terminated by signal' "$WORK"/wh/server.log "$WORK"/shop/server.log |
		grep -vE 'was terminated by signal (9|3):' | head -n 20 || true
}

report() {
	say "actions: $(awk '{ n[$2]++ } END { for (a in n) printf "%s %d, ", a, n[a] }' "$WORK/actions" | sed 's/, $//')"
	say "runs: $(wh -c "SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM etl.run GROUP BY 1) AS s")"
	say "attempts: $(wh -c "SELECT string_agg(concat_ws(' ', state, error_sqlstate, n), ', ' ORDER BY state, error_sqlstate)
		FROM (SELECT state, error_sqlstate, count(*) AS n FROM etl.task_run GROUP BY 1, 2) AS s")"
	say "rows: $(wh -c "SELECT format('%s orders in %s versions, %s events, %s payments in %s versions', (SELECT count(*) FROM dw.orders),
		(SELECT count(*) FROM raw.orders), (SELECT count(*) FROM dw.events), (SELECT count(*) FROM dw.payments),
		(SELECT count(*) FROM raw.payments))")"
}

main() {
	local until problems status=0
	make_work
	: >"$WORK/errors"
	: >"$WORK/actions"
	if [ -n "${SOAK_PG-}" ]; then
		PGBIN=$SOAK_PG
	else
		install_packages "${RUN_PACKAGES[@]}"
		private_install || { tail -n 20 "$WORK/build.log" >&2; die "the build failed"; }
	fi
	start_all
	say "soak of $MINUTES minutes, SOAK_SEED=$SEED"
	RANDOM=$((SEED % 32768))
	start_writers
	until=$(awk -v now="${EPOCHREALTIME/./}" -v minutes="$MINUTES" 'BEGIN { printf "%.0f", now + minutes * 60e6 }')
	storm "$until"
	come_to_rest || status=1
	problems=$(
		wh -c 'SET search_path = pg_catalog, public' -f "$SOAK/check.sql" || echo 'the checks did not end'
		crashes
	)
	report
	if [ -n "$problems" ] || [ $status -ne 0 ]; then
		printf 'not as it must be:\n%s\n' "$problems"
		tail -n 5 "$WORK/errors"
		return 1
	fi
	say "all as it must be"
}

main
