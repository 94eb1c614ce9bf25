# shellcheck shell=bash
# A browser for the tests of the report page: Debian's Chromium, driven by puppeteer-core, with axe-core, which looks at
# accessibility, and Mermaid, which draws what etl.graph writes; and Graphviz. Sourced after lib.sh. The modules of npm stay in the
# cache; nothing of theirs is executed when they are installed.

PUPPETEER_VERSION=24.43.1
AXE_VERSION=4.14.1
MERMAID_VERSION=11.17.2

# browser_modules prints the directory of the modules in the cache.
browser_modules() {
	echo "$CACHE/browser-$PUPPETEER_VERSION-$AXE_VERSION-$MERMAID_VERSION"
}

# browser_packages prints the Debian packages that are needed: those of Node only where there is none.
browser_packages() {
	echo chromium graphviz fonts-dejavu-core
	command -v node >/dev/null || echo nodejs
	[ -d "$(browser_modules)" ] || command -v npm >/dev/null || echo npm ca-certificates
}

# browser_fetch fills the cache. Of Mermaid, one file is needed.
browser_fetch() {
	local build status=0
	build=$(mktemp -d "$CACHE/build.XXXXXX")
	(
		cd "$build" || exit
		npm install --ignore-scripts --no-audit --no-fund --omit=optional "puppeteer-core@$PUPPETEER_VERSION" \
			"axe-core@$AXE_VERSION" || exit
		npm pack "mermaid@$MERMAID_VERSION" || exit
		tar -xzf mermaid-*.tgz package/dist/mermaid.min.js || exit
		mv package/dist/mermaid.min.js node_modules/ || exit
		mkdir browser && mv node_modules browser/ && chmod -R a+rX browser || exit
		mv browser "$(browser_modules)"
	) >"$WORK/browser_fetch.log" 2>&1 </dev/null || status=$?
	rm -rf "$build"
	return $status
}

# browser_install makes all of it available, in a place that the user of the tests can read. A machine without it fails: a page
# that nobody has looked at is not tested.
browser_install() {
	# shellcheck disable=SC2046 # one word per package
	install_packages $(browser_packages)
	make_cache
	[ -d "$(browser_modules)" ] || browser_fetch || die "npm failed: $(tail -n 1 "$WORK/browser_fetch.log")"
	[ -d "$WORK/browser" ] || cp -r "$(browser_modules)" "$WORK/browser"
	own "$WORK/browser"
}

# browser_env prints the variables by which the test finds it.
browser_env() {
	cat <<-ENV
		ETL_TEST_BROWSER=$(command -v chromium)
		ETL_TEST_BROWSER_MODULES=$WORK/browser/node_modules
	ENV
}
