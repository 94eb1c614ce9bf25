#!/usr/bin/env bash
# Rules that a compiler does not know. One line per rule: "ok - ..." or "not ok - ..." with what breaks it below.
#   scripts/lint.sh [etl_ext.so]    the library, when given, is looked at for exported symbols
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
LIBRARY=${1-}
# Every exact host that a file may name in a URL, besides addresses of this machine and example names.
HOSTS='([a-z0-9-]+\.)*(postgresql\.org|pgxn\.org|mariadb\.(com|org)|github\.com|openlineage\.io|semver\.org|keepachangelog\.com)'
HOSTS="($HOSTS|([a-z0-9-]+\.)*amazonaws\.com|localhost|127\.0\.0\.1|([a-z0-9-]+\.)*example(\.(com|org|net))?|[a-z]+-(db|api))"
failures=0

# check NAME FUNCTION: the function prints what is wrong; lines that start with "warning:" do not count.
check() {
	local found wrong
	found=$("$2" 2>&1) || true
	wrong=$(grep -v '^warning:' <<<"$found" | head -n 40 || true)
	if [ -n "$wrong" ]; then
		failures=$((failures + 1))
		printf 'not ok - %s\n' "$1"
	else
		printf 'ok - %s\n' "$1"
	fi
	[ -z "$found" ] || head -n 40 <<<"$found" | sed 's/^/#   /'
}

skip() {
	printf 'ok - %s # SKIP %s\n' "$1" "$2"
}

# files prints the project's files, new ones included, that match the patterns.
files() {
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
			[ ! -f "$file" ] || printf '%s\n' "$file"
		done | sort -u
	else
		find . -type f \( -path ./.git -prune -o -print \) | sed 's,^\./,,' | while read -r file; do
			local pattern
			for pattern in "$@"; do
				# shellcheck disable=SC2053 # a pattern, on purpose
				[[ $file != $pattern ]] || { printf '%s\n' "$file"; break; }
			done
		done | sort -u
	fi
}

sources() {
	files 'src/*.c' 'src/*.h'
}

text_files() {
	files '*.c' '*.h' '*.sql' '*.md' '*.sh' '*.pl' '*.pm' '*.py' '*.json' '*.control' '*.conf' '*.spec' '*.out' \
		'Makefile' '.ci/run' '.editorconfig' '.clang-format' 'LICENSE'
}

format() {
	sources | while read -r file; do
		clang-format --style=file --dry-run -Werror --ferror-limit=1 "$file" >/dev/null 2>&1 ||
			echo "$file: run clang-format -i --style=file on it"
	done
}

# file_sizes: .c 600 lines warn and 900 fail, .h 150 warn.
file_sizes() {
	sources | while read -r file; do
		lines=$(wc -l <"$file")
		case $file in
			*.h) [ "$lines" -le 150 ] || echo "warning: $file has $lines lines, more than 150" ;;
			*) if [ "$lines" -gt 900 ]; then
				echo "$file has $lines lines, more than 900"
			elif [ "$lines" -gt 600 ]; then
				echo "warning: $file has $lines lines, more than 600"
			fi ;;
		esac
	done
}

# function_lengths: 80 lines warn, 120 fail.
function_lengths() {
	sources | xargs -r ctags -x --c-kinds=f --fields=+ne --_xformat='%{end} %n %F %N' 2>/dev/null | awk '
		{ lines = $1 - $2 + 1 }
		lines > 120 { printf "%s:%d: %s has %d lines, more than 120\n", $3, $2, $4, lines; next }
		lines > 80 { printf "warning: %s:%d: %s has %d lines, more than 80\n", $3, $2, $4, lines }'
}

# error_codes reads each ereport(ERROR|FATAL|PANIC, ...) to its closing parenthesis.
error_codes() {
	# shellcheck disable=SC2016 # perl's variables
	sources | xargs -r perl -0777 -ne '
		while (/\bereport\s*(\((?:[^()"\x27]|"(?:\\.|[^"\\])*"|\x27(?:\\.|[^\x27\\])*\x27|(?1))*\))/g) {
			my ($call, $line) = ($1, 1 + (substr($_, 0, $-[0]) =~ tr/\n//));
			next unless $call =~ /^\(\s*(ERROR|FATAL|PANIC)\s*,/;
			print "$ARGV:$line: ereport without errcode\n" unless $call =~ /\berrcode(_for_\w+)?\s*\(/;
		}'
}

# report_levels: ereport(ERRCODE_..., ...) passes the code as the level and takes the server down.
report_levels() {
	sources | xargs -r grep -nE '\b(ereport|elog)\(\s*(ERRCODE|errcode|MAKE_SQLSTATE)' || true
}

version_conditions() {
	sources | grep -vx 'src/compat.h' | xargs -r grep -n 'PG_VERSION_NUM' || true
}

exported_symbols() {
	nm -D --defined-only "$LIBRARY" | awk '{ print $NF }' |
		grep -vE '^(etl_[a-z0-9_]+|_PG_init|Pg_magic_func|pg_finfo_etl_[a-z0-9_]+|_init|_fini)$' || true
}

fault_points() {
	{ strings "$LIBRARY"; nm "$LIBRARY" 2>/dev/null; } | grep -iE 'etl.fault' || true
}

control_version() {
	sed -n "s/^default_version *= *'\(.*\)'/\1/p" etl_ext.control
}

one_version() {
	local version
	version=$(control_version)
	[ -n "$version" ] || echo "etl_ext.control has no default_version"
	perl -MJSON::PP -0777 -e '
		my ($meta, $version) = (decode_json(<STDIN>), $ARGV[0]);
		for (["version", $meta->{version}], ["provides.etl_ext.version", $meta->{provides}{etl_ext}{version}]) {
			print "META.json: $_->[0] is $_->[1], etl_ext.control says $version\n" if $_->[1] ne $version;
		}' "$version" <META.json
	[ "$(sed -n 's/^## \[*\([0-9][^] ]*\).*/\1/p' CHANGELOG.md | head -n 1)" = "$version" ] ||
		echo "CHANGELOG.md: the top entry is not $version"
}

# meta_complete: what the PGXN meta specification 1.0.0 requires.
meta_complete() {
	perl -MJSON::PP -0777 -e '
		my $meta = decode_json(<STDIN>);
		for (qw(name version abstract maintainer license provides meta-spec)) {
			print "META.json: $_ is missing\n" unless defined $meta->{$_};
		}
		print "META.json: name differs\n" unless $meta->{name} eq "etl_ext";
		print "META.json: meta-spec is not 1.0.0\n" unless $meta->{"meta-spec"}{version} eq "1.0.0";
		for (values %{$meta->{provides}}) {
			print "META.json: provides needs file and version\n" unless $_->{file} && $_->{version};
		}' <META.json
}

unfinished() {
	text_files | grep -vx 'scripts/lint.sh' | xargs -r grep -nwE 'TODO|FIXME|XXX' || true
}

shell_scripts() {
	{
		files '*.sh'
		echo .ci/run
	} | xargs -r shellcheck -x -S style 2>&1 || true
}

# machine_paths: nothing may depend on, or tell of, the machine that it was written on.
machine_paths() {
	text_files | xargs -r grep -nE '(^|[^A-Za-z0-9_$}.*-])/(home|root|Users|work)/[A-Za-z0-9_.]' || true
}

hosts() {
	text_files | xargs -r grep -noE 'https?://[A-Za-z0-9.-]+' |
		grep -vE "https?://$HOSTS\$" || true
}

sql_comments_end() {
	files 'sql/install/*.sql' | xargs -r grep -nE '^COMMENT ON .* IS' | grep -vE "[.?']';$" | grep -E "';$" || true
}

white_space() {
	text_files | grep -vE '\.(out|md)$' | xargs -r grep -nE '[[:space:]]+$' || true
	text_files | while read -r file; do
		[ ! -s "$file" ] || [ -z "$(tail -c 1 "$file")" ] || echo "$file does not end with a newline"
	done
}

check 'C sources are formatted as .clang-format says' format
check 'no C file is too long' file_sizes
check 'no function is too long' function_lengths
check 'every ereport(ERROR) has an errcode' error_codes
check 'no error code is passed as a level' report_levels
check 'PG_VERSION_NUM is read in src/compat.h only' version_conditions
if [ -n "$LIBRARY" ]; then
	check 'every exported symbol has the prefix etl_' exported_symbols
	check 'the library has no fault points' fault_points
else
	skip 'every exported symbol has the prefix etl_' 'no library given'
	skip 'the library has no fault points' 'no library given'
fi
check 'one version in control file, META.json and CHANGELOG.md' one_version
check 'META.json is complete' meta_complete
check 'nothing is marked as unfinished' unfinished
if command -v shellcheck >/dev/null; then
	check 'shellcheck finds nothing' shell_scripts
else
	skip 'shellcheck finds nothing' 'shellcheck is not installed'
fi
check 'no path of a particular machine' machine_paths
check 'no host that is not in the list of hosts' hosts
check 'comments of database objects are full sentences' sql_comments_end
check 'no white space at the end of a line' white_space

[ $failures -eq 0 ]
