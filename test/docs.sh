#!/usr/bin/env bash
# Runs the SQL blocks of Markdown files against a server, one "ok" or "not ok" line per block.
#   test/docs.sh FILE...
# The blocks of a file run in their order, each in a psql session of its own, as superuser, in one fresh database.
# Comments before a block say what to do with it:
#   <!-- error: SQLSTATE -->   the block has to fail with this SQLSTATE
#   <!-- skip: REASON -->      the block does not run
#   <!-- setup                 the lines up to --> are SQL that runs without being shown
# The servers that the documentation talks about are there: shop-db (PostgreSQL, database shop) and pay-db (MariaDB,
# database pay), both for user etl with password secret, seeded by demo/seed/.
# Environment: PGHOST, PGPORT, PGUSER (a superuser), PSQL, DOCS_SHOP_PORT, DOCS_PAY_PORT.
set -euo pipefail

PSQL=${PSQL:-psql}
DATABASE=docs
BLOCK_SECONDS=300
export PGDATABASE=$DATABASE PGCLIENTENCODING=UTF8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# split_blocks FILE DIRECTORY writes NNN.sql and NNN.meta (line, what to do, its argument) for each block.
split_blocks() {
	awk -v dir="$2" '
		function open_block(action) {
			number++
			base = sprintf("%s/%03d", dir, number)
			printf "%d\t%s\t%s\n", NR, action, argument > (base ".meta")
			close(base ".meta")
			printf "" > (base ".sql")
			argument = ""
			todo = "run"
		}
		BEGIN { todo = "run" }
		inside == "setup" && /-->/ { close(base ".sql"); inside = ""; next }
		inside == "sql" && /^[ \t]*```[ \t]*$/ { close(base ".sql"); inside = ""; next }
		inside == "sql" || inside == "setup" { print > (base ".sql"); next }
		inside == "other" { if (/^[ \t]*```[ \t]*$/) inside = ""; next }
		/^[ \t]*<!--[ \t]*setup[ \t]*$/ { open_block("run"); inside = "setup"; next }
		/^[ \t]*<!--[ \t]*(error|skip):/ {
			todo = ($0 ~ /<!--[ \t]*error:/) ? "error" : "skip"
			argument = $0
			sub(/^[ \t]*<!--[ \t]*(error|skip):[ \t]*/, "", argument)
			sub(/[ \t]*-->.*$/, "", argument)
			next
		}
		/^[ \t]*```sql/ { open_block(todo); inside = "sql"; next }
		/^[ \t]*```/ { inside = "other"; todo = "run"; argument = ""; next }
		END {
			if (inside == "sql" || inside == "setup") {
				printf "%s: the last block has no end\n", FILENAME > "/dev/stderr"
				exit 1
			}
		}
	' "$1"
}

# real_addresses puts the ports of the test's servers where the documentation names its hosts.
real_addresses() {
	sed -e "s/host 'shop-db'\(, *port '[0-9]*'\)\?/host '127.0.0.1', port '${DOCS_SHOP_PORT-5432}'/g" \
		-e "s/host 'pay-db'\(, *port '[0-9]*'\)\?/host '127.0.0.1', port '${DOCS_PAY_PORT-3306}'/g"
}

as_admin() {
	"$PSQL" -X -q -A -t -d postgres -v ON_ERROR_STOP=1 "$@"
}

roles() {
	as_admin -c 'SELECT rolname FROM pg_roles ORDER BY 1'
}

# run_block BASE runs one block and prints "" when it did what it should, or else what went wrong.
run_block() {
	local base=$1 action=$2 argument=$3 status=0
	real_addresses <"$base.sql" >"$base.real"
	timeout -k 10 $BLOCK_SECONDS "$PSQL" -X -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -f "$base.real" \
		>"$base.out" 2>&1 </dev/null || status=$?
	if [ "$action" = run ]; then
		[ $status -eq 0 ] || printf 'it failed:\n%s\n' "$(tail -n 25 "$base.out")"
	elif [ $status -eq 0 ]; then
		printf 'it was to fail with %s, and did not\n' "$argument"
	elif ! grep -qE "(ERROR|FATAL): +$argument:" "$base.out"; then
		printf 'it was to fail with %s, and failed otherwise:\n%s\n' "$argument" "$(tail -n 25 "$base.out")"
	fi
}

# forget drops the database and the roles that the blocks of a file have made.
forget() {
	local role
	as_admin -c "DROP DATABASE IF EXISTS $DATABASE WITH (FORCE)" >/dev/null 2>&1
	comm -13 "$work/roles" <(roles) | while read -r role; do
		as_admin -v role="$role" <<<'DROP ROLE :"role"' >/dev/null
	done
}

test_file() {
	local file=$1 dir=$work/blocks base line action argument problem
	rm -rf "$dir"
	mkdir "$dir"
	if ! split_blocks "$file" "$dir"; then
		echo "not ok - $file"
		failures=$((failures + 1))
		return
	fi
	compgen -G "$dir/*.sql" >/dev/null || return 0
	forget
	as_admin -c "CREATE DATABASE $DATABASE" >/dev/null
	for base in "$dir"/*.sql; do
		base=${base%.sql}
		IFS=$'\t' read -r line action argument <"$base.meta"
		if [ "$action" = skip ]; then
			echo "ok - $file:$line # SKIP $argument"
			continue
		fi
		problem=$(run_block "$base" "$action" "$argument")
		if [ -z "$problem" ]; then
			echo "ok - $file:$line"
		else
			failures=$((failures + 1))
			printf 'not ok - %s:%s\n#   %s\n' "$file" "$line" "${problem//$'\n'/$'\n#   '}"
		fi
	done
	forget
}

failures=0
roles >"$work/roles"
for file in "$@"; do
	test_file "$file"
done
[ $failures -eq 0 ]
