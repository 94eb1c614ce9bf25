# shellcheck shell=bash
# Programs that read what etl_ext shows to monitoring: postgres_exporter, promtool and the reference parser of OpenMetrics. Nothing
# is started here; the test starts the exporter. Debian's packages are unpacked, not installed: they would start daemons.
# Sourced after lib.sh.

MONITOR_UNPACKED=(prometheus-postgres-exporter prometheus)

# monitor_packages prints the Debian packages that are installed: Python with the parser.
monitor_packages() {
	echo python3 python3-prometheus-client
}

# monitor_install unpacks the programs into the cache.
monitor_install() {
	local build
	make_cache
	[ ! -d "$CACHE/monitor" ] || return 0
	build=$(mktemp -d "$CACHE/build.XXXXXX")
	if ! (cd "$build" && apt_get update && apt-get -q download "${MONITOR_UNPACKED[@]}" >>"$WORK/packages.log" 2>&1 &&
		for deb in *.deb; do dpkg-deb -x "$deb" unpacked || exit; done); then
		rm -rf "$build"
		die "prometheus-postgres-exporter and prometheus could not be fetched with apt-get download"
	fi
	mkdir "$build/monitor"
	cp "$build/unpacked/usr/bin/prometheus-postgres-exporter" "$build/unpacked/usr/bin/promtool" "$build/monitor/"
	mv "$build/monitor" "$CACHE/monitor"
	rm -rf "$build"
}

# monitor_create copies the programs to where the user of the tests may execute them.
monitor_create() {
	mkdir -p "$WORK/$1"
	cp "$CACHE"/monitor/* "$WORK/$1/"
	own "$WORK/$1"
}

monitor_start() {
	[ -x "$WORK/$1/promtool" ]
}

monitor_env() {
	cat <<-ENV
		ETL_TEST_MONITOR_EXPORTER=$WORK/$1/prometheus-postgres-exporter
		ETL_TEST_MONITOR_PROMTOOL=$WORK/$1/promtool
		ETL_TEST_MONITOR_PYTHON=/usr/bin/python3
	ENV
}
