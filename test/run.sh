#!/usr/bin/env bash
# All tests, from a bare Debian 12 machine, root or not.
#   test/run.sh [LAYER...]     layers: build lint regress isolation tap pgtap docs demo soak (default: all)
#   KEEP=1 test/run.sh ...     keeps the work directory
#   LONG=1 test/run.sh ...     the long mode: a soak of 10 minutes instead of 1; SOAK_MINUTES=N for another time
#   TESTS='a b' test/run.sh regress|isolation|tap|pgtap     only these
# The last line is "N passed, N failed"; each regression test, spec, TAP and pgTAP assertion, lint rule and SQL block of
# the documentation counts as one. A layer that ends without finishing counts as one failure more.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAYERS=(build lint regress isolation tap pgtap docs demo soak)
LAYER_SECONDS=1500
TEST_SECONDS=600
PATH=$PATH:/usr/sbin:/sbin
TEMP=${TMPDIR:-/tmp}
[ ${#TEMP} -le 50 ] || TEMP=/tmp
WORK=$(mktemp -d "$TEMP/etl_test.XXXXXX")
# shellcheck source=test/servers/lib.sh
. "$ROOT/test/servers/lib.sh"
# shellcheck source=test/servers/peers.sh
. "$ROOT/test/servers/peers.sh"
# shellcheck source=test/servers/browser.sh
. "$ROOT/test/servers/browser.sh"

BUILD=$WORK/build
RESULTS=$WORK/results
PGXS_TEST=$PG_LIBDIR/lib/pgxs/src/test
DIFF_LINES=150
LOG_LINES=60
passed=0
failed=0

finish() {
	local status=$?
	trap - EXIT
	stop_servers
	if [ -n "${KEEP-}" ]; then
		say "Kept: $WORK"
	else
		rm -rf "$WORK"
	fi
	if [ $status -ne 0 ] && [ $failed -eq 0 ]; then
		failed=1
	fi
	if [ $((passed + failed)) -eq 0 ]; then
		say "Nothing ran."
		status=1
	fi
	say "$passed passed, $failed failed"
	[ $failed -eq 0 ] || status=1
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

# result STATE NAME notes one result for the layer that runs; note_tap takes them from lines of TAP, note_pg_regress
# from what pg_regress prints.
result() {
	printf '%s - %s\n' "$1" "$2" >>"$RESULTS"
}

note_tap() {
	{ grep -E '^(not )?ok\b' "$1" || true; } |
		sed -E 's/^not ok(.*# TOD[O])/ok\1/; s/^(not ok|ok)( [0-9]+)?( -)? ?/\1 - '"${2-}"'/' >>"$RESULTS"
}

note_pg_regress() {
	sed -nE -e 's/^(test| +) +([^ ]+) +\.\.\. ok .*/ok - \2/p' \
		-e 's/^(test| +) +([^ ]+) +\.\.\. (FAILED|failed).*/not ok - \2/p' "$1" >>"$RESULTS"
}

# wanted NAME: whether $TESTS asks for it.
wanted() {
	[ -z "${TESTS-}" ] || [[ " $TESTS " == *" $1 "* ]]
}

# ---- layers ----------------------------------------------------------------------------------------------------------

layer_build() {
	if private_install; then
		result ok 'gcc -Wall -Wextra -Werror'
	else
		result 'not ok' 'gcc -Wall -Wextra -Werror'
		tail -n $LOG_LINES "$WORK/build.log"
	fi
	copy_tree "$WORK/clang"
	if make -C "$WORK/clang" -s -j"$(nproc)" PG_CONFIG="$PG_LIBDIR/bin/pg_config" CC=clang \
		COPT='-Wno-unknown-warning-option -Wno-ignored-attributes -Wno-ignored-optimization-argument' \
		>"$WORK/clang.log" 2>&1; then
		result ok 'clang -Wall -Wextra -Werror'
	else
		result 'not ok' 'clang -Wall -Wextra -Werror'
		tail -n $LOG_LINES "$WORK/clang.log"
	fi
	copy_tree "$WORK/nomysql"
	if make -C "$WORK/nomysql" -s -j"$(nproc)" PG_CONFIG="$PG_LIBDIR/bin/pg_config" WITH_MYSQL=0 >"$WORK/nomysql.log" 2>&1 &&
		! nm -D --undefined-only "$WORK/nomysql/etl_ext.so" | grep -E ' (etl_|mysql_)' >>"$WORK/nomysql.log"; then
		result ok 'WITH_MYSQL=0 builds and needs nothing of libmariadb'
	else
		result 'not ok' 'WITH_MYSQL=0 builds and needs nothing of libmariadb'
		tail -n $LOG_LINES "$WORK/nomysql.log"
	fi
	copy_tree "$WORK/nokafka"
	if make -C "$WORK/nokafka" -s -j"$(nproc)" PG_CONFIG="$PG_LIBDIR/bin/pg_config" WITH_KAFKA=0 >"$WORK/nokafka.log" 2>&1 &&
		! nm -D --undefined-only "$WORK/nokafka/etl_ext.so" | grep -E ' (etl_|rd_kafka_)' >>"$WORK/nokafka.log"; then
		result ok 'WITH_KAFKA=0 builds and needs nothing of librdkafka'
	else
		result 'not ok' 'WITH_KAFKA=0 builds and needs nothing of librdkafka'
		tail -n $LOG_LINES "$WORK/nokafka.log"
	fi
	# The test of ALTER EXTENSION UPDATE puts a script into the installation.
	own "$BUILD" "$WORK/pg$PG_SHAREDIR/extension"
}

layer_lint() {
	local status=0
	"$ROOT/scripts/lint.sh" "$BUILD/etl_ext.so" >"$WORK/lint.log" 2>&1 || status=$?
	note_tap "$WORK/lint.log"
	if [ $status -ne 0 ]; then
		grep -A40 '^not ok' "$WORK/lint.log" || cat "$WORK/lint.log"
	fi
}

# pg_regress_layer TARGET LIST DIRECTORY runs the tests of one kind through the Makefile, so that "make installcheck"
# by hand is the same; DIRECTORY is where differences are written to.
pg_regress_layer() {
	local kind=$1 names=$2 output=$3 log=$WORK/$1.log status=0
	local -a only=(REGRESS= ISOLATION= TAP_TESTS=)
	if [ -z "$names" ]; then
		say "  there are none"
		return 0
	fi
	mkdir -p "$output"
	own "$BUILD"
	[ "$kind" != regress ] || only[0]="REGRESS=$names"
	[ "$kind" != isolation ] || only[1]="ISOLATION=$names"
	# shellcheck disable=SC2086 # one word per variable
	(cd "$BUILD" && as_user env $SERVER_ENV timeout -k 30 $LAYER_SECONDS make -s installcheck \
		PG_CONFIG="$PG_LIBDIR/bin/pg_config" bindir="$PGBIN" "${only[@]}" >"$log" 2>&1 </dev/null) || status=$?
	note_pg_regress "$log"
	if [ $status -ne 0 ]; then
		head -n $DIFF_LINES "$output/regression.diffs" 2>/dev/null || tail -n $LOG_LINES "$log"
		find "$BUILD" -path '*/log/postmaster.log' -exec grep -hE 'PANIC|TRAP|terminated by signal' {} + | head -n 20 || true
		return $status
	fi
}

# names_of DIRECTORY EXTENSION prints the names of the test files that are wanted.
names_of() {
	local file name
	for file in "$1"/*."$2"; do
		name=$(basename "$file" ".$2")
		[ ! -e "$file" ] || ! wanted "$name" || printf '%s ' "$name"
	done
}

layer_regress() {
	pg_regress_layer regress "$(names_of "$ROOT/sql" sql)" "$BUILD"
}

layer_isolation() {
	pg_regress_layer isolation "$(names_of "$ROOT/test/isolation/specs" spec)" "$BUILD/output_iso"
}

# need_faults makes the build with fault points, unless it is there already.
need_faults() {
	[ ! -d "$WORK/faults" ] || return 0
	if fault_install; then
		result ok 'make FAULTS=1'
	else
		result 'not ok' 'make FAULTS=1'
		tail -n $LOG_LINES "$WORK/build_faults.log"
	fi
}

# need_browser sees to the browser that the report page is tested in; without it the test fails.
need_browser() {
	# In a shell of its own, because it ends the shell when it fails.
	if (browser_install); then
		SERVER_ENV+=" $(browser_env)"
	fi
}

layer_tap() {
	local name log status worst=0
	if wanted 035_large_load || wanted 045_s3 || wanted 072_publish || wanted 073_monitoring || wanted 080_faults; then
		need_faults
	fi
	if wanted 061_report; then
		need_browser
	fi
	for name in $(names_of "$ROOT/test/t" pl); do
		log=$WORK/tap_$name.log
		status=0
		rm -rf "$BUILD/tmp_check"
		# shellcheck disable=SC2086 # one word per variable
		(cd "$BUILD" && as_user env $SERVER_ENV PATH="$PGBIN:$PATH" PG_REGRESS="$PGXS_TEST/regress/pg_regress" \
			PERL5LIB="$PGXS_TEST/perl:$BUILD/test/perl" TESTDIR="$BUILD" TESTDATADIR="$BUILD/tmp_check" \
			TESTLOGDIR="$BUILD/tmp_check/log" PGPORT="$(free_port)" LC_ALL=C ETL_TEST_ROOT="$BUILD" \
			ETL_TEST_FAULTS="$WORK/faults$PG_LIBDIR" \
			timeout -k 30 $LAYER_SECONDS prove -v --timer "test/t/$name.pl" >"$log" 2>&1 </dev/null) || status=$?
		note_tap "$log" "$name: "
		if [ $status -ne 0 ]; then
			grep -E '^not ok|^# ' "$log" | head -n $LOG_LINES || true
			tail -n 20 "$log"
			grep -hE 'PANIC|TRAP|terminated by signal' "$BUILD"/tmp_check/log/*.log 2>/dev/null | head -n 20 || true
			grep -qE '^not ok' "$log" || result 'not ok' "$name: ended with status $status"
			worst=1
		fi
	done
	return $worst
}

layer_pgtap() {
	local name log status worst=0
	[ -n "$(names_of "$ROOT/test/pgtap" sql)" ] || return 0
	start_check_server
	for name in $(names_of "$ROOT/test/pgtap" sql); do
		log=$WORK/pgtap_$name.log
		status=0
		pg_psql check -d postgres -c 'DROP DATABASE IF EXISTS pgtap WITH (FORCE)' -c 'CREATE DATABASE pgtap' 2>/dev/null
		pg_psql check -d pgtap -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION etl_ext'
		# shellcheck disable=SC2086 # one word per variable
		env $SERVER_ENV PATH="$PGBIN:$PATH" timeout -k 30 $TEST_SECONDS pg_prove -v -h "$WORK/check" \
			-p "$(port_of check)" -U postgres -d pgtap "$ROOT/test/pgtap/$name.sql" >"$log" 2>&1 </dev/null || status=$?
		note_tap "$log" "$name: "
		if [ $status -ne 0 ]; then
			head -n $LOG_LINES "$log"
			grep -qE '^not ok' "$log" || result 'not ok' "$name: ended with status $status"
			worst=1
		fi
	done
	pg_psql check -d postgres -c 'DROP DATABASE IF EXISTS pgtap WITH (FORCE)'
	return $worst
}

layer_docs() {
	local status=0
	local -a documents=()
	mapfile -t documents < <(cd "$ROOT" && find README.md docs -name '*.md' 2>/dev/null | sort)
	[ ${#documents[@]} -gt 0 ] || return 0
	start_check_server
	(cd "$ROOT" && PGHOST=$WORK/check PGPORT=$(port_of check) PGUSER=postgres PSQL=$PGBIN/psql \
		DOCS_SHOP_PORT=$(port_of check) DOCS_PAY_PORT=$(port_of mariadb) \
		timeout -k 30 $LAYER_SECONDS test/docs.sh "${documents[@]}" >"$WORK/docs.log" 2>&1 </dev/null) || status=$?
	note_tap "$WORK/docs.log"
	if [ $status -ne 0 ]; then
		grep -v '^ok' "$WORK/docs.log" | head -n $DIFF_LINES || true
		return $status
	fi
}

# demo_says NAME EXPECTED QUERY compares what a query finds in the warehouse.
demo_says() {
	local found
	found=$(demo psql -At -c "$3" 2>&1) || true
	if [ "$found" = "$2" ]; then
		result ok "$1"
	else
		result 'not ok' "$1"
		say "  $1: expected '$2', found '$found'"
	fi
}

demo() {
	ETL_DEMO_DIR=$WORK/demo DEMO_ROWS=20000 timeout -k 30 $LAYER_SECONDS "$ROOT/demo/run.sh" "$@" </dev/null
}

layer_demo() {
	if demo >"$WORK/demo.log" 2>&1; then
		result ok 'demo/run.sh ends well'
	else
		result 'not ok' 'demo/run.sh ends well'
		tail -n $LOG_LINES "$WORK/demo.log"
		demo stop >/dev/null 2>&1 || true
		return 1
	fi
	if grep -qx '</html>' "$WORK/demo/daily.html"; then
		result ok 'demo/run.sh writes the report page'
	else
		result 'not ok' 'demo/run.sh writes the report page'
	fi
	demo_says 'both runs succeeded' 'success success' \
		"SELECT string_agg(state, ' ' ORDER BY run_id) FROM etl.run_status"
	demo_says 'every order is in the warehouse' '21000' 'SELECT count(*) FROM dw.fact_orders'
	demo_says 'changed orders arrived' '5000' "SELECT count(*) FROM dw.fact_orders WHERE status = 'returned'"
	demo_says 'every payment is in the warehouse' '20000' 'SELECT count(*) FROM dw.fact_payments'
	demo_says 'changed payments arrived' '3000' "SELECT count(*) FROM dw.fact_payments WHERE status = 'chargeback'"
	demo_says 'changed customers arrived' '1000' "SELECT count(*) FROM dw.dim_customer WHERE segment = 'gold' AND is_current"
	demo_says 'with the versions before them, and facts that refer to them' 't t t' \
		"SELECT concat_ws(' ', (SELECT count(*) FROM dw.dim_customer WHERE NOT is_current) BETWEEN 1 AND 1000,
		        (SELECT bool_and(customer_key > 0) FROM dw.fact_orders),
		        (SELECT count(*) = 21000 FROM dw.fact_orders JOIN dw.dim_customer USING (customer_key, customer_id)))"
	demo_says 'every rate of the API is in the warehouse, the latest counts' '302 10 1.1' \
		"SELECT concat_ws(' ', (SELECT count(*) FROM raw.rates), (SELECT count(*) FROM dw.rate),
		        (SELECT rate FROM dw.rate WHERE currency = 'USD'))"
	demo_says 'every file of returns was read once' '440 440 31' \
		"SELECT concat_ws(' ', (SELECT count(*) FROM raw.returns), (SELECT count(DISTINCT return_id) FROM dw.fact_returns),
		        (SELECT count(*) FROM etl.file_ledger WHERE state = 'loaded'))"
	demo_says 'every click arrived once' '4200 4200 4200' \
		"SELECT concat_ws(' ', (SELECT count(*) FROM raw.clicks), (SELECT count(*) FROM dw.fact_clicks),
		        (SELECT sum(clicks) FROM dw.daily_clicks))"
	demo_says 'times of the payments are those of the source' 't' \
		"SELECT bool_and(f.updated_at = p.updated_at AT TIME ZONE 'UTC')
		 FROM dw.fact_payments AS f JOIN pay.payments AS p USING (payment_id)"
	demo_says 'the aggregate agrees with the facts' 't' \
		"SELECT (SELECT (sum(orders), sum(amount)) FROM dw.daily_sales) =
		        (SELECT (count(*)::numeric, sum(amount)) FROM dw.fact_orders WHERE status <> 'cancelled')"
	demo_says 'six checks ran in both runs, and only one had nothing to compare with' 'not_evaluated 1, pass 11' \
		"SELECT string_agg(state || ' ' || n, ', ' ORDER BY state)
		 FROM (SELECT state, count(*) AS n FROM etl.check_result GROUP BY 1) AS c"
	demo stop >/dev/null
	if [ ! -e "$WORK/demo" ]; then
		result ok 'demo/run.sh stop leaves nothing'
	else
		result 'not ok' 'demo/run.sh stop leaves nothing'
	fi
}

layer_soak() {
	local minutes=${SOAK_MINUTES:-${LONG:+10}}
	if SOAK_PG=$PGBIN timeout -k 60 $((LAYER_SECONDS + 60 * ${minutes:-1})) "$ROOT/test/soak.sh" "${minutes:-1}" </dev/null \
		>"$WORK/soak.log" 2>&1; then
		result ok "soak of ${minutes:-1} minutes"
	else
		result 'not ok' "soak of ${minutes:-1} minutes"
	fi
	tail -n $LOG_LINES "$WORK/soak.log"
}

# ---- servers of the tests --------------------------------------------------------------------------------------------

SERVER_ENV=

# start_sources starts a shop (PostgreSQL) and a payment service (MariaDB) and tells the tests where they are.
start_sources() {
	pg_create shop shop <"$ROOT/test/etl_ext.conf"
	pg_start shop
	pg_psql shop -d shop -v rows=1000 -v password=secret -f "$ROOT/demo/seed/shop.sql" >/dev/null
	mariadb_create mariadb
	mariadb_start mariadb
	{
		echo "SET @rows = 1000, @password = 'secret';"
		cat "$ROOT/demo/seed/pay.sql"
		echo "CREATE USER tester IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO tester;"
	} | mariadb_sql mariadb
	SERVER_ENV="ETL_TEST_MARIADB_HOST=127.0.0.1 ETL_TEST_MARIADB_PORT=$(port_of mariadb)
		ETL_TEST_MARIADB_SOCKET=$WORK/mariadb/mysqld.sock ETL_TEST_MARIADB_USER=tester ETL_TEST_MARIADB_PASSWORD=secret
		ETL_TEST_SHOP_HOST=127.0.0.1 ETL_TEST_SHOP_PORT=$(port_of shop) ETL_TEST_SHOP_DATABASE=shop
		ETL_TEST_SHOP_USER=etl ETL_TEST_SHOP_PASSWORD=secret"
}

# peer_wanted PEER LAYER...: whether a test that will run names a variable of that peer.
peer_wanted() {
	local layer directory extension name prefix=ETL_TEST_${1^^}_
	shift
	for layer in "$@"; do
		case $layer in
			regress) directory=sql extension=sql ;;
			isolation) directory=test/isolation/specs extension=spec ;;
			tap) directory=test/t extension=pl ;;
			pgtap) directory=test/pgtap extension=sql ;;
			*) continue ;;
		esac
		for name in $(names_of "$ROOT/$directory" "$extension"); do
			! grep -q "$prefix" "$ROOT/$directory/$name.$extension" || return 0
		done
	done
	return 1
}

# start_peers starts the other servers that the layers' tests want. One that cannot be had leaves its variables unset, and
# its tests skip themselves; that is a failure where all must run.
start_peers() {
	local peer
	for peer in "${PEERS[@]}"; do
		peer_wanted "$peer" "$@" || continue
		if start_peer "$peer"; then
			SERVER_ENV+=" $("${peer}_env" "$peer")"
		elif [ -n "${CI-}" ]; then
			failed=$((failed + 1))
		fi
	done
}

# start_check_server starts the server in which pgTAP files and the documentation's SQL run. The documentation's
# "shop-db" is a database of it.
start_check_server() {
	[ ! -e "$WORK/check/port" ] || return 0
	pg_create check shop <"$ROOT/test/etl_ext.conf"
	pg_start check
	pg_psql check -d shop -v rows=1000 -v password=secret -f "$ROOT/demo/seed/shop.sql" >/dev/null
	pg_psql check -d postgres -c 'CREATE EXTENSION pg_cron'
}

# ---- the whole -------------------------------------------------------------------------------------------------------

# run_layer runs one layer in a shell of its own and adds up what it noted.
run_layer() {
	local layer=$1 started=$EPOCHREALTIME status=0 good bad
	: >"$RESULTS"
	say "$layer"
	# In the background, because a shell does not stop at errors to the left of "||".
	(
		trap - EXIT
		set -e
		"layer_$layer"
	) >"$WORK/$layer.out" 2>&1 &
	wait $! || status=$?
	good=$(grep -c '^ok' "$RESULTS" || true)
	bad=$(grep -c '^not ok' "$RESULTS" || true)
	if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then
		result 'not ok' "$layer ended with status $status"
		bad=1
	fi
	passed=$((passed + good))
	failed=$((failed + bad))
	grep '^not ok' "$RESULTS" | sed 's/^/  /' || true
	sed 's/^/  /' "$WORK/$layer.out"
	say "  $good good, $bad bad, $(seconds_since "$started") s"
}

main() {
	local layer
	local -a layers=("$@")
	[ $# -gt 0 ] || layers=("${LAYERS[@]}")
	for layer in "${layers[@]}"; do
		[[ " ${LAYERS[*]} " == *" $layer "* ]] || die "there is no layer '$layer'; layers: ${LAYERS[*]}"
	done
	make_work
	install_packages "${TEST_PACKAGES[@]}"
	run_layer build
	if [ ! -e "$WORK/pg$PG_LIBDIR/lib/etl_ext.so" ]; then
		say "It does not build; nothing else can run."
		return 1
	fi
	if [[ " ${layers[*]} " =~ \ (regress|isolation|tap|pgtap|docs)\  ]]; then
		start_sources
	fi
	start_peers "${layers[@]}"
	for layer in "${layers[@]}"; do
		[ "$layer" = build ] || run_layer "$layer"
	done
}

main "$@"
