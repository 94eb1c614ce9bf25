# shellcheck shell=bash
# A private S3 server for the demo and the tests: versitygw on a directory. It verifies signatures, so a request that is
# signed wrongly is refused as it is by the real one. Sourced after lib.sh.
#   $WORK/NAME/bin/s3    the client test/servers/s3.pl with the server's address and keys

S3_VERSION=v1.8.0
S3_REGION=eu-test-1
# What the server is compiled with when the machine's Go is too old to fetch it by itself.
S3_GO=go1.25.0

# s3_packages prints the Debian packages that the server still needs: none when it is in the cache.
s3_packages() {
	[ -x "$(s3_cached)" ] || command -v go >/dev/null || echo golang-go ca-certificates
}

s3_cached() {
	echo "$CACHE/versitygw-$S3_VERSION"
}

# s3_toolchain prints the command of a Go that is recent enough. Since 1.21 "go install" fetches what a program asks for;
# an older one, such as Debian's, gets the same module here: a toolchain is a module like others, only that no file of
# it may be executed.
s3_toolchain() {
	local dir
	case $(go env GOVERSION) in
		go1.?|go1.1?|go1.20|go1.?.*|go1.1?.*|go1.20.*) ;;
		*)
			echo go
			return
			;;
	esac
	dir=golang.org/toolchain@v0.0.1-$S3_GO.linux-$(dpkg --print-architecture)
	go mod download -json "$dir" >/dev/null || return
	dir=$(go env GOMODCACHE)/$dir
	chmod -R u+x "$dir/bin" "$dir/pkg/tool" || return
	echo "$dir/bin/go"
}

# s3_build compiles the server into the cache. What Go fetches and builds on the way, 1 GB, is not kept.
s3_build() {
	local build status=0
	build=$(mktemp -d "$CACHE/build.XXXXXX")
	(
		export GOPATH=$build/path GOCACHE=$build/cache GOBIN=$build/bin GOFLAGS=-modcacherw GOTOOLCHAIN=auto
		go=$(s3_toolchain) || exit
		"$go" install -ldflags '-s -w' "github.com/versity/versitygw/cmd/versitygw@$S3_VERSION" || exit
		mv "$build/bin/versitygw" "$(s3_cached)"
	) >"$WORK/s3_build.log" 2>&1 </dev/null || status=$?
	rm -rf "$build"
	return $status
}

# s3_install makes the server available.
s3_install() {
	make_cache
	[ -x "$(s3_cached)" ] || s3_build || die "versitygw could not be built: $(tail -n 1 "$WORK/s3_build.log")"
}

# s3_create makes an S3 server NAME.
s3_create() {
	local name=$1 dir=$WORK/$1
	make_server_dir "$name"
	new_secret | cut -c 1-20 >"$dir/access_key"
	mkdir "$dir/data" "$dir/meta" "$dir/bin"
	cp "$(s3_cached)" "$dir/versitygw"
	cp "$ROOT/test/servers/s3.pl" "$dir/s3.pl"
	cat >"$dir/bin/s3" <<-'SH'
		#!/bin/sh
		dir=$(dirname "$(dirname "$(realpath "$0")")")
		. "$dir/env"
		exec perl "$dir/s3.pl" "$@"
	SH
	chmod 755 "$dir/bin/s3"
	own "$dir"
}

# s3_start_on writes the address first, because the client looks for it there. Metadata lie in files of their own:
# not every file system keeps them as attributes.
s3_start_on() {
	local dir=$WORK/$1 port=$2
	s3_env "$1" "$port" | sed 's/^/export /' >"$dir/env"
	own "$dir/env"
	ROOT_ACCESS_KEY=$(cat "$dir/access_key") ROOT_SECRET_KEY=$(secret_of "$1") \
		launch "$1" "$dir/versitygw" --port "127.0.0.1:$port" --region "$S3_REGION" --keep-alive \
		--virtual-domain "localhost:$port" posix --sidecar "$dir/meta" "$dir/data"
	answers "$1" "$dir/bin/s3" ls
}

s3_start() {
	with_free_port s3_start_on "$1"
}

# s3_env prints the variables by which the tests find server NAME.
s3_env() {
	local dir=$WORK/$1
	cat <<-ENV
		ETL_TEST_S3_ENDPOINT=http://127.0.0.1:${2-$(port_of "$1")}
		ETL_TEST_S3_ACCESS_KEY=$(cat "$dir/access_key")
		ETL_TEST_S3_SECRET_KEY=$(secret_of "$1")
		ETL_TEST_S3_REGION=$S3_REGION
		ETL_TEST_S3_BIN=$dir/bin
	ENV
}

# s3_bucket makes a bucket, s3_put stores a file in it.
s3_bucket() {
	"$WORK/$1/bin/s3" mb "$2"
}

s3_put() {
	"$WORK/$1/bin/s3" put "$2" "$3" "$4"
}
