#!/usr/bin/env bash
# Measurements, from a bare Debian 12 machine, root or not: prints ratios and times next to what they must reach.
#   test/bench/run.sh [PART...]    parts: engine waiting extract large load star scd2 checks memory http files kafka report demo (default: all)
#   BENCH_ROUNDS (3): repetitions of which the median counts. KEEP=1 keeps the work directory.
# Both sides of a ratio are measured in turn in the same run, because machines differ and drift. Nothing here is a test:
# the exit status only says whether the measurements could be made.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PARTS=("$@")
[ ${#PARTS[@]} -gt 0 ] || PARTS=(engine waiting extract large load star scd2 checks memory http files kafka report demo)
ROUNDS=${BENCH_ROUNDS:-3}
PATH=$PATH:/usr/sbin:/sbin
TEMP=${TMPDIR:-/tmp}
[ ${#TEMP} -le 50 ] || TEMP=/tmp
WORK=$(mktemp -d "$TEMP/etl_bench.XXXXXX")
# shellcheck source=test/servers/lib.sh
. "$ROOT/test/servers/lib.sh"
# shellcheck source=test/servers/peers.sh
. "$ROOT/test/servers/peers.sh"
BENCH=$ROOT/test/bench

finish() {
	trap - EXIT
	stop_servers
	[ -n "${KEEP-}" ] || rm -rf "$WORK"
}
trap finish EXIT
trap 'exit 130' INT TERM

query() {
	pg_psql bench -d bench -At "$@"
}

# median prints the median of its arguments.
median() {
	printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# line NAME VALUE LIMIT prints one row of the result.
line() {
	printf '%-62s %12s   %s\n' "$1" "$2" "$3"
}

# seconds_of SQL runs a statement and prints how long it took.
seconds_of() {
	local started=$EPOCHREALTIME
	query -c "SET client_min_messages = warning" -c "$1" >/dev/null
	awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'
}

# ---- parts ------------------------------------------------------------------------------------------------------------

part_engine() {
	local chain=() wide=() i
	query -f "$BENCH/engine.sql" >/dev/null
	for ((i = 0; i < ROUNDS; i++)); do
		chain+=("$(seconds_of "SELECT etl.run_pipeline('chain')")")
		wide+=("$(seconds_of "SELECT etl.run_pipeline('wide')")")
	done
	line "50 no-op tasks in a chain, seconds" "$(median "${chain[@]}")" "under 2.5"
	line "200 independent no-op tasks, 4 workers, seconds" "$(median "${wide[@]}")" "under 6"
}

# load_shape SHAPE measures one lie of the keys; see load_setup.sql.
load_shape() {
	local plain=() ours=() ratio=() i a b
	query -v shape="$1" -f "$BENCH/load_setup.sql" >/dev/null 2>&1
	for ((i = 0; i < ROUNDS; i++)); do
		query -v target=fact_plain -f "$BENCH/load_target.sql" >/dev/null
		a=$(seconds_of "$(cat "$BENCH/load_plain.sql")")
		query -c "DROP TABLE dw.fact_plain" >/dev/null
		query -v target=fact -f "$BENCH/load_target.sql" >/dev/null
		query -f "$BENCH/load_task.sql" >/dev/null
		b=$(seconds_of "SELECT etl.run_pipeline('load')")
		query -c "SELECT etl.drop_pipeline('load')" -c "DROP TABLE dw.fact" >/dev/null
		plain+=("$a")
		ours+=("$b")
		ratio+=("$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", b / a }')")
	done
	query -c "SELECT etl.drop_pipeline('extract')" -c "DROP TABLE raw.delta" >/dev/null
	line "1M rows into 5M, $1 keys: plain MERGE, seconds" "$(median "${plain[@]}")" ""
	line "1M rows into 5M, $1 keys: etl_ext, whole run, seconds" "$(median "${ours[@]}")" ""
	line "1M rows into 5M, $1 keys: ratio (${ratio[*]})" "$(median "${ratio[@]}")" "at most 0.6"
}

part_load() {
	local shape
	for shape in random recent spread; do
		load_shape $shape
	done
}

# task_seconds PIPELINE TASK prints how long the last attempt of a task took.
task_seconds() {
	query -c "SELECT round(extract(epoch FROM t.ended_at - t.started_at)::numeric, 3) FROM etl.task_run AS t JOIN etl.run USING (run_id)
		JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = '$1' AND task = '$2' ORDER BY task_run_id DESC LIMIT 1"
}

# ratio_line NAME LIMIT PLAIN... / OURS... prints the median of the ratios of pairs.
ratio_line() {
	local name=$1 limit=$2 n i ratio=()
	shift 2
	n=$(($# / 2))
	for ((i = 1; i <= n; i++)); do
		ratio+=("$(awk -v a="${!i}" -v b="$(eval echo "\${$((n + i))}")" 'BEGIN { printf "%.2f", b / a }')")
	done
	line "$name: ratio (${ratio[*]})" "$(median "${ratio[@]}")" "$limit"
}

# star_merge measures the load of a delta into a fact that an aggregate follows, and then the same delta again.
star_merge() {
	local plain=() ours=() again_plain=() again_ours=() daily=() i written
	for ((i = 0; i < ROUNDS; i++)); do
		query -v target=fact_plain -f "$BENCH/star_target.sql" >/dev/null 2>&1
		plain+=("$(seconds_of "$(cat "$BENCH/load_plain.sql")")")
		again_plain+=("$(seconds_of "$(cat "$BENCH/load_plain.sql")")")
		query -c "DROP TABLE dw.fact_plain" >/dev/null
		query -v target=fact -f "$BENCH/star_target.sql" >/dev/null 2>&1
		query -f "$BENCH/star_task.sql" >/dev/null 2>&1
		seconds_of "SELECT etl.run_pipeline('load')" >/dev/null
		ours+=("$(task_seconds load fact)")
		daily+=("$(task_seconds load daily)")
		written=$(query -c "SELECT pg_stat_force_next_flush(); SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'fact'" | tail -n 1)
		query -c "DELETE FROM etl.consumed USING etl.task AS t WHERE t.task_id = consumed.task_id AND t.name = 'fact'" >/dev/null
		seconds_of "SELECT etl.run_pipeline('load', tasks => '{fact}')" >/dev/null
		again_ours+=("$(task_seconds load fact)")
		written=$(($(query -c "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'fact'") - written))
		query -c "SELECT etl.drop_pipeline('load')" -c "DROP TABLE dw.fact, dw.daily" >/dev/null
	done
	line "1M rows into 5M, index and aggregate: plain MERGE, seconds" "$(median "${plain[@]}")" ""
	line "1M rows into 5M, index and aggregate: all groups computed after it, seconds" "$(median "${daily[@]}")" ""
	line "1M rows into 5M, index and aggregate: load, seconds" "$(median "${ours[@]}")" ""
	ratio_line "1M rows into 5M, index and aggregate" "at most 0.5" "${plain[@]}" "${ours[@]}"
	ratio_line "the same again, nothing changes" "at most 0.3" "${again_plain[@]}" "${again_ours[@]}"
	line "the same again: rows of the target written" "$written" "0"
}

# star_append measures new keys only against COPY of the same rows.
star_append() {
	local plain=() ours=() i
	query -c "DELETE FROM src.delta" -c "INSERT INTO src.delta SELECT * FROM src.fresh" -c "SET client_min_messages = warning" \
		-c "SELECT etl.drop_pipeline('extract')" -c "DROP TABLE raw.delta" -c "SELECT etl.create_pipeline('extract')" \
		-c "SELECT etl.add_extract('extract', 'delta', source => 'src.delta', target => 'raw.delta')" \
		-c "SELECT etl.run_pipeline('extract')" -c "COPY (SELECT * FROM src.delta) TO '$WORK/bench/delta.csv'" >/dev/null 2>&1
	for ((i = 0; i < ROUNDS; i++)); do
		query -v target=fact_plain -f "$BENCH/star_target.sql" >/dev/null 2>&1
		plain+=("$(seconds_of "COPY dw.fact_plain FROM '$WORK/bench/delta.csv'")")
		query -c "DROP TABLE dw.fact_plain" >/dev/null
		query -v target=fact -f "$BENCH/star_target.sql" >/dev/null 2>&1
		query -c "SELECT etl.create_pipeline('load')" -c "SELECT etl.add_load('load', 'fact', target => 'dw.fact', key => '{order_id}',
			query => 'SELECT order_id, customer_id, amount, currency, status, created_at FROM raw.delta')" >/dev/null
		seconds_of "SELECT etl.run_pipeline('load')" >/dev/null
		ours+=("$(task_seconds load fact)")
		query -c "SELECT etl.drop_pipeline('load')" -c "DROP TABLE dw.fact" >/dev/null
	done
	line "1M new rows into 5M: COPY, seconds" "$(median "${plain[@]}")" ""
	line "1M new rows into 5M: load in mode merge, seconds" "$(median "${ours[@]}")" ""
	ratio_line "1M new rows into 5M" "at most 1.1" "${plain[@]}" "${ours[@]}"
}

# star_late measures corrections of a few facts on many days.
star_late() {
	query -f "$BENCH/star_late.sql" >/dev/null 2>&1
	seconds_of "SELECT etl.run_pipeline('late')" >/dev/null
	line "100 facts of 30 days in 10M corrected: load, seconds" "$(task_seconds late fact)" ""
	line "100 facts of 30 days in 10M corrected: aggregate, seconds" "$(task_seconds late daily)" "under 1"
	line "groups touched" "$(query -c "SELECT details ->> 'groups_touched' FROM etl.task_run WHERE task = 'daily' ORDER BY task_run_id DESC LIMIT 1")" "30"
	query -c "SELECT etl.drop_pipeline('late')" -c "DROP TABLE dw.fact, dw.daily" >/dev/null
}

part_star() {
	query -f "$BENCH/star_setup.sql" >/dev/null 2>&1
	star_merge
	star_append
	star_late
}

# scd2_changes ROUND puts 100,000 changes of a round, of keys in no order, into the raw table.
scd2_changes() {
	query -c "TRUNCATE src.customer" -c "INSERT INTO src.customer SELECT (n * 7919::bigint + $1) % 1000000 + 1, 'round $1 ' || n,
		'city ' || n % 1000, 'segment ' || n % 5, n % 1000, timestamptz '2026-03-01' + ($1 * 100000 + n) * interval '1 s'
		FROM generate_series(1, 100000) AS n" -c "SELECT etl.run_pipeline('customer_extract')" -c "VACUUM ANALYZE dw.dim_customer" \
		>/dev/null 2>&1
}

part_scd2() {
	local changed=() same=() first i
	query -f "$BENCH/scd2.sql" >/dev/null 2>&1
	first=$(seconds_of "SELECT etl.run_pipeline('customer_load')")
	for ((i = 1; i <= ROUNDS; i++)); do
		scd2_changes $i
		changed+=("$(seconds_of "SELECT etl.run_pipeline('customer_load')")")
		query -c "SELECT etl.run_pipeline('customer_extract')" >/dev/null 2>&1
		same+=("$(seconds_of "SELECT etl.run_pipeline('customer_load')")")
	done
	[ "$(query -c "SELECT count(*) FROM dw.dim_customer WHERE customer_key > 0")" = $((1000000 + ROUNDS * 100000)) ] ||
		die "dw.dim_customer has not the versions that it should have"
	line "scd2: first load of 1M rows, seconds" "$first" ""
	line "scd2: 100,000 changes into 1M rows, whole run, seconds" "$(median "${changed[@]}")" "under 5"
	line "scd2: the same 100,000 rows again, which change nothing, seconds" "$(median "${same[@]}")" ""
	query -c "SELECT etl.drop_pipeline('customer_load')" -c "SELECT etl.drop_pipeline('customer_extract')" \
		-c "DROP TABLE dw.dim_customer CASCADE" -c "DROP TABLE raw.customer, src.customer" >/dev/null 2>&1
}

part_checks() {
	local plain=() ours=() ratio=() a b i
	local count="SELECT count(*), count(sale_id), count(customer_id), count(quantity), count(amount), count(status), count(created_at) FROM public.checked_fact"
	query -v rows=10000000 -f "$BENCH/checks.sql" >/dev/null
	seconds_of "SELECT etl.run_pipeline('checks')" >/dev/null
	for ((i = 0; i < ROUNDS; i++)); do
		a=$(seconds_of "$count")
		b=$(seconds_of "SELECT etl.run_pipeline('checks')")
		plain+=("$a")
		ours+=("$b")
		ratio+=("$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", b / a }')")
	done
	line "count(*), count(column) of 10M rows, seconds" "$(median "${plain[@]}")" ""
	line "10 checks of them, whole run, seconds" "$(median "${ours[@]}")" ""
	line "10 checks, ratio to the count" "$(median "${ratio[@]}")" "1.3"
	query -c "SELECT etl.drop_pipeline('checks')" -c "DROP TABLE public.checked_fact" >/dev/null
}

# ticks_of prints the processor time that a process has used, in ticks.
ticks_of() {
	awk '{ print $14 + $15 }' "/proc/$1/stat"
}

part_waiting() {
	local scheduler before seconds=30
	query -f "$BENCH/waiting.sql" >/dev/null
	query -c "SELECT count(etl.run_pipeline(name, wait => false)) FROM etl.pipeline WHERE name LIKE 'waiting%'" >/dev/null
	until [ "$(query -c "SELECT count(*) FROM etl.task_run WHERE state = 'retry'")" = 1000 ]; do
		sleep 0.5
	done
	line "1000 tasks that wait for a retry: workers of etl_ext" \
		"$(query -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'etl%'")" "1"
	scheduler=$(query -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'etl scheduler'")
	before=$(ticks_of "$scheduler")
	sleep $seconds
	line "1000 tasks that wait for a retry: percent of a core" \
		"$(awk -v t=$(($(ticks_of "$scheduler") - before)) -v s=$seconds -v h="$(getconf CLK_TCK)" \
			'BEGIN { printf "%.2f", 100 * t / h / s }')" "under 1"
	query -c "SELECT count(etl.cancel_run(run_id)) FROM etl.run WHERE state = 'running'" >/dev/null
	query -c "SELECT count(etl.wait_for_run(run_id)) FROM etl.run" >/dev/null
}

# watch_memory prints the most private memory in MB that any executor of the server had until the file $1 appears.
watch_memory() {
	local most=0 pid kb server
	server=$(head -n 1 "$WORK/bench/data/postmaster.pid")
	while [ ! -e "$1" ]; do
		for pid in $(pgrep -P "$server" -f 'etl task' || true); do
			kb=$(awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)
			[ "${kb:-0}" -le "$most" ] || most=$kb
		done
		sleep 0.05
	done
	echo $((most / 1024))
}

part_memory() {
	query -f "$BENCH/memory.sql" >/dev/null
	rm -f "$WORK/done"
	watch_memory "$WORK/done" >"$WORK/memory" &
	local watcher=$!
	seconds_of "SELECT etl.run_pipeline('memory')" >/dev/null
	: >"$WORK/done"
	wait $watcher
	line "private memory of an executor, 4M rows of 400 bytes, MB" "$(cat "$WORK/memory")" "under 256"
}

part_http() {
	PERL5LIB=$ROOT/test/perl PATH=$PGBIN:$PATH PGHOST=$WORK/bench PGPORT=$(port_of bench) PGUSER=postgres PGDATABASE=bench \
		perl "$BENCH/http.pl" 2>/dev/null | while IFS=: read -r name seconds; do
		line "100 pages of 1,000 records, 50 ms each, $name, seconds" "${seconds%% s,*}" "$([ "$name" = serial ] && echo 'under 6' || echo 'under 3')"
	done
}

# plain_copy FORMAT measures COPY FROM of the local file; NDJSON goes into one column of type jsonb.
plain_copy() {
	local options="FORMAT csv, HEADER"
	[ "$1" = csv ] || options="FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'"
	query -c "TRUNCATE files.plain_$1" -c CHECKPOINT >/dev/null
	seconds_of "COPY files.plain_$1 FROM '$WORK/bench/files/lines.$1' ($options)"
}

# own_files TASK measures the whole run of an extract that reads its file from the beginning.
own_files() {
	query -c "SET client_min_messages = warning" -c "SELECT etl.reload_file('files', '$1', 'lines.${1#s3_}')" >/dev/null 2>&1 || true
	query -c "TRUNCATE raw.$1" -c CHECKPOINT >/dev/null
	seconds_of "SELECT etl.run_pipeline('files', tasks => '{$1}')"
}

part_files() {
	local format i plain local_file s3
	start_peer s3 || return 0
	mkdir "$WORK/bench/files"
	own "$WORK/bench/files"
	query -v root="$WORK/bench/files" -v endpoint="http://127.0.0.1:$(port_of s3)" -v region="$S3_REGION" \
		-v key="$(cat "$WORK/s3/access_key")" -v secret="$(secret_of s3)" -f "$BENCH/files.sql" >/dev/null
	s3_bucket s3 bench >/dev/null
	for format in csv ndjson; do
		s3_put s3 bench "lines.$format" "$WORK/bench/files/lines.$format" >/dev/null
		plain=() local_file=() s3=()
		for ((i = 0; i < ROUNDS; i++)); do
			plain+=("$(plain_copy $format)")
			local_file+=("$(own_files $format)")
			s3+=("$(own_files s3_$format)")
		done
		[ "$(query -c "SELECT count(*) FROM raw.s3_$format")" = 1000000 ] || die "raw.s3_$format has not 1,000,000 rows"
		line "1M rows of $format: COPY FROM the local file, seconds" "$(median "${plain[@]}")" ""
		line "1M rows of $format: extract from the local file, seconds" "$(median "${local_file[@]}")" ""
		line "1M rows of $format: extract from S3, seconds" "$(median "${s3[@]}")" ""
		line "1M rows of $format: local extract, times COPY" "$(ratio_of "${local_file[@]}" -- "${plain[@]}")" "at most 1.5"
		line "1M rows of $format: extract from S3, times COPY" "$(ratio_of "${s3[@]}" -- "${plain[@]}")" "at most 1.5"
	done
	large_file
}

# large_file reads 2 GB of CSV in one file and prints the memory of the executor.
large_file() {
	local watcher seconds
	query -c "COPY (SELECT s.* FROM files.source AS s, generate_series(1, 17)) TO '$WORK/bench/files/large.csv' (FORMAT csv, HEADER)" \
		-c "CREATE FOREIGN TABLE files.large (id bigint, customer_id bigint, amount numeric(10, 2), currency text, status text, note text,
			created_at timestamptz, updated_at timestamptz) SERVER files OPTIONS (prefix 'large.csv')" \
		-c "SELECT etl.add_extract('files', 'large', source => 'files.large', target => 'raw.large')" >/dev/null
	rm -f "$WORK/done"
	watch_memory "$WORK/done" >"$WORK/memory" &
	watcher=$!
	seconds=$(seconds_of "SELECT etl.run_pipeline('files', tasks => '{large}')")
	: >"$WORK/done"
	wait $watcher
	line "CSV file of $(($(stat -c %s "$WORK/bench/files/large.csv") / 1000000)) MB: extract, seconds" "$seconds" ""
	line "CSV file of 2 GB: private memory of the executor, MB" "$(cat "$WORK/memory")" "under 128"
	query -c "DROP TABLE raw.large" >/dev/null
	rm "$WORK/bench/files/large.csv"
}

# kafka_messages prints 3,000,000 messages with keys; the values have 200 bytes.
kafka_messages() {
	perl -e 'for my $i (1 .. 3_000_000) {
		my $s = sprintf qq({"order_id":%d,"customer_id":%d,"amount":%.2f,"status":"shipped",)
			. qq("created_at":"2026-01-%02dT10:00:00Z","country":"ES","note":"), $i, $i % 100000, ($i % 9999) / 7, 1 + $i % 28;
		print "$i:$s", "x" x (198 - length $s), qq("}\n);
	}'
}

# kafka_round TASK reads the topic from its beginning and prints messages a second, with the private memory in MB.
kafka_round() {
	local seconds watcher
	query -c "SELECT etl.set_kafka_offset('kafka', '$1', NULL, NULL)" -c "TRUNCATE raw.topic_$1" -c CHECKPOINT >/dev/null
	rm -f "$WORK/done"
	watch_memory "$WORK/done" >"$WORK/memory" &
	watcher=$!
	seconds=$(seconds_of "SELECT etl.run_pipeline('kafka', tasks => '{$1}')")
	: >"$WORK/done"
	wait $watcher
	[ "$(query -c "SELECT count(*) FROM raw.topic_$1")" = 3000000 ] || die "raw.topic_$1 has not 3,000,000 rows"
	awk -v s="$seconds" -v m="$(cat "$WORK/memory")" 'BEGIN { printf "%d %d\n", 3000000 / s, m }'
}

part_kafka() {
	local task i rate memory most
	local -a rates
	start_peer kafka || return 0
	kafka_topic kafka bench 4 >/dev/null
	kafka_messages | kcat -b "127.0.0.1:$(port_of kafka)" -t bench -P -K: -X queue.buffering.max.messages=1000000
	query -v brokers="127.0.0.1:$(port_of kafka)" -f "$BENCH/kafka.sql" >/dev/null
	for task in text jsonb fields; do
		rates=() most=0
		for ((i = 0; i < ROUNDS; i++)); do
			read -r rate memory <<<"$(kafka_round $task)"
			rates+=("$rate")
			[ "$memory" -le "$most" ] || most=$memory
		done
		line "Kafka, 3M messages of 200 bytes, $task: messages a second" "$(median "${rates[@]}")" "at least 150000"
		line "Kafka, 3M messages of 200 bytes, $task: private memory, MB" "$most" "under 128"
	done
	query -c "SET client_min_messages = warning" -c "SELECT etl.drop_pipeline('kafka')" -c "DROP SCHEMA topics CASCADE" \
		-c "DROP TABLE raw.topic_text, raw.topic_jsonb, raw.topic_fields" >/dev/null
}

# add_extract NAME SOURCE defines the pipeline of one extract.
add_extract() {
	query -c "SELECT etl.create_pipeline('$1')" -c "SELECT etl.add_extract('$1', 'lines', source => '$2', target => 'raw.$1',
		cursor_column => 'updated_at', primary_key => '{line_id}', lag => '0')" >/dev/null
}

# drop_extract NAME removes it with its raw table.
drop_extract() {
	query -c "SELECT etl.drop_pipeline('$1')" -c "DROP TABLE raw.$1" >/dev/null
}

# ratio_of A... -- B... prints the median of A / B.
ratio_of() {
	local a=() ratio=() i
	while [ "$1" != -- ]; do
		a+=("$1")
		shift
	done
	shift
	for i in "${!a[@]}"; do
		ratio+=("$(awk -v a="${a[$i]}" -v b="$1" 'BEGIN { printf "%.2f", a / b }')")
		shift
	done
	median "${ratio[@]}"
}

# extract_sources starts a PostgreSQL server with $1 rows and, with a second argument, MariaDB with 1,000,000.
extract_sources() {
	pg_create shop shop </dev/null
	pg_start shop
	pg_psql shop -d shop -v rows="$1" -v password="$(secret_of shop)" -f "$BENCH/extract_shop.sql" >/dev/null
	mariadb_create pay
	mariadb_start pay
	mariadb_sql pay <"$BENCH/extract_pay.sql" >/dev/null
	query -v shop_port="$(port_of shop)" -v password="$(secret_of shop)" -v pay_port="$(port_of pay)" \
		-f "$BENCH/extract_warehouse.sql" >/dev/null
}

# pgloader_seconds prints how long pgloader takes for the table of MariaDB.
pgloader_seconds() {
	local started=$EPOCHREALTIME
	(cd "$WORK" && pgloader --with 'create no indexes' "mysql://bench:bench@127.0.0.1:$(port_of pay)/bench" \
		"postgresql://loader:loader@127.0.0.1:$(port_of bench)/bench") >"$WORK/pgloader.log" 2>&1 ||
		{ tail -n 20 "$WORK/pgloader.log" >&2; die "pgloader failed"; }
	awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }'
}

# plain_insert NAME measures INSERT ... SELECT from the foreign table.
plain_insert() {
	query -c "TRUNCATE plain_$1" -c CHECKPOINT >/dev/null
	seconds_of "INSERT INTO plain_$1 SELECT * FROM $1.lines"
}

# own_extract NAME measures the whole run of a first extract.
own_extract() {
	add_extract "$1" "$1.lines"
	query -c CHECKPOINT >/dev/null
	seconds_of "SELECT etl.run_pipeline('$1')"
	drop_extract "$1"
}

part_extract() {
	local name plain ours loader=() i
	install_packages pgloader
	extract_sources 1000000
	query -c "CREATE ROLE loader LOGIN SUPERUSER PASSWORD 'loader'" >/dev/null
	for name in shop pay; do
		plain=()
		ours=()
		for ((i = 0; i < ROUNDS; i++)); do
			plain+=("$(plain_insert $name)")
			ours+=("$(own_extract $name)")
			if [ $name = pay ]; then
				loader+=("$(pgloader_seconds)")
				query -c "DROP TABLE bench.lines" >/dev/null
			fi
		done
		line "1M rows from $name: INSERT ... SELECT, seconds" "$(median "${plain[@]}")" ""
		line "1M rows from $name: first extract, whole run, seconds" "$(median "${ours[@]}")" ""
		line "1M rows from $name: times faster" "$(ratio_of "${plain[@]}" -- "${ours[@]}")" \
			"at least $([ $name = shop ] && echo 2.2 || echo 2.5)"
	done
	line "1M rows from pay: pgloader, seconds" "$(median "${loader[@]}")" ""
	line "1M rows from pay: times faster than pgloader" "$(ratio_of "${loader[@]}" -- "${ours[@]}")" "over 1"
}

# watch_source prints the longest that a transaction of etl_ext was open at the source, in ms, until the file $1 appears.
watch_source() {
	local most=0 ms
	while [ ! -e "$1" ]; do
		ms=$(pg_psql shop -d shop -At -c "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start) * 1000), 0)::int
			FROM pg_stat_activity WHERE application_name = 'etl_ext' AND xact_start IS NOT NULL")
		[ "$ms" -le "$most" ] || most=$ms
		sleep 0.1
	done
	echo "$most"
}

part_large() {
	local memory source seconds
	[ -d "$WORK/shop" ] || extract_sources 1
	pg_psql shop -d shop -c "TRUNCATE lines" -c "INSERT INTO lines SELECT n, n / 3, n % 5000, (n % 100000) / 100.0, 'new', md5(n::text),
		timestamptz '2026-01-01' + n * interval '1 s', timestamptz '2026-01-02' + n * interval '1 s'
		FROM generate_series(1, 10000000) AS n" -c "VACUUM ANALYZE lines" >/dev/null
	add_extract large shop.lines
	rm -f "$WORK/done"
	watch_memory "$WORK/done" >"$WORK/memory" &
	memory=$!
	watch_source "$WORK/done" >"$WORK/longest" &
	source=$!
	seconds=$(seconds_of "SELECT etl.run_pipeline('large')")
	: >"$WORK/done"
	wait $memory $source
	line "10M rows from shop: first extract, seconds" "$seconds" ""
	line "10M rows from shop: private memory of the executor, MB" "$(cat "$WORK/memory")" "under 128"
	line "10M rows from shop: longest transaction at the source, ms" "$(cat "$WORK/longest")" "one chunk of 200,000 rows"
	drop_extract large
}

# report_as ROLE prints the milliseconds of a page as that role, the planning of its queries included.
report_as() {
	local i times=()
	for ((i = 0; i < ROUNDS; i++)); do
		times+=("$(query -c "SET ROLE $1" -c '\timing on' -c "SELECT length(etl.report('warehouse'))" |
			sed -nE 's/^Time: ([0-9]+).*/\1/p' | tail -n 1)")
	done
	median "${times[@]}"
}

part_report() {
	query -c "CREATE ROLE report_owner" -c "GRANT USAGE ON SCHEMA etl TO report_owner" >/dev/null
	query -v owner=report_owner -f "$BENCH/report_setup.sql" >/dev/null
	line "report of 60 tasks and 90 runs, ms" "$(report_as postgres)" "under 500"
	line "the same, for a role under row policies, ms" "$(report_as report_owner)" "under 500"
	line "the same, kB" "$(query -c "SELECT octet_length(etl.report('warehouse')) / 1000")" "under 1000"
}

part_demo() {
	local out=$WORK/demo.log
	ETL_DEMO_DIR=$WORK/demo "$ROOT/demo/run.sh" >"$out" 2>&1 || { tail -n 30 "$out" >&2; die "the demo failed"; }
	line "demo, first run, 1M orders and 1M payments, seconds" \
		"$(sed -nE 's/^First run: ([0-9.]+) s.*/\1/p' "$out")" "under 90"
	line "demo, second run, 10,000 changed rows, seconds" \
		"$(sed -nE 's/.*Second run: ([0-9.]+) s.*/\1/p' "$out")" "under 5"
	ETL_DEMO_DIR=$WORK/demo "$ROOT/demo/run.sh" stop >/dev/null
}

# ---- run ----------------------------------------------------------------------------------------------------------------

make_work
install_packages "${RUN_PACKAGES[@]}" procps
private_install || { tail -n 20 "$WORK/build.log" >&2; die "the build failed"; }
# PostgreSQL's own settings, but for what would put a checkpoint or a vacuum into the middle of a measurement.
# BENCH_CONF adds lines, as in BENCH_CONF='shared_buffers = 1GB'.
pg_create bench bench <<-CONF
	max_wal_size = 16GB
	checkpoint_timeout = 30min
	max_worker_processes = 16
	autovacuum = off
	etl.allowed_hosts = '*, 127.0.0.0/8'
	${BENCH_CONF-}
CONF
pg_start bench
query -c 'CREATE EXTENSION etl_ext' >/dev/null
say "$(nproc) processors, $(query -c 'SHOW server_version'), median of $ROUNDS rounds"
line "what" "measured" "must reach"
for part in "${PARTS[@]}"; do
	"part_$part"
done
