# shellcheck shell=bash
# The sources of the demo that are no databases: an API of exchange rates (nginx), a folder of CSV files (S3) and a topic of
# events (Kafka). Sourced by demo/run.sh, which has $WORK, $ROWS, step and done_step.

# Addresses and secrets for demo/daily.sql, as arguments of psql.
source_variables=()

# install_sources installs the three servers.
install_sources() {
	local peer
	for peer in nginx s3 kafka; do
		# shellcheck disable=SC2046 # one word per package
		install_packages $("${peer}_packages")
		"${peer}_install"
	done
}

# start_api serves pages of rates to whoever has the token. A page is a file; what has changed since a moment is one too.
start_api() {
	step "Start the API of exchange rates, an nginx" "$WORK/fx/server.log"
	nginx_create fx
	cat >"$WORK/fx/locations/rates.conf" <<-'CONF'
		location = /v1/rates {
			if ($bearer = 0) { return 401; }
			default_type application/json;
			set $file $arg_page_token;
			if ($file = "") { set $file first; }
			if ($arg_updated_since != "") { set $file changed; }
			rewrite ^ /rates/$file.json break;
		}
	CONF
	nginx_start fx
	source_variables+=(-v "fx_url=http://127.0.0.1:$(port_of fx)/v1" -v "fx_token=$(secret_of fx)")
	done_step
}

start_drop() {
	step "Start the drop of CSV files, an S3 server" "$WORK/lake/server.log"
	s3_create lake
	s3_start lake
	s3_bucket lake acme-drop >/dev/null
	source_variables+=(-v "lake_endpoint=http://127.0.0.1:$(port_of lake)" -v "lake_region=$S3_REGION"
		-v "lake_key=$(cat "$WORK/lake/access_key")" -v "lake_secret=$(secret_of lake)")
	done_step
}

start_bus() {
	step "Start the bus of events, a Kafka broker" "$WORK/bus/server.log"
	kafka_create bus
	kafka_start bus
	kafka_topic bus clicks 3 >/dev/null
	source_variables+=(-v "bus_brokers=$(kafka_listener bus SASL)" -v bus_user=etl -v "bus_password=$(secret_of bus)")
	done_step
}

# rates FROM TO NEXT prints a page: the rates of ten currencies on the days FROM to TO before today.
rates() {
	pg_psql shop -d shop -At -v from="$1" -v to="$2" -v next="$3" <<-'SQL'
		SELECT jsonb_build_object('data', jsonb_agg(jsonb_build_object('code', code, 'value', round(n * (1 + day / 1000.0), 4),
		         'updated', to_char(date_trunc('day', now() AT TIME ZONE 'UTC') - day * interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
		         ORDER BY day DESC, code), 'meta', jsonb_build_object('next', nullif(:'next', '')))
		FROM unnest('{AUD,BRL,CAD,CHF,CNY,GBP,JPY,MXN,SEK,USD}'::text[]) WITH ORDINALITY AS c (code, n),
		     generate_series(:to::int, :from::int) AS day;
	SQL
}

# seed_rates makes three pages of 100.
seed_rates() {
	mkdir -p "$WORK/fx/www/rates"
	rates 30 21 second >"$WORK/fx/www/rates/first.json"
	rates 20 11 third >"$WORK/fx/www/rates/second.json"
	rates 10 1 '' >"$WORK/fx/www/rates/third.json"
	echo '{"data": [], "meta": {}}' >"$WORK/fx/www/rates/changed.json"
	own "$WORK/fx/www"
}

# change_rates lets the API answer with the last day and two rates of today.
change_rates() {
	rates 1 1 '' | sed 's/"data": \[/&{"code": "USD", "value": 1.1, "updated": "'"$(date -u +%FT%TZ)"'"}, {"code": "GBP", "value": 0.9, "updated": "'"$(date -u +%FT%TZ)"'"}, /' \
		>"$WORK/fx/www/rates/changed.json"
	own "$WORK/fx/www"
}

# put_returns FROM TO WHEN stores a file with returns FROM to TO; WHEN is a day as date(1) reads it.
put_returns() {
	local day file=$WORK/returns.csv.gz
	day=$(date -u -d "$3" +%F)
	pg_psql shop -d shop -At -v from="$1" -v to="$2" -v day="$day" <<-'SQL' | gzip >"$file"
		COPY (SELECT i AS return_id, 1 + i * 37 % :to AS order_id, (ARRAY['damaged', 'too late', 'changed, "mind"'])[1 + i % 3] AS reason,
		             :'day'::date + i % 86400 * interval '1 s' AS returned_at
		      FROM generate_series(:from::bigint, :to) AS i) TO STDOUT (FORMAT csv, HEADER)
	SQL
	s3_put lake acme-drop "raw/returns/date=$day/part-0.csv.gz" "$file"
	rm "$file"
}

# seed_returns stores a file for each of the last 30 days.
seed_returns() {
	local day=1 each=$((ROWS / 50 / 30)) last
	while [ $day -le 30 ]; do
		last=$((day * each))
		[ $day -lt 30 ] || last=$((ROWS / 50))
		put_returns $(((day - 1) * each + 1)) $last "$((31 - day)) days ago"
		day=$((day + 1))
	done
}

# send_clicks COUNT sends events, by customer.
send_clicks() {
	pg_psql shop -d shop -At -v count="$1" -v customers="$((ROWS / 10))" <<-'SQL' |
		COPY (SELECT c || '|' || jsonb_build_object('customer_id', c, 'page', '/product/' || i % 50, 'at', now() - i % 86400 * interval '1 s')
		      FROM generate_series(1::bigint, :count) AS i, LATERAL (SELECT 1 + i * 2654435761 % :customers) AS x (c))
		TO STDOUT (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
	SQL
		kcat -b "127.0.0.1:$(port_of bus)" -t clicks -P -K '|'
}
