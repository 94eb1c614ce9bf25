# The bridge to pg_cron: jobs follow the definitions of pipelines, in the database of pg_cron and in another one, and
# what pg_cron starts is the run. etl_ext is not preloaded until the end.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
plan skip_all => 'pg_cron is not installed' unless -e "$sharedir/extension/pg_cron.control";

my $node = PostgreSQL::Test::Cluster->new('cron');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
max_worker_processes = 32
cron.database_name = 'postgres'
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION etl_ext; CREATE ROLE loader LOGIN; CREATE ROLE other LOGIN');

# sql runs a statement and returns what it printed, trimmed; errors say which statement failed.
sub sql
{
	my ($database, $statement) = @_;
	return $node->safe_psql($database, $statement);
}

# error_of runs a statement that should fail and returns its error report.
sub error_of
{
	my ($database, $statement) = @_;
	my ($status, undef, $stderr) = $node->psql($database, $statement);
	isnt($status, 0, "refused: $statement");
	return $stderr;
}

# jobs lists the jobs of a database as name, schedule, role and command.
sub jobs
{
	my ($database) = @_;
	return sql('postgres',
		"SELECT jobname, schedule, username, command FROM cron.job WHERE database = '$database' AND active ORDER BY 1");
}

# Without pg_cron.
sql('postgres', "SELECT etl.create_pipeline('by_hand')");
pass('a pipeline without schedule needs no pg_cron');
like(error_of('postgres', "SELECT etl.create_pipeline('p', schedule => '0 5 * * *')"),
	qr/a schedule needs the launcher of etl_ext, or pg_cron.*DETAIL:.*shared_preload_libraries.*HINT:.*Add etl_ext.*CREATE EXTENSION pg_cron/s,
	'a schedule says what is missing, although the settings of pg_cron are in postgresql.conf');
sql('postgres', "SELECT etl.drop_pipeline('by_hand')");

$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'pg_cron'
cron.use_background_workers = on
});
$node->restart;
sql('postgres', 'CREATE DATABASE warehouse');
sql('warehouse', 'CREATE EXTENSION etl_ext');
for my $database ('postgres', 'warehouse')
{
	like(error_of($database, "SELECT etl.create_pipeline('p', schedule => '0 5 * * *')"),
		qr/pg_cron is not installed in database "postgres".*HINT:.*CREATE EXTENSION pg_cron.*add etl_ext/s,
		"$database: extension pg_cron is missing");
	is(sql($database, 'SELECT count(*) FROM etl.pipeline'), '0', "$database: and nothing was created");
}
sql('postgres', 'CREATE EXTENSION pg_cron');

# Definitions and their jobs: the same in the database of pg_cron and in another one.
for my $database ('postgres', 'warehouse')
{
	my $job = "etl:$database:daily|0 5 * * *|loader|CALL etl.execute_pipeline('daily', only_when_due => true)";

	sql($database, 'GRANT USAGE ON SCHEMA etl TO loader');
	sql($database, "SELECT etl.create_pipeline('daily', schedule => '0 5 * * *', owner => 'loader')");
	is(jobs($database), $job, "$database: create");
	sql($database, "SELECT etl.pause_pipeline('daily')");
	is(jobs($database), '', "$database: pause");
	sql($database, "SELECT etl.resume_pipeline('daily')");
	is(jobs($database), $job, "$database: resume");

	my $jobid = sql('postgres', "SELECT jobid FROM cron.job WHERE database = '$database'");
	sql($database, "SELECT etl.alter_pipeline('daily', schedule => '30 6 * * mon-fri')");
	is( jobs($database),
		"etl:$database:daily|30 6 * * mon-fri|loader|CALL etl.execute_pipeline('daily', only_when_due => true)",
		"$database: alter schedule");
	is(sql('postgres', "SELECT jobid FROM cron.job WHERE database = '$database'"),
		$jobid, "$database: the job keeps its number");

	sql($database, "SELECT etl.alter_pipeline('daily', schedule => '0 5 * * *', timezone => 'Europe/Madrid')");
	is( jobs($database),
		"etl:$database:daily|0 3,4 * * *|loader|CALL etl.execute_pipeline('daily', only_when_due => true)",
		"$database: a zone with summer time");
	sql($database, "SELECT etl.alter_pipeline('daily', timezone => 'Asia/Kolkata')");
	is( jobs($database),
		"etl:$database:daily|30 23 * * *|loader|CALL etl.execute_pipeline('daily', only_when_due => true)",
		"$database: a zone with half an hour");

	sql($database, "SELECT etl.alter_pipeline('daily', timezone => 'UTC', owner => 'other', new_name => 'it''s \"new\"')");
	is( jobs($database),
		"etl:$database:it's \"new\"|0 5 * * *|other|CALL etl.execute_pipeline('it''s \"new\"', only_when_due => true)",
		"$database: rename and change owner");
	sql($database, "SELECT etl.alter_pipeline('it''s \"new\"', reset => '{schedule}')");
	is(jobs($database), '', "$database: reset schedule");
	sql($database, "SELECT etl.alter_pipeline('it''s \"new\"', schedule => '\@daily')");
	is( jobs($database),
		"etl:$database:it's \"new\"|0 0 * * *|other|CALL etl.execute_pipeline('it''s \"new\"', only_when_due => true)",
		"$database: macro");
	sql($database, "SELECT etl.drop_pipeline('it''s \"new\"')");
	is(jobs($database), '', "$database: drop");

	# Rolled back, whole or in part.
	sql($database, "BEGIN; SELECT etl.create_pipeline('gone', schedule => '0 5 * * *'); ROLLBACK");
	is(jobs($database), '', "$database: rollback leaves no job");
	sql($database, q{
		BEGIN;
		SELECT etl.create_pipeline('kept', schedule => '0 1 * * *');
		SAVEPOINT a;
		SELECT etl.create_pipeline('lost', schedule => '0 2 * * *');
		SAVEPOINT b;
		SELECT etl.create_pipeline('lost_too', schedule => '0 3 * * *');
		RELEASE b;
		ROLLBACK TO a;
		SAVEPOINT c;
		SELECT etl.create_pipeline('kept_too', schedule => '0 4 * * *');
		RELEASE c;
		COMMIT});
	is( sql('postgres', "SELECT jobname FROM cron.job WHERE database = '$database' ORDER BY 1"),
		"etl:$database:kept\netl:$database:kept_too",
		"$database: only what was committed has a job");
	sql($database, "SELECT etl.drop_pipeline('kept'), etl.drop_pipeline('kept_too')");

	# What pg_cron refuses, the definition refuses.
	sql('postgres', 'CREATE ROLE mute NOLOGIN') if $database eq 'postgres';
	error_of($database, "SELECT etl.create_pipeline('mute', schedule => '0 5 * * *', owner => 'mute')");
	is(sql($database, 'SELECT count(*) FROM etl.pipeline'), '0', "$database: an owner who cannot log in");
	is(jobs($database), '', "$database: no job is left");
}

# Names that do not fit into the name of a job stay apart.
my $long = 'x' x 120;
sql('warehouse', "SELECT etl.create_pipeline('$long$_', schedule => '0 $_ * * *')") for (1, 2);
is(sql('postgres', "SELECT count(DISTINCT jobname), max(length(jobname)) FROM cron.job"), '2|63', 'long names');
sql('warehouse', "SELECT etl.drop_pipeline('${long}1')");
is(sql('postgres', "SELECT schedule FROM cron.job"), '0 2 * * *', 'the right one of them is dropped');
sql('warehouse', "SELECT etl.drop_pipeline('${long}2')");

# What cannot be kept is refused: a prepared transaction, and wrong values.
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 2');
$node->restart;
like(error_of('warehouse', "BEGIN; SELECT etl.create_pipeline('p', schedule => '0 5 * * *'); PREPARE TRANSACTION 'x'"),
	qr/cannot prepare a transaction that has changed the schedule/, 'two-phase commit');
like(error_of('postgres', "SELECT etl.create_pipeline('p', schedule => '30 seconds')"),
	qr/HINT:.*once a minute/, 'seconds');
like(error_of('postgres', "SELECT etl.create_pipeline('p', schedule => '0 25 * * *')"),
	qr/invalid hour field "25"/, 'hour');
like(error_of('postgres', "SELECT etl.create_pipeline('p', timezone => 'Mars/Olympus')"),
	qr/unknown time zone "Mars\/Olympus".*HINT:.*pg_timezone_names/s, 'time zone');

# pg_cron starts pipelines: its own jobs in both databases, in its zone and in another one, and hand-written ones whose
# status is that of the run.
for my $database ('postgres', 'warehouse')
{
	sql($database, q{
		SELECT etl.create_pipeline('tick', schedule => '* * * * *');
		SELECT etl.add_sql('tick', 'nothing', command => 'SELECT 1');
		SELECT etl.create_pipeline('far', timezone => 'Europe/Madrid',
			schedule => format('* %s,%s,%s * * *', h, (h + 1) % 24, (h + 2) % 24))
		FROM (SELECT extract(hour FROM now() AT TIME ZONE 'Europe/Madrid')::int AS h) AS madrid;
		SELECT etl.add_sql('far', 'nothing', command => 'SELECT 1')});
}
sql('postgres', q{
	SELECT etl.create_pipeline('not_now', timezone => 'Europe/Madrid', schedule => format('* %s * * *', (h + 12) % 24))
	FROM (SELECT extract(hour FROM now() AT TIME ZONE 'Europe/Madrid')::int AS h) AS madrid});
sql('postgres', "CALL etl.execute_pipeline('not_now', only_when_due => true)");
is(sql('postgres', "SELECT count(*) FROM etl.run_status WHERE pipeline = 'not_now'"), '0', 'not due: no run');
sql('postgres', "SELECT etl.drop_pipeline('not_now')");
sql('postgres', q{
	SELECT etl.create_pipeline('broken');
	SELECT etl.add_sql('broken', 'division', command => 'SELECT 1 / 0');
	SELECT etl.create_pipeline('fine');
	SELECT etl.add_sql('fine', 'nothing', command => 'SELECT 1');
	SELECT cron.schedule('hand-broken', '* * * * *', $$CALL etl.execute_pipeline('broken')$$);
	SELECT cron.schedule('hand-fine', '* * * * *', $$CALL etl.execute_pipeline('fine')$$)});

ok( $node->poll_query_until('postgres', q{
	SELECT count(DISTINCT jobid) = 6 FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')}),
	'pg_cron has run every job once');
is( sql('postgres', q{
	SELECT DISTINCT j.jobname, d.status FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
	WHERE d.status IN ('succeeded', 'failed') ORDER BY 1, 2}),
	join("\n",
		'etl:postgres:far|succeeded', 'etl:postgres:tick|succeeded', 'etl:warehouse:far|succeeded',
		'etl:warehouse:tick|succeeded', 'hand-broken|failed', 'hand-fine|succeeded'),
	'and their status is that of the runs');
like(sql('postgres', "SELECT return_message FROM cron.job_run_details WHERE status = 'failed' LIMIT 1"),
	qr/broken.*failed|failed.*broken/s, 'the message names the pipeline');
for my $database ('postgres', 'warehouse')
{
	is( sql($database, q{
		SELECT DISTINCT pipeline, state FROM etl.run_status WHERE pipeline IN ('tick', 'far') AND ended_at IS NOT NULL
		ORDER BY 1}),
		"far|success\ntick|success", "$database: the runs");
}

# With the launcher nobody needs pg_cron any more. Where it is there it keeps its jobs, and where only its extension is
# missing nobody asks for it.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron, etl_ext'");
$node->restart;
sql('postgres', "SELECT etl.create_pipeline('both', schedule => '0 5 * * *')");
like(jobs('postgres'), qr/^etl:postgres:both\|0 5/m, 'launcher and pg_cron: the job is written');
sql('postgres', 'DROP EXTENSION pg_cron');
for my $database ('postgres', 'warehouse')
{
	is( sql($database, q{
		SELECT etl.create_pipeline('alone', schedule => '0 5 * * *') > 0;
		SELECT next_run_at > now() FROM etl.schedule_status WHERE pipeline = 'alone';
		SELECT etl.drop_pipeline('alone')}),
		"t\nt\n", "$database: a schedule without the extension pg_cron");
}
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'etl_ext'");
$node->restart;
for my $database ('postgres', 'warehouse')
{
	is( sql($database, q{
		SELECT etl.create_pipeline('alone', schedule => '0 5 * * *') > 0;
		SELECT next_run_at > now() FROM etl.schedule_status WHERE pipeline = 'alone'}),
		"t\nt", "$database: and without pg_cron");
}

$node->stop;
done_testing();
