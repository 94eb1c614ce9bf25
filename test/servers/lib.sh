# shellcheck shell=bash
# Private servers for the demo and the tests: a PostgreSQL installation of its own with etl_ext in it, PostgreSQL
# servers and a MariaDB server, all below one work directory. Sourced by demo/run.sh and test/run.sh, which set
#   ROOT  the checkout, only ever read
#   WORK  the work directory: nothing is written anywhere else
# Every server NAME lives in $WORK/NAME: data/, server.log, port, secret; its socket is in that directory too.

WORK=$(realpath -m "$WORK")
PG_MAJOR=15
PG_LIBDIR=/usr/lib/postgresql/$PG_MAJOR
PG_SHAREDIR=/usr/share/postgresql/$PG_MAJOR
PGBIN=$WORK/pg$PG_LIBDIR/bin
# What takes long to fetch or to build stays here for the next time.
CACHE=${XDG_CACHE_HOME:-${HOME:-$WORK}/.cache}/etl_ext_test
# Longest path of a unix socket that the kernel takes, less the name that the servers add.
MAX_WORK_LENGTH=75

RUN_PACKAGES=(gcc libc6-dev make "postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" "postgresql-$PG_MAJOR-cron"
	"postgresql-$PG_MAJOR-mysql-fdw" libpq-dev libmariadb-dev libcurl4-openssl-dev librdkafka-dev libzstd-dev zlib1g-dev
	mariadb-server-core mariadb-client-core)
# shellcheck disable=SC2034 # read by test/run.sh
TEST_PACKAGES=("${RUN_PACKAGES[@]}" "postgresql-$PG_MAJOR-pgtap" libipc-run-perl
	libtap-parser-sourcehandler-pgtap-perl clang clang-format universal-ctags shellcheck binutils git
	zstd)

# Settings of the caller's own servers must not leak into these.
unset PGHOST PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGOPTIONS PGSSLMODE PGTZ PGDATESTYLE

say() {
	printf '%s\n' "$*"
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# seconds_since prints the seconds from START (a value of $EPOCHREALTIME) to now.
seconds_since() {
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# ---- packages ------------------------------------------------------------------------------------------------------

missing_packages() {
	local package
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s ' "$package"
	done
}

# apt_get runs apt-get as root, by sudo where needed, and keeps what it prints in $WORK/packages.log.
apt_get() {
	local -a as_root=()
	[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" \
		>>"$WORK/packages.log" 2>&1 </dev/null
}

# install_packages_quietly keeps Debian from making and starting a cluster that nobody asked for.
install_packages_quietly() {
	local conf=/etc/postgresql-common/createcluster.conf
	local -a as_root=()
	[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
	if dpkg-query -W "postgresql-$PG_MAJOR" >/dev/null 2>&1; then
		apt_get install -y --no-install-recommends "$@"
		return
	fi
	apt_get install -y --no-install-recommends postgresql-common || return
	"${as_root[@]}" cp -p $conf $conf.etl_ext || return
	echo 'create_main_cluster = false' | "${as_root[@]}" tee -a $conf >/dev/null
	local status=0
	apt_get install -y --no-install-recommends "$@" || status=$?
	"${as_root[@]}" mv $conf.etl_ext $conf
	return $status
}

# install_packages installs those of the named Debian packages that are missing.
install_packages() {
	local missing line
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	line="apt-get install -y --no-install-recommends $missing"
	command -v apt-get >/dev/null || die "these Debian packages are missing, and there is no apt-get: $missing"
	if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
		die "these packages are missing: $missing
Run this as root, then try again:
  $line"
	fi
	apt_get update || true
	# shellcheck disable=SC2086 # one word per package
	if ! install_packages_quietly $missing; then
		tail -n 20 "$WORK/packages.log" >&2
		die "could not install packages; the command was: $line"
	fi
}

# ---- the unprivileged user -------------------------------------------------------------------------------------------

# run_user prints who the servers run as: you, or postgres when you are root, because servers refuse root.
run_user() {
	if [ "$(id -u)" -eq 0 ]; then
		echo postgres
	else
		id -un
	fi
}

# as_user runs a command as that user.
as_user() {
	if [ "$(id -u)" -eq 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# own gives paths to that user.
own() {
	if [ "$(id -u)" -eq 0 ]; then
		chown -R postgres "$@"
	fi
}

# make_work creates $WORK so that both you and that user can use it.
make_work() {
	[ ${#WORK} -le $MAX_WORK_LENGTH ] ||
		die "the work directory $WORK has more than $MAX_WORK_LENGTH characters; name a shorter one"
	mkdir -p "$WORK"
	[ -O "$WORK" ] || die "the work directory $WORK belongs to somebody else; name another one"
	chmod 755 "$WORK"
}

# make_cache creates $CACHE.
make_cache() {
	mkdir -p "$CACHE"
}

# ---- the installation ------------------------------------------------------------------------------------------------

# copy_tree copies the checkout, without what a build leaves behind, to a directory.
copy_tree() {
	mkdir -p "$1"
	tar -C "$ROOT" --exclude=./.git --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='*.bc' \
		--exclude=./results --exclude=./output_iso --exclude='./tmp_check*' -cf - . | tar -C "$1" -xf - --no-same-owner
}

# private_install copies PostgreSQL below $WORK/pg, builds etl_ext in $WORK/build and installs it into the copy. The
# binaries look for their libraries relative to themselves, so the copy is complete.
private_install() {
	as_user test -x "$WORK" || die "the user $(run_user) cannot enter $WORK; choose another directory"
	rm -rf "$WORK/pg" "$WORK/build"
	mkdir -p "$WORK/pg/usr/lib/postgresql" "$WORK/pg/usr/share/postgresql"
	cp -a "$PG_LIBDIR" "$WORK/pg/usr/lib/postgresql/"
	cp -a "$PG_SHAREDIR" "$WORK/pg/usr/share/postgresql/"
	copy_tree "$WORK/build"
	make -C "$WORK/build" -s -j"$(nproc)" PG_CONFIG="$PG_LIBDIR/bin/pg_config" >"$WORK/build.log" 2>&1 &&
		make -C "$WORK/build" -s install DESTDIR="$WORK/pg" PG_CONFIG="$PG_LIBDIR/bin/pg_config" \
			>>"$WORK/build.log" 2>&1
}

# fault_install puts another build into $WORK/faults, with the fault points of src/fault.h. Needs private_install.
fault_install() {
	mkdir -p "$WORK/faults"
	cp -a "$WORK/pg/." "$WORK/faults/"
	copy_tree "$WORK/build_faults"
	make -C "$WORK/build_faults" -s -j"$(nproc)" PG_CONFIG="$PG_LIBDIR/bin/pg_config" FAULTS=1 >"$WORK/build_faults.log" 2>&1 &&
		make -C "$WORK/build_faults" -s install DESTDIR="$WORK/faults" PG_CONFIG="$PG_LIBDIR/bin/pg_config" FAULTS=1 \
			>>"$WORK/build_faults.log" 2>&1
}

# ---- servers ---------------------------------------------------------------------------------------------------------

# free_port prints a TCP port of 127.0.0.1 that nobody listens on.
free_port() {
	perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1)
		or die "no free port: $!\n"; print $s->sockport, "\n"'
}

# new_secret prints a password.
new_secret() {
	od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

port_of() {
	cat "$WORK/$1/port"
}

secret_of() {
	cat "$WORK/$1/secret"
}

# make_server_dir makes $WORK/NAME. The servers trust whoever comes through the socket in there, so it is closed to all
# but the user that they run as.
make_server_dir() {
	local dir=$WORK/$1
	mkdir -p "$dir"
	new_secret >"$dir/secret"
	own "$dir"
	chmod 700 "$dir"
}

# make_certificate makes an authority of its own for server NAME, ca.pem, and by it a certificate for this machine,
# cert.pem and key.pem. The
# authority's key is thrown away.
make_certificate() {
	local dir=$WORK/$1
	(
		cd "$dir" || exit
		umask 077
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key -out ca.pem -days 30 \
			-subj '/CN=etl_ext test authority' -addext 'keyUsage=critical,keyCertSign,cRLSign' &&
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout key.pem -out cert.csr \
				-subj '/CN=localhost' &&
			openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out cert.pem \
				-extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1')
		status=$?
		rm -f ca.key ca.srl cert.csr
		exit $status
	) >"$dir/certificate.log" 2>&1 || die "no certificate for $1; the log is $dir/certificate.log"
	chmod 644 "$dir/ca.pem"
	own "$dir"
}

# with_free_port calls START NAME PORT with a free port, and again with another one when somebody was faster.
with_free_port() {
	local start=$1 name=$2 port try
	for try in 1 2 3; do
		port=$(free_port)
		if "$start" "$name" "$port"; then
			echo "$port" >"$WORK/$name/port"
			return 0
		fi
		[ "$try" -eq 3 ] || grep -qiE 'address already in use|could not bind' "$WORK/$name/server.log" || break
	done
	tail -n 20 "$WORK/$name/server.log" >&2
	die "server $name did not start; its log is $WORK/$name/server.log"
}

# pg_create makes a PostgreSQL server NAME with a database; more settings are read from standard input. Passwords are
# asked for over TCP, because postgres_fdw lets only superusers connect without one.
pg_create() {
	local name=$1 database=$2 dir=$WORK/$1
	make_server_dir "$name"
	(
		cd "$dir" || exit
		as_user "$PGBIN/initdb" -D "$dir/data" -U postgres -A trust --auth-host=scram-sha-256 --no-locale -E UTF8 \
			--no-sync >"$dir/initdb.log" 2>&1 </dev/null || {
			tail -n 20 "$dir/initdb.log" >&2
			die "initdb of $name failed"
		}
		# In single-user mode, so that the database is there before the first worker looks for it.
		[ "$database" = postgres ] || echo "CREATE DATABASE $database" |
			as_user "$PGBIN/postgres" --single -D "$dir/data" postgres >>"$dir/initdb.log" 2>&1
		cat >>"$dir/data/postgresql.conf"
	)
}

pg_start_on() {
	local dir=$WORK/$1
	(cd "$dir" && as_user "$PGBIN/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 -s \
		-o "-c port=$2 -c listen_addresses=127.0.0.1 -c unix_socket_directories='$dir'" start) >/dev/null 2>&1 </dev/null
}

pg_start() {
	with_free_port pg_start_on "$1"
}

# pg_psql runs psql on server NAME through its socket.
pg_psql() {
	local name=$1
	shift
	PGUSER=postgres PGHOST=$WORK/$name PGPORT=$(port_of "$name") "$PGBIN/psql" -X -q -v ON_ERROR_STOP=1 "$@"
}

# mariadb_create makes a MariaDB server NAME. Its administrator is the user that it runs as, through the socket only.
mariadb_create() {
	local name=$1 dir=$WORK/$1
	make_server_dir "$name"
	as_user mkdir "$dir/tmp"
	(cd "$dir" && as_user mariadb-install-db --no-defaults --datadir="$dir/data" --tmpdir="$dir/tmp" --skip-test-db \
		--auth-root-authentication-method=socket --auth-root-socket-user="$(run_user)" >"$dir/install.log" 2>&1) || {
		tail -n 20 "$dir/install.log" >&2
		die "mariadb-install-db of $name failed"
	}
}

mariadb_start_on() {
	local dir=$WORK/$1 waited=0
	local -a as=()
	[ "$(id -u)" -ne 0 ] || as=(runuser -u postgres --)
	: >"$dir/server.log"
	own "$dir/server.log"
	(
		cd "$dir" || exit
		setsid "${as[@]}" mariadbd --no-defaults --datadir="$dir/data" --tmpdir="$dir/tmp" --socket="$dir/mysqld.sock" \
			--pid-file="$dir/mariadb.pid" --bind-address=127.0.0.1 --port="$2" --log-error="$dir/server.log" \
			--skip-log-bin --innodb-buffer-pool-size=512M --innodb-log-file-size=512M \
			--innodb-flush-log-at-trx-commit=2 --character-set-server=utf8mb4 \
			--default-time-zone=+03:00 </dev/null >>"$dir/server.log" 2>&1 &
		echo $! >"$dir/launched"
	)
	# The socket answers when the server is ready; the process ends when it cannot start.
	until mariadb_sql "$1" -e 'SELECT 1' >/dev/null 2>&1; do
		kill -0 "$(cat "$dir/launched")" 2>/dev/null || return 1
		waited=$((waited + 1))
		[ $waited -lt 600 ] || return 1
		sleep 0.1
	done
}

mariadb_start() {
	with_free_port mariadb_start_on "$1"
}

# mariadb_sql runs the client on server NAME as its administrator; SQL comes from standard input or -e.
mariadb_sql() {
	local name=$1
	shift
	as_user mariadb --no-defaults -S "$WORK/$name/mysqld.sock" "$@"
}

# launch starts a server that has no way of its own into the background: in $WORK/NAME, as the unprivileged user, with the
# number of its process in server.pid. answers waits until COMMAND succeeds; false when the server ended instead.
launch() {
	local dir=$WORK/$1
	local -a as=()
	shift
	[ "$(id -u)" -ne 0 ] || as=(runuser -u postgres --)
	: >"$dir/server.log"
	own "$dir/server.log"
	(
		cd "$dir" || exit
		# shellcheck disable=SC2016 # the variables of the inner shell
		setsid "${as[@]}" sh -c 'echo $$ >server.pid; exec "$@"' sh "$@" </dev/null >>"$dir/server.log" 2>&1 &
		echo $! >"$dir/launched"
	)
}

answers() {
	local name=$1 waited=0
	shift
	until "$@" >/dev/null 2>&1; do
		kill -0 "$(cat "$WORK/$name/launched")" 2>/dev/null || return 1
		waited=$((waited + 1))
		[ $waited -lt 600 ] || return 1
		sleep 0.1
	done
	# Somebody else's server may have answered.
	kill -0 "$(cat "$WORK/$name/launched")" 2>/dev/null
}

# stop_process asks a server to end, waits, and kills it when it does not. Only a process whose directory is below $WORK
# is touched: the number in an old pid file may be somebody else's by now.
stop_process() {
	local pid=$1 signal=$2 waited=0
	case "$(readlink "/proc/$pid/cwd" 2>/dev/null)" in
		"$WORK"/*) ;;
		*) return 0 ;;
	esac
	kill -s "$signal" "$pid" 2>/dev/null || return 0
	while kill -0 "$pid" 2>/dev/null; do
		waited=$((waited + 1))
		[ $waited -ne 300 ] || kill -s QUIT "$pid" 2>/dev/null || true
		[ $waited -lt 400 ] || { kill -s KILL "$pid" 2>/dev/null || true; break; }
		sleep 0.1
	done
}

# stop_servers stops every server below $WORK, those that a test forgot included.
stop_servers() {
	local file
	[ -d "$WORK" ] || return 0
	find "$WORK" -name postmaster.pid -print 2>/dev/null | while read -r file; do
		stop_process "$(head -n 1 "$file")" INT
	done
	find "$WORK" \( -name mariadb.pid -o -name server.pid \) -print 2>/dev/null | while read -r file; do
		stop_process "$(cat "$file")" TERM
	done
}
