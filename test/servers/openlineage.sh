# shellcheck shell=bash
# The official Python client of OpenLineage, with the classes that it generates from the specification: test/check_events.py checks
# events with them. No server, but handled like one. Sourced after lib.sh.
#   ETL_TEST_OPENLINEAGE_SITE    directory for PYTHONPATH of /usr/bin/python3

OPENLINEAGE_VERSION=1.54.0

openlineage_packages() {
	echo python3 python3-venv ca-certificates
}

openlineage_cached() {
	echo "$CACHE/openlineage-$OPENLINEAGE_VERSION"
}

# openlineage_install fetches the client from PyPI into the cache.
openlineage_install() {
	local build
	make_cache
	[ ! -d "$(openlineage_cached)" ] || return 0
	build=$(mktemp -d "$CACHE/build.XXXXXX")
	/usr/bin/python3 -m venv "$build/venv"
	"$build/venv/bin/pip" install -q --disable-pip-version-check --target "$build/site" "openlineage-python==$OPENLINEAGE_VERSION"
	mv -T "$build/site" "$(openlineage_cached)" || [ -d "$(openlineage_cached)" ]
	rm -rf "$build"
}

# openlineage_create copies it to where the user of the tests can read it.
openlineage_create() {
	mkdir "$WORK/$1"
	cp -r "$(openlineage_cached)" "$WORK/$1/site"
	own "$WORK/$1"
}

openlineage_start() {
	PYTHONPATH=$WORK/$1/site /usr/bin/python3 -c 'import openlineage.client.event_v2'
}

openlineage_env() {
	echo "ETL_TEST_OPENLINEAGE_SITE=$WORK/$1/site"
}
