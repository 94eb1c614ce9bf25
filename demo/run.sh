#!/usr/bin/env bash
# The daily pipeline on real servers, from a bare Debian 12 machine: root or not.
#   demo/run.sh        installs, builds, starts six servers, runs the pipeline, changes rows, runs it again
#   demo/run.sh psql   opens psql in the warehouse
#   demo/run.sh stop   stops the servers and removes the work directory
# DEMO_ROWS (1000000): orders, and payments. ETL_DEMO_DIR: the work directory.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORK=${ETL_DEMO_DIR:-${TMPDIR:-/tmp}/etl_demo-$(id -u)}
ROWS=${DEMO_ROWS:-1000000}
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=test/servers/lib.sh
. "$ROOT/test/servers/lib.sh"
# shellcheck source=test/servers/peers.sh
. "$ROOT/test/servers/peers.sh"
# shellcheck source=demo/sources.sh
. "$ROOT/demo/sources.sh"

CHANGED=10000
step_started=$EPOCHREALTIME
step_log=

# step says what comes next; done_step adds the seconds that it took.
step() {
	step_started=$EPOCHREALTIME
	step_log=${2-}
	printf '%-58s' "$1"
}

done_step() {
	printf '%7s s\n' "$(seconds_since "$step_started")"
	step_log=
}

failed() {
	local status=$?
	if [ $status -ne 0 ] && [ -n "$step_log" ] && [ -s "$step_log" ]; then
		printf '\n'
		tail -n 25 "$step_log" >&2
		printf 'error: this step failed; its log is %s\n' "$step_log" >&2
	fi
	exit $status
}

remove_work() {
	stop_servers
	[ ! -e "$WORK" ] || [ -e "$WORK/.etl_demo" ] || die "$WORK was not made by demo/run.sh; it stays"
	rm -rf "$WORK"
}

start_servers() {
	step "Start the shop, a PostgreSQL server" "$WORK/shop/server.log"
	pg_create shop shop <<-CONF
		shared_buffers = 256MB
		max_wal_size = 4GB
	CONF
	pg_start shop
	done_step
	step "Start the payment service, a MariaDB server" "$WORK/pay/server.log"
	mariadb_create pay
	mariadb_start pay
	done_step
	start_api
	start_drop
	start_bus
	step "Start the warehouse, a PostgreSQL server" "$WORK/warehouse/server.log"
	pg_create warehouse warehouse <<-CONF
		shared_preload_libraries = 'etl_ext,pg_cron'
		cron.database_name = 'warehouse'
		cron.use_background_workers = on
		shared_buffers = 512MB
		work_mem = 64MB
		maintenance_work_mem = 256MB
		max_wal_size = 4GB
		max_worker_processes = 16
		etl.allowed_hosts = '*, 127.0.0.0/8'
	CONF
	pg_start warehouse
	done_step
}

seed() {
	step "Seed $ROWS orders and $((ROWS / 10)) customers" "$WORK/seed.log"
	pg_psql shop -d shop -v rows="$ROWS" -v password="$(secret_of shop)" -f "$ROOT/demo/seed/shop.sql" \
		>"$WORK/seed.log" 2>&1
	done_step
	step "Seed $ROWS payments" "$WORK/seed.log"
	{
		echo "SET @rows = $ROWS, @password = '$(secret_of pay)';"
		cat "$ROOT/demo/seed/pay.sql"
	} | mariadb_sql pay >"$WORK/seed.log" 2>&1
	done_step
	step "Seed 300 rates, 30 files of $((ROWS / 50)) returns, $((ROWS / 5)) clicks" "$WORK/seed.log"
	{
		seed_rates
		seed_returns
		send_clicks "$((ROWS / 5))"
	} >"$WORK/seed.log" 2>&1
	done_step
}

define() {
	step "Define the pipeline: demo/daily.sql" "$WORK/define.log"
	pg_psql warehouse -d warehouse -v shop_host=127.0.0.1 -v shop_port="$(port_of shop)" \
		-v shop_password="$(secret_of shop)" -v pay_host=127.0.0.1 -v pay_port="$(port_of pay)" \
		-v pay_password="$(secret_of pay)" "${source_variables[@]}" -f "$ROOT/demo/daily.sql" >"$WORK/define.log" 2>&1
	done_step
}

# run_daily runs the pipeline, shows its notices while it runs, and prints the report. The seconds are left in $took.
run_daily() {
	local started=$EPOCHREALTIME status=0 run_id
	say
	say "SELECT etl.run_pipeline('daily');"
	as_owner -At -c "SELECT etl.run_pipeline('daily')" >"$WORK/run_id" || status=$?
	took=$(seconds_since "$started")
	run_id=$(cat "$WORK/run_id")
	[ -n "$run_id" ] || run_id=$(as_owner -At -c 'SELECT max(run_id) FROM etl.run')
	[ -n "$run_id" ] || die "the pipeline did not start; the log of the warehouse is $WORK/warehouse/server.log"
	as_owner -v run_id="$run_id" -f "$ROOT/demo/report.sql"
	[ $status -eq 0 ] || {
		tail -n 25 "$WORK/warehouse/server.log" >&2
		die "the run failed; the log of the warehouse is $WORK/warehouse/server.log"
	}
}

as_owner() {
	pg_psql warehouse -d warehouse -U etl_owner "$@"
}

change_rows() {
	step "Change $CHANGED rows: 6000 orders, 1000 customers, 3000 payments" "$WORK/changes.log"
	pg_psql shop -d shop -f "$ROOT/demo/changes_shop.sql" >"$WORK/changes.log" 2>&1
	mariadb_sql pay <"$ROOT/demo/changes_pay.sql" >"$WORK/changes.log" 2>&1
	done_step
	step "Two more rates, a file of returns, $((ROWS / 100)) clicks" "$WORK/changes.log"
	{
		change_rates
		put_returns "$((ROWS / 50 + 1))" "$((ROWS / 50 + ROWS / 500))" today
		send_clicks "$((ROWS / 100))"
	} >"$WORK/changes.log" 2>&1
	done_step
}

run_demo() {
	local first
	[[ $ROWS =~ ^[1-9][0-9]{4,8}$ ]] || die "DEMO_ROWS is '$ROWS'; it must be a number from 10000 to 999999999"
	remove_work
	make_work
	touch "$WORK/.etl_demo"
	trap failed EXIT

	step "Install what is missing of PostgreSQL $PG_MAJOR, MariaDB, gcc" "$WORK/packages.log"
	install_packages "${RUN_PACKAGES[@]}"
	done_step
	step "Install what is missing of nginx, an S3 server, Kafka" "$WORK/packages.log"
	install_sources
	done_step
	step "Build etl_ext into a private copy of PostgreSQL" "$WORK/build.log"
	private_install
	done_step
	start_servers
	seed
	define

	run_daily
	first=$took
	change_rows
	run_daily
	as_owner -At -c "SELECT etl.report('daily')" >"$WORK/daily.html"
	say "First run: $first s with $ROWS orders and $ROWS payments. Second run: $took s with $CHANGED changed rows."
	say
	say "Report page:  $WORK/daily.html"
	say "Look around:  $PGBIN/psql -h $WORK/warehouse -p $(port_of warehouse) -U etl_owner warehouse"
	say "or            demo/run.sh psql"
	say "Clean up:     demo/run.sh stop"
}

case "${1-run}" in
	run) run_demo ;;
	psql)
		[ -s "$WORK/warehouse/port" ] || die "nothing is running; start with demo/run.sh"
		shift
		as_owner "$@"
		;;
	stop)
		remove_work
		say "Stopped; $WORK is gone."
		;;
	*) die "usage: demo/run.sh [psql|stop]" ;;
esac
