# Files on a disk: formats, encodings and compression; each version once, and what becomes of changed and bad files.
use strict;
use warnings;
use IO::Compress::Gzip qw(gzip $GzipError);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->start;
my $root = PostgreSQL::Test::Utils::tempdir;
my $outside = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', qq{
CREATE EXTENSION etl_ext;
CREATE ROLE loader LOGIN;
GRANT USAGE ON SCHEMA etl TO loader;
GRANT CREATE ON DATABASE postgres TO loader;
CREATE SERVER disk FOREIGN DATA WRAPPER etl_file OPTIONS (root '$root');
GRANT USAGE ON FOREIGN SERVER disk TO loader;
CREATE SCHEMA f;
SELECT etl.create_pipeline('p');
});

# put writes a file below root, byte by byte.
sub put
{
	my ($path, $bytes) = @_;
	my $dir = "$root/$path";
	$dir =~ s{/[^/]*$}{};
	system('mkdir', '-p', $dir) unless -d $dir;
	open(my $file, '>:raw', "$root/$path.new") or die "$path: $!";
	print $file $bytes;
	close($file) or die "$path: $!";
	rename("$root/$path.new", "$root/$path") or die "$path: $!";
	return;
}

# packed returns bytes as gzip.
sub packed
{
	my ($bytes) = @_;
	gzip(\$bytes => \my $out) or die $GzipError;
	return $out;
}

# sql returns what statements say; run_inline runs one task in the session.
sub sql { return $node->safe_psql('postgres', "SET client_min_messages = warning; $_[0]"); }
sub run_inline { return sql("SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{$_[0]}')"); }

# refused returns SQLSTATE, message, detail, hint and context of a statement that must fail.
sub refused
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', "\\set VERBOSITY verbose\nSET client_min_messages = warning;\n$statement", stdout => \$out, stderr => \$err);
	return $status == 0 ? "no error: $out" : $err;
}

# extract makes a foreign table and an extract of the same name from it.
sub extract
{
	my ($name, $columns, $options, $more) = @_;
	sql("CREATE FOREIGN TABLE f.$name ($columns) SERVER disk OPTIONS ($options); SELECT etl.add_extract('p', '$name', source => 'f.$name', target => 'raw.$name'" . ($more ? ", $more" : '') . ')');
	return;
}

# ---- formats ---------------------------------------------------------------------------------------------------------

put('csv/date=2024-01-15/a.csv', "\xef\xbb\xbfname,id,colour,amount\n\"Smith, \"\"J\"\"\",1,red,1.5\n\"two\nlines\",2,,\n\"\",3,\"\",7\n");
put('csv/date=2024-01-16/b.csv.gz', packed("id,name,amount\n4,gz,2\n") . packed("5,second member,3\n"));
put('csv/date=2024-01-16/empty.csv', '');
put('csv/date=2024-01-16/only_header.csv', "id,name,amount\n");
put('csv/date=2024-01-16/left_out.txt', "id\n99\n");
put('csv/left_out.csv', "id\n99\n");
extract('csv', 'id int, name text, amount numeric, _file text, _line bigint, _size bigint, _modified timestamptz', "prefix 'csv/', pattern 'date=*/*.csv*'");
run_inline('csv');
is(sql(q{SELECT string_agg(format('%s|%s|%s|%s|%s', id, name, amount, _file, _line), E'\n' ORDER BY id) FROM raw.csv}), <<'OUT' =~ s/\n$//r, 'CSV: header in any order, quotes, lines within quotes, NULL and empty, gzip with two members');
1|Smith, "J"|1.5|csv/date=2024-01-15/a.csv|2
2|two
lines||csv/date=2024-01-15/a.csv|3
3||7|csv/date=2024-01-15/a.csv|5
4|gz|2|csv/date=2024-01-16/b.csv.gz|2
5|second member|3|csv/date=2024-01-16/b.csv.gz|3
OUT
is(sql('SELECT name IS NULL, _etl_extra FROM raw.csv WHERE id = 3'), 'f|{"colour": ""}', 'a quoted empty field is no NULL; a column that the table lacks is kept');
is(sql('SELECT count(*) FROM raw.csv WHERE _size > 0 AND _modified IS NOT NULL'), '5', 'size and time of the file');
is(sql(q{SELECT string_agg(format('%s %s %s', path, state, records), ', ' ORDER BY path) FROM etl.file_ledger}),
	'csv/date=2024-01-15/a.csv loaded 3, csv/date=2024-01-16/b.csv.gz loaded 2, csv/date=2024-01-16/empty.csv loaded 0, csv/date=2024-01-16/only_header.csv loaded 0', 'the ledger has what was read');
run_inline('csv');
is(sql('SELECT count(*) FROM raw.csv'), '5', 'nothing is read twice');
put('csv/date=2024-01-17/c.csv', "id,name,amount\r\n6,new,1\r\n");
run_inline('csv');
is(sql('SELECT count(*) FROM raw.csv'), '6', 'a new file is, with other ends of lines');
is(sql('SELECT count(*) FROM f.csv'), '6', 'a SELECT reads all files');
is(sql('SELECT count(*) FROM f.csv WHERE amount > 2'), '2', 'with conditions');

put('plain.csv', "1;'it''s';NA\n2;x;5\n");
extract('plain', 'id int, name text, n int', q{prefix 'plain.csv', header 'none', delimiter ';', quote '''', "null" 'NA'});
run_inline('plain');
is(sql('SELECT string_agg(r::text, \' \' ORDER BY id) FROM (SELECT id, name, n FROM raw.plain) AS r'), q{(1,it's,) (2,x,5)}, 'no header, other characters');
put('skip.csv', "a,b\n1,x\n");
extract('skip', 'id int, name text', "prefix 'skip.csv', header 'skip'");
run_inline('skip');
is(sql('SELECT id, name FROM raw.skip'), '1|x', 'a header that is passed over');
put('tab.csv', "id\tname\n1\t\"a\\\"b\"\n");
extract('tab', 'id int, name text', q{prefix 'tab.csv', delimiter '\t', escape '\\'});
run_inline('tab');
is(sql('SELECT id, name FROM raw.tab'), '1|a"b', 'tabs, and an escape that is no quote');

# Plain numbers and times do not go through the input function: they become what it makes of them, and all else goes through it.
my $seed = $ENV{ETL_TEST_SEED} // int(rand(1_000_000));
srand($seed);
diag("seed $seed");
my $one_of = sub { return $_[int(rand(@_))] };
my %text = map { $_ => 1 } ('0', '-0', '+0', '007', '+12', '- 5', ' 5', '5 ', '5x', '1e3', '1.0', '0x10', '', '-', '+', '--1', 32767, 32768, -32768, -32769, 2147483647, 2147483648, -2147483648, -2147483649,
	'9223372036854775807', '9223372036854775808', '-9223372036854775808', '-9223372036854775809', '999999999999999999', '1000000000000000000', '000000000000000000001', 'infinity', '-infinity', 'now x', '0000-01-01', '0001-01-01', '9999-12-31', '2024-1-5', '20240115', '2024-01-15 BC', '10000-01-01');
$text{ $one_of->('2024-02-29', '2023-02-29', '1900-02-29', '2000-02-29', '2024-04-31', '2024-13-01', '2024-00-10', '2024-01-00', sprintf('%04d-%02d-%02d', 1 + rand 9999, 1 + rand 12, 1 + rand 31))
	  . $one_of->('', ' ', 'T', ' ', 'T', 'x', '  ')
	  . $one_of->('', '10:00', '24:00:00', '23:59:60', '25:00:00', '12:60:00', '1:02:03', map { sprintf('%02d:%02d:%02d', rand 24, rand 60, rand 60) } 1 .. 8)
	  . $one_of->('', '', '.', '.5', '.123456', '.1234567', '.9999995', ',5')
	  . $one_of->('', '', 'Z', 'z', '+00', '-00', '+02', '-03:30', '+14', '-14:59', '+15', '+15:59', '+16', '+5', '+0530', ' +02', '+02:60', ' UTC', ' America/New_York', '+', '+02:', '+02:00:01')
	  . $one_of->('', '', '', '', ' ', ' AD') } = 1
  for 1 .. 4000;
my @text = sort keys %text;
put('fast.csv', "t,v\n" . join('', map { qq("$_","$_"\n) } @text));
extract('fast_all', 't text, v text', "prefix 'fast.csv'");
run_inline('fast_all');
is(sql('SELECT count(*) FROM raw.fast_all'), scalar(@text), 'plain numbers and times, and others that are not so plain');
for my $type ('smallint', 'integer', 'bigint', 'date', 'timestamp', 'timestamptz')
{
	extract("fast_$type", "t text, v $type", "prefix 'fast.csv'", "on_error => 'skip_row'");
	run_inline("fast_$type");
	is(sql(qq{SET TimeZone = 'UTC';
CREATE FUNCTION pg_temp.cast_it(t text) RETURNS $type LANGUAGE plpgsql AS \$\$BEGIN RETURN t::$type; EXCEPTION WHEN data_exception THEN RETURN NULL; END\$\$;
SELECT string_agg(format('"%s": %s instead of %s', t, r.v, pg_temp.cast_it(t)), E'\n') FROM raw.fast_all LEFT JOIN raw.fast_$type AS r USING (t) WHERE r.v IS DISTINCT FROM pg_temp.cast_it(t)}),
		'', "$type: what is read is what the input function gives");
}

put('latin.csv', "id,name\n1,caf\xe9\n");
extract('latin', 'id int, name text', "prefix 'latin.csv', encoding 'LATIN1'");
run_inline('latin');
is(sql(q{SELECT name = U&'caf\00e9' FROM raw.latin}), 't', 'LATIN1');

# What would end COPY: \0, and a line that it takes for the end of the data, in the middle and last.
put('end.csv', "id,v\n1,a\n\\.\n2,x\0y\n3,c\n\\.\n");
extract('end', 'id int, v text, _line bigint', "prefix 'end.csv'", "on_error => 'skip_row'");
run_inline('end');
is(sql(q{SELECT string_agg(concat_ws('|', id, v, _line), ' ' ORDER BY id) FROM raw."end"}), '1|a|2 3|c|5', 'neither \0 nor a line "\." ends a file');
is(sql(q{SELECT string_agg(concat_ws('|', position, error_sqlstate, reason), ', ' ORDER BY position) FROM etl.quarantine WHERE target = 'raw."end"'}),
	'3|22P04|the record has 1 fields instead of 2, 4|22021|invalid bytes for encoding "UTF8": 0x00 0x79, 6|22P04|the record has 1 fields instead of 2', 'they are bad records');
put('end1.csv', "v\r\n\\.\r\na\r\n\\.\r\n");
extract('end1', 'v text, _line bigint', "prefix 'end1.csv'");
run_inline('end1');
is(sql(q{SELECT string_agg(v || _line, ' ' ORDER BY _line) FROM raw.end1}), '\\.2 a3 \\.4', 'or a value, where there is one column');
put('sjis.csv', "id,v\n1,\x83\x5c\x83\x6e\n2,\x95\x5c\n");
extract('sjis', 'id int, v text', "prefix 'sjis.csv', encoding 'SJIS'");
run_inline('sjis');
is(sql(q{SELECT v = U&'\30BD\30CF' FROM raw.sjis WHERE id = 1}), 't', 'an encoding whose characters have bytes of ASCII');
put('sjis.csv', "id,v\n1,x\n\\.\n2,y\n");
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{sjis}')}), qr/22P04: .*a line consists of "\\\." only/s, 'there such a line is refused');

put('lines.ndjson.gz', packed(qq({"id": 1, "tags": ["a", "b"]}\n\n{"id": 2, "more": 1}\r\n{"id": 3})));
extract('lines', 'id int, tags text[]', "prefix 'lines.', format 'ndjson'");
run_inline('lines');
is(sql('SELECT string_agg(concat_ws(\'|\', id, tags, _etl_extra), \' \' ORDER BY id) FROM raw.lines'), '1|{a,b} 2|{"more": 1} 3', 'NDJSON, with an empty line, CRLF, and no end of the last line');

SKIP:
{
	skip 'zstd is not installed', 1 if system('sh', '-c', 'command -v zstd >/dev/null') != 0;
	put('z.csv', "id\n" . join("\n", 1 .. 1000) . "\n");
	system('zstd', '-q', '--rm', "$root/z.csv", '-o', "$root/z.csv.zst") == 0 or die 'zstd';
	extract('z', 'id int', "prefix 'z.csv'");
	run_inline('z');
	is(sql('SELECT count(*), sum(id) FROM raw.z'), '1000|500500', 'zstd');
}

# Names: a character of several bytes is one, and what is no text is refused.
put("n/\xc3\xa4.csv", "id\n1\n");
put('n/dir.csv/x.csv', "id\n2\n");
put('n/dir/x.csv', "id\n3\n");
put('n/dir-1/x.csv', "id\n4\n");
sql(q{CREATE FOREIGN TABLE f.names (id int, _file text) SERVER disk OPTIONS (prefix 'n/', pattern '?.csv')});
is(sql('SELECT id FROM f.names'), '1', '"?" is one character');
sql(q{ALTER FOREIGN TABLE f.names OPTIONS (SET pattern '**x.csv')});
is(sql('SELECT string_agg(_file, \' \') FROM f.names'), 'n/dir-1/x.csv n/dir.csv/x.csv n/dir/x.csv', 'files come in the order of their paths');
put("n/bad\xff.csv", "id\n5\n");
is(sql('SELECT count(*) FROM f.names'), '3', 'a name that is no text does not matter where it is left out');
sql(q{ALTER FOREIGN TABLE f.names OPTIONS (SET pattern '**')});
like(refused('SELECT * FROM f.names'), qr/22021: .*name of file "n\/bad\\xff\.csv" is no text.*prefix or pattern/s, 'and is refused otherwise');

# ---- many and large --------------------------------------------------------------------------------------------------

put(sprintf('many/%02d/%04d.csv', $_ % 7, $_), "id\n$_\n") for 1 .. 2300;
extract('many', 'id int', "prefix 'many/'");
sql(q{SELECT etl.run_pipeline('p', tasks => '{many}')});
is(sql('SELECT count(DISTINCT id), count(*) FROM raw.many'), '2300|2300', '2300 small files, more than a part of the list');
cmp_ok(sql(q{SELECT count(*) FROM etl.batch WHERE target = 'raw.many'}), '<=', 4, 'are few batches');

put('large.csv', "id,note\n" . join('', map { "$_," . ('x' x 100) . "\n" } 1 .. 400_000));
extract('large', 'id int, note text', "prefix 'large.csv'", 'chunk_rows => 50000');
sql(q{SELECT etl.run_pipeline('p', tasks => '{large}')});
is(sql('SELECT count(*), count(DISTINCT id), sum(id) FROM raw.large'), '400000|400000|80000200000', 'a file of more than two pieces');
cmp_ok(sql(q{SELECT count(*) FROM etl.batch WHERE target = 'raw.large'}), '>=', 8, 'in chunks');

# An executor that is ended in the middle, several times: the next attempt goes on behind what is committed.
put('kill.csv', "id\n" . join("\n", 1 .. 2_000_000) . "\n");
extract('kill', 'id int', "prefix 'kill.csv'", q{chunk_rows => 20000, retry_delays => '{10 ms,10 ms,10 ms,10 ms,10 ms,10 ms}'});
my $run = sql(q{SELECT etl.run_pipeline('p', tasks => '{kill}', wait => false)});
my $killed = 0;
for my $records (100_000, 500_000, 900_000)
{
	ok($node->poll_query_until('postgres', "SELECT coalesce(max(records), 0) >= $records FROM etl.file_ledger WHERE path = 'kill.csv'"), "$records records are committed");
	$killed += sql(q{SELECT count(pg_terminate_backend(worker_pid)) FROM etl.task_run WHERE task = 'kill' AND state = 'running' AND worker_pid IS NOT NULL});
}
is(sql("SELECT etl.wait_for_run($run)"), 'success', 'the run succeeds');
cmp_ok(sql(q{SELECT count(*) FROM etl.task_run WHERE task = 'kill'}), '>', 1, "although its executor was ended $killed times");
is(sql('SELECT count(*), count(DISTINCT id), sum(id) FROM raw.kill'), '2000000|2000000|2000001000000', 'every row is there once');

# memory_of runs a task and returns the most private memory of its executor, in MB.
sub memory_of
{
	my ($task) = @_;
	my ($state, $pid, $most) = ('', '', 0);
	sql("SELECT etl.run_pipeline('p', tasks => '{$task}', wait => false)");
	while ($state !~ /^(success|failed)$/)
	{
		($state, $pid) = split /\|/, sql("SELECT state, worker_pid FROM etl.task_run WHERE task = '$task' ORDER BY task_run_id DESC LIMIT 1");
		next unless $pid && open(my $status, '<', "/proc/$pid/status");
		local $/ = undef;
		$most = $1 if <$status> =~ /^RssAnon:\s+(\d+)/m && $1 > $most;
	}
	return $most / 1024;
}

SKIP:
{
	skip 'there is no /proc', 6 unless -e "/proc/$$/status";
	my $rows = ($ENV{LONG} ? 2000 : 300) * 1000;
	my $note = 'x' x 990;
	open(my $big, '>:raw', "$root/big.csv") or die "$!";
	print $big "id,note\n";
	print $big "$_,$note\n" for 1 .. $rows;
	close $big or die "$!";
	system('sh', '-c', "gzip -1 <'$root/big.csv' >'$root/zbig.csv.gz'") == 0 or die 'gzip';
	put('long.ndjson', join('', map { qq({"id": $_, "note": ") . ('y' x 10_000_000) . qq("}\n) } 1 .. 12));
	extract('big', 'id int, note text', "prefix 'big.csv'");
	extract('zbig', 'id int, note text', "prefix 'zbig.csv.gz'");
	extract('long', 'id int, note text', "prefix 'long.ndjson', format 'ndjson'");
	for my $task ('big', 'zbig', 'long')
	{
		cmp_ok(memory_of($task), '<', 128, "$task: private memory of the executor");
		is(sql("SELECT count(*), count(DISTINCT id) FROM raw.$task"), $task eq 'long' ? '12|12' : "$rows|$rows", 'and all rows');
		sql("DROP TABLE raw.$task CASCADE");
	}
	unlink "$root/big.csv", "$root/zbig.csv.gz";
}

# ---- changed files ---------------------------------------------------------------------------------------------------

for my $policy ('append', 'replace', 'ignore', 'error')
{
	put("c_$policy.csv", "id,v\n1,a\n2,b\n");
	extract("c_$policy", 'id int, v text, _file text', "prefix 'c_$policy.csv'", "file_changed => '$policy'");
	run_inline("c_$policy");
	put("c_$policy.csv", "id,v\n2,c\n3,d\n4,e\n");
}
run_inline($_) for qw(c_append c_replace c_ignore);
sub rows { return sql("SELECT string_agg(id || v || _etl_op, ' ' ORDER BY _etl_batch, id) FROM raw.$_[0]"); }
is(rows('c_append'), '1au 2bu 2cu 3du 4eu', 'append: the new version comes behind the old one');
is(rows('c_replace'), '1au 2bu 1ad 2bd 2cu 3du 4eu', 'replace: the old version is marked as deleted first');
is(rows('c_ignore'), '1au 2bu', 'ignore: it is passed over');
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{c_error}')}), qr/55000: .*file "c_error.csv" has changed.*etl\.reload_file/s, 'error: the attempt ends');
put('c_replace.csv', "id,v\n9,z\n");
run_inline('c_replace');
is(rows('c_replace'), '1au 2bu 1ad 2bd 2cu 3du 4eu 2cd 3dd 4ed 9zu', 'replaced once more: only what was there last is marked');
is(sql(q{SELECT etl.reload_file('p', 'c_replace', 'c_replace.csv')}), '3', 'a file that is to be read again');
run_inline('c_replace') for 1 .. 2;
is(rows('c_replace') =~ s/.*4ed //r, '9zu 9zd 9zu', 'is replaced too, once');
sql(q{CREATE SCHEMA dw; SELECT etl.add_load('p', 'load', target => 'dw.c', key => '{id}', on_delete => 'delete', query => 'SELECT id, v FROM raw.c_replace')});
run_inline('load');
is(sql('SELECT id, v FROM dw.c'), '9|z', 'a load that follows deletes has the last version only');
like(refused(q{SELECT etl.add_extract('p', 'x', source => 'f.plain', target => 'raw.x', file_changed => 'replace')}), qr/22023: .*needs the column _file.*ADD COLUMN _file text/s, 'replace needs to know which rows are those of a file');

# ---- bad records and bad files ---------------------------------------------------------------------------------------

my $bad = "id,v\n1,a\nx,b\n3,c,d\n4,\xff\n5,e\n";
put("b_$_.csv", $bad) for qw(abort row file);
extract('b_abort', 'id int, v text', "prefix 'b_abort.csv'");
extract('b_row', 'id int, v text', "prefix 'b_row.csv'", "on_error => 'skip_row'");
extract('b_file', 'id int, v text', "prefix 'b_file'", "on_error => 'skip_file'");
put('b_file_good.csv', "id,v\n7,g\n");
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{b_abort}')}), qr/22P02: .*b_abort\.csv, record 3, column "id", value "x".*skip_row.*etl\.skip_file/s, 'abort: file, line, column and value');
is(sql('SELECT count(*) FROM raw.b_abort'), '0', 'and nothing of it is kept');
run_inline('b_row');
is(sql(q{SELECT string_agg(id || v, ' ' ORDER BY id) FROM raw.b_row}), '1a 5e', 'skip_row: the good rows');
is(sql(q{SELECT string_agg(concat_ws(' ', origin, position, error_sqlstate, column_name, value, row_data ->> 'record'), ', ' ORDER BY position) FROM etl.quarantine WHERE target = 'raw.b_row'}),
	"b_row.csv 3 22P02 id x x,b, b_row.csv 4 22P04 3,c,d, b_row.csv 5 22021 v 4,\xc3\xbf", 'the bad ones are in quarantine');
is(sql(q{SELECT rows_rejected, message FROM etl.task_run WHERE task = 'b_row'}), '3|3 records went to etl.quarantine.', 'and counted');
run_inline('b_file');
is(sql(q{SELECT string_agg(id || v, ' ' ORDER BY id) FROM raw.b_file}), '7g', 'skip_file: no row of the bad file');
is(sql(q{SELECT state, reason FROM etl.file_ledger WHERE path = 'b_file.csv'}), 'skipped|line 3: invalid input syntax for type integer: "x"', 'the ledger says why');
is(sql(q{SELECT count(*) FROM etl.quarantine WHERE target = 'raw.b_file'}), '1', 'its first bad record is in quarantine');
run_inline('b_file');
is(sql('SELECT count(*) FROM raw.b_file'), '1', 'it is not read again');
put('b_file.csv', "id,v\n8,h\n");
run_inline('b_file');
is(sql('SELECT count(*) FROM raw.b_file'), '2', 'before it has changed');

# A bad record behind the first pieces: what was read before is not there either.
put('b_large.csv', "id,note\n" . join('', map { "$_," . ('x' x 100) . "\n" } 1 .. 200_000) . "bad,x\n" . "1,x\n");
put('b_large2.csv', "id,note\n" . join('', map { "$_," . ('x' x 100) . "\n" } 1 .. 200_000));
extract('b_large', 'id int, note text', "prefix 'b_large'", "on_error => 'skip_file'");
sql(q{SELECT etl.run_pipeline('p', tasks => '{b_large}')});
is(sql('SELECT count(*), count(DISTINCT id) FROM raw.b_large'), '200000|200000', 'a large bad file is left out, a large good one is read once');
is(sql(q{SELECT string_agg(path || ' ' || state || ' ' || records, ', ' ORDER BY path) FROM etl.file_ledger WHERE path LIKE 'b_large%'}), 'b_large.csv skipped 0, b_large2.csv loaded 200000', 'as the ledger says');

# An attempt that fails goes on behind what it has committed.
put('resume.csv', "id\n1\n2\n3\n4\nfive\n6\n7\n");
extract('resume', 'id int', "prefix 'resume.csv'", q{chunk_rows => 2, retry_delays => '{}'});
like(refused(q{SELECT etl.run_pipeline('p', tasks => '{resume}')}), qr/ZE002/, 'the third chunk has a bad record');
is(sql(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM raw.resume}), '1 2 3 4', 'two chunks are there');
is(sql(q{SELECT state, records FROM etl.file_ledger WHERE path = 'resume.csv'}), 'loading|4', 'and in the ledger');
sql(q{SELECT etl.alter_task('p', 'resume', on_error => 'skip_row'); SELECT etl.run_pipeline('p', tasks => '{resume}')});
is(sql(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM raw.resume}), '1 2 3 4 6 7', 'the next attempt goes on behind them');
is(sql(q{SELECT state, records, bad_records FROM etl.file_ledger WHERE path = 'resume.csv'}), 'loaded|7|1', 'to the end');

put('half.csv', "id\n1\n2\nthree\n4\n");
extract('half', 'id int', "prefix 'half.csv'", q{chunk_rows => 2, retry_delays => '{}', file_changed => 'ignore'});
like(refused(q{SELECT etl.run_pipeline('p', tasks => '{half}')}), qr/ZE002/, 'an attempt ends in the middle of a file');
put('half.csv', "id\n1\n2\n3\n4\n5\n");
sql(q{SELECT etl.run_pipeline('p', tasks => '{half}')});
is(sql(q{SELECT string_agg(id::text, ' ' ORDER BY _etl_batch, id) FROM raw.half}), '1 2 1 2 3 4 5', 'its next version is read, also where changes are ignored');
put('half.csv', "id\n6\n");
sql(q{SELECT etl.run_pipeline('p', tasks => '{half}')});
is(sql('SELECT max(id) FROM raw.half'), '5', 'but not the one after that');

put('cut.csv.gz', substr(packed("id\n" . join("\n", map { $_ * 7919 } 1 .. 10000) . "\n"), 0, -100));
extract('cut', 'id int', "prefix 'cut.csv.gz'", q{retry_delays => '{}'});
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{cut}')}), qr/ZE007: .*cut\.csv\.gz" ends early/s, 'a file that was cut off is an error');
put('damaged.csv.gz', packed("id\n1\n") =~ s/.{8}$/12345678/sr);
extract('damaged', 'id int', "prefix 'damaged.csv.gz'");
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{damaged}')}), qr/22P04: .*damaged\.csv\.gz" is damaged/s, 'so is one whose checksum does not fit');
put('b_file3.csv.gz', packed("id,v\n9,i\n") =~ s/.{8}$/12345678/sr);
put('b_file4.csv', "id,v\n10,j\n");
run_inline('b_file');
is(sql(q{SELECT string_agg(id || v, ' ' ORDER BY id) FROM raw.b_file}), '7g 8h 10j', 'skip_file leaves a damaged file out, too');
is(sql(q{SELECT state, reason LIKE '%is damaged' FROM etl.file_ledger WHERE path = 'b_file3.csv.gz'}), 'skipped|t', 'as the ledger says');
put('open.csv', "id,v\n1,\"never closed\n");
extract('open', 'id int, v text', "prefix 'open.csv'");
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{open}')}), qr/22P04: .*unterminated.*DETAIL:  File "open\.csv", line 2\..*etl\.skip_file/s, 'and a quote that is not closed');
put('bomb.csv.gz', packed("id\n" . ('1' x 5_000_000) . "\n"));
extract('bomb', 'id text', "prefix 'bomb.csv.gz', max_bytes '1 MB'");
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{bomb}')}), qr/54000: .*too large/s, 'a file that becomes too large is broken off');
put('header.csv', "id,other\n1,2\n");
extract('header', 'id int, v text', "prefix 'header.csv'");
like(refused(q{SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{header}')}), qr/22P04: .*does not name column "v".*missing_columns/s, 'a header that lacks a column is refused');
sql(q{ALTER FOREIGN TABLE f.header OPTIONS (ADD missing_columns 'null')});
run_inline('header');
is(sql('SELECT id, v IS NULL, _etl_extra FROM raw.header'), '1|t|{"other": "2"}', 'unless that means NULL');

# ---- by hand ---------------------------------------------------------------------------------------------------------

sql(q{SELECT etl.skip_file('p', 'c_error', 'c_error.csv', 'known'); SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{c_error}')});
is(rows('c_error'), '1au 2bu', 'skip_file passes over a changed file');
is(sql(q{SELECT etl.reload_file('p', 'c_error', 'c_error.csv')}), '2', 'reload_file forgets it');
run_inline('c_error');
is(rows('c_error'), '1au 2bu 2cu 3du 4eu', 'and it is read');
is(sql(q{SELECT string_agg(DISTINCT action, ' ') FROM etl.audit_log WHERE action LIKE '%_file'}), 'reload_file skip_file', 'both are in the audit log');
like(refused(q{SELECT etl.reload_file('p', 'c_error', 'no.csv')}), qr/42704: .*was not read/s, 'a file that was not read cannot be read again');
like(refused(q{SELECT etl.skip_file('p', 'load', 'no.csv')}), qr/22023: .*reads no files/s, 'a load reads no files');

# ---- what may be read ------------------------------------------------------------------------------------------------

append_to_file("$outside/secret.csv", "id\n1\n");
symlink("$outside/secret.csv", "$root/link.csv") or die;
symlink($outside, "$root/linked") or die;
put('inside/ok.csv', "id\n1\n");
symlink("$root/inside/ok.csv", "$root/link_inside.csv") or die;
sql(q{CREATE FOREIGN TABLE f.link (id int, _file text) SERVER disk OPTIONS (pattern 'link**')});
is(sql('SELECT string_agg(_file, \' \') FROM f.link'), 'link_inside.csv', 'a link that leads out of root is not followed');
like(refused(q{CREATE FOREIGN TABLE f.up (id int) SERVER disk OPTIONS (prefix '../x')}), qr/HV024/, 'a prefix cannot lead up');
like(refused(q{SET ROLE loader; CREATE SERVER x FOREIGN DATA WRAPPER etl_file OPTIONS (root '/tmp')}), qr/42501/, 'not everybody can name a directory');
sql(q{GRANT USAGE ON SCHEMA f TO loader; GRANT SELECT ON ALL TABLES IN SCHEMA f TO loader});
like(refused(q{SET ROLE loader; SELECT * FROM f.link}), qr/42501: .*not a member of pg_read_server_files.*GRANT/s, 'reading needs the right to read files of the server');
sql(q{SET ROLE loader; SELECT etl.create_pipeline('l')});
like(refused(q{SET ROLE loader; SELECT etl.add_extract('l', 'x', source => 'f.plain', target => 'l.x')}), qr/42501: .*pg_read_server_files/s, 'so does an extract');
sql(q{GRANT pg_read_server_files TO loader});
is(sql('SET ROLE loader; SELECT count(*) FROM f.link'), '1', 'with it files are read');
sql(q{SET ROLE loader; SELECT etl.add_extract('l', 'x', source => 'f.plain', target => 'l.x')});
sql(q{REVOKE pg_read_server_files FROM loader});
like(refused(q{SET ROLE loader; SELECT etl.run_pipeline('l')}), qr/ZE002: .*permission denied to read files of this server/s, 'the right is looked at when a run reads, too');
is(sql(q{SELECT problem LIKE '%permission denied%' FROM etl.validate('l')}), 't', 'and by validate');

$node->stop;
done_testing();
