# The server stays in command: databases, extensions and roles are dropped, renamed and given away while runs are active,
# settings forbid to write, workers run out. Nothing is blocked, and what can go on goes on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlPoll;

my $node = PostgreSQL::Test::Cluster->new('safety');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'etl_ext'\nmax_worker_processes = 16\nfsync = off\n");
$node->start;

# The database that the functions below look at.
my $database = 'postgres';

sub sql
{
	my ($statement, $where) = @_;
	return $node->safe_psql($where // $database, $statement);
}

sub comes_true
{
	my ($query, $name) = @_;
	return ok($node->poll_query_until($database, $query), $name);
}

# refused runs a statement that should fail and returns what psql printed, with the SQLSTATE.
sub refused
{
	my ($statement, $where, @options) = @_;
	my ($code, $out, $err) = $node->psql($where // $database, "\\set VERBOSITY verbose\n$statement", @options);
	return $code == 0 ? 'it was not refused' : $err;
}

# The first attempt of a task waits for ten minutes unless it is ended; the next ones end at once.
my $definition = q{
CREATE EXTENSION etl_ext;
CREATE SEQUENCE tries;
CREATE FUNCTION wait_once() RETURNS void LANGUAGE plpgsql AS
  $$BEGIN IF nextval('tries') = 1 THEN PERFORM pg_sleep(600); END IF; END$$;
SELECT etl.create_pipeline('long');
SELECT etl.add_sql('long', 'wait', 'SELECT wait_once()', retry_delays => '{0 s,0 s}');
SELECT etl.add_sql('long', 'after', 'SELECT 1', depends_on => '{wait}');
};

# begin_run starts a run in a database and waits until its first attempt waits.
sub begin_run
{
	my ($name) = @_;
	sql(q{SELECT setval('tries', 1, false)});
	my $run = sql("SELECT etl.run_pipeline('long', wait => false)");
	comes_true(q{SELECT last_value = 1 AND is_called FROM tries}, "$name: a task is at work");
	return $run;
}

# ends_well checks that a run ends by itself after its first attempt was ended, and leaves nothing behind.
sub ends_well
{
	my ($name, $run) = @_;
	comes_true("SELECT state IN ('success', 'warning', 'failed', 'cancelled') FROM etl.run WHERE run_id = $run", "$name: the run ends");
	like( sql(qq{SELECT string_agg(concat_ws(' ', task, attempt, state, error_sqlstate), ', ' ORDER BY task_run_id) FROM etl.task_run WHERE run_id = $run}),
		qr/^wait 1 failed (57P01|ZE008), after 1 success, wait 2 success$/, "$name: the attempt was repeated");
	nothing_left($name);
	return;
}

sub nothing_left
{
	my ($name) = @_;
	comes_true(qq{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl%' AND backend_type <> 'etl launcher'
		AND datname = '$database'}, "$name: no worker is left");
	comes_true(qq{SELECT count(*) = 0 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
		WHERE d.datname = '$database' AND locktype = 'advisory' AND objsubid BETWEEN x'E71'::int AND x'E7F'::int}, "$name: no lock is left");
	return;
}

sub make_database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$database = $name;
	sql($definition);
	return;
}

# drop_and_roll_back begins to drop the extension, and thinks better of it when the workers have given way.
sub drop_and_roll_back
{
	my ($name) = @_;
	my $dropper = $node->background_psql($database);
	$dropper->query_safe('BEGIN; DROP EXTENSION etl_ext');
	comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl executor' AND datname = current_database()},
		"$name: the workers of tasks are ended");
	$dropper->query_safe('ROLLBACK');
	$dropper->quit;
	return;
}

# ---- a database that is needed alone -----------------------------------------------------------------------------------

for my $with ('', ' WITH (FORCE)')
{
	my $name = "DROP DATABASE$with";
	make_database('doomed');
	begin_run($name);
	$database = 'postgres';
	sql("DROP DATABASE doomed$with");
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'etl%' AND backend_type <> 'etl launcher'}), 0, "$name: the workers went along");
}

{
	my $name = 'refused DROP DATABASE';
	make_database('work');
	my $run = begin_run($name);
	my $workers = q{SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'etl%'};
	my $before = sql($workers);
	sql('CREATE ROLE stranger LOGIN CREATEDB');
	like(refused('DROP DATABASE work', 'postgres', extra_params => ['-U', 'stranger']), qr/42501/, "$name: not by a stranger");
	like(refused('ALTER DATABASE work RENAME TO other', 'postgres', extra_params => ['-U', 'stranger']), qr/42501/, "$name: nor renamed");
	like(refused('CREATE DATABASE other TEMPLATE work', 'postgres', extra_params => ['-U', 'stranger']), qr/42501/, "$name: nor copied");
	like(refused("BEGIN;\nDROP DATABASE work;", 'postgres'), qr/25001/, "$name: nor in a transaction block");
	is(sql($workers), $before, "$name: the workers have not noticed");
	# Somebody else is connected: it fails after the workers were ended, and they come back.
	my $guest = $node->background_psql('work');
	like(refused('DROP DATABASE work', 'postgres'), qr/55006/, "$name: not while somebody is connected");
	ends_well($name, $run);
	$guest->quit;
}

{
	my $name = 'ALTER DATABASE RENAME';
	my $run = begin_run($name);
	sql('ALTER DATABASE work RENAME TO renamed', 'postgres');
	$database = 'renamed';
	ends_well($name, $run);
	$run = begin_run("$name rolled back");
	sql("BEGIN; ALTER DATABASE renamed RENAME TO other; ROLLBACK", 'postgres');
	ends_well("$name rolled back", $run);
}

{
	my $name = 'CREATE DATABASE TEMPLATE';
	my $run = begin_run($name);
	sql('CREATE DATABASE replica TEMPLATE renamed', 'postgres');
	ends_well($name, $run);
	is(sql("SELECT state FROM etl.run WHERE run_id = $run", 'replica'), 'running', "$name: the copy is left alone until somebody uses it");
	sql('DROP DATABASE replica', 'postgres');
}

{
	my $name = 'ALTER DATABASE SET TABLESPACE';
	my $run = begin_run($name);
	my $directory = PostgreSQL::Test::Utils::tempdir();
	sql("CREATE TABLESPACE elsewhere LOCATION '$directory'", 'postgres');
	sql('ALTER DATABASE renamed SET TABLESPACE elsewhere', 'postgres');
	ends_well($name, $run);
	sql('ALTER DATABASE renamed SET TABLESPACE pg_default', 'postgres');
	sql('DROP TABLESPACE elsewhere', 'postgres');
}

# ---- the extension -------------------------------------------------------------------------------------------------------

# While somebody is dropping the extension its workers give way, and so does a session that waits for a run; after a
# rollback all goes on.
{
	my $name = 'DROP EXTENSION rolled back';
	my $run = begin_run($name);
	my $waiter = $node->background_psql($database, on_error_stop => 0);
	$waiter->query_until(qr/waits/, "\\echo waits\nSELECT etl.wait_for_run($run);\n");
	drop_and_roll_back($name);
	ends_well($name, $run);
	like($waiter->query('SELECT 1'), qr/1/, "$name: the waiting session lives");
	like($waiter->{stderr}, qr/cannot wait for run \d+ while the extension is being dropped/, "$name: it was told why it waits no more");
	$waiter->quit;
}
{
	my $name = 'DROP and CREATE EXTENSION';
	begin_run($name);
	my $log = -s $node->logfile;
	sql('BEGIN; DROP EXTENSION etl_ext; CREATE EXTENSION etl_ext; COMMIT');
	nothing_left($name);
	sql($definition =~ s/.*?(?=SELECT etl)//sr);
	my $run = sql("SELECT etl.run_pipeline('long')");
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'success', "$name: the new one works");
	nothing_left($name);
	unlike(slurp_file($node->logfile, $log), qr/PANIC|cache lookup failed|could not open relation/, "$name: nobody stumbled");
}
{
	my $name = 'DROP EXTENSION';
	begin_run($name);
	sql('DROP EXTENSION etl_ext');
	nothing_left($name);
	sql($definition =~ s/CREATE SEQUENCE.*?(?=SELECT etl)//sr);
}

# ALTER EXTENSION UPDATE: the scheduler makes room for a process with the new library, runs go on.
SKIP:
{
	my $name = 'ALTER EXTENSION UPDATE';
	my $sharedir = `pg_config --sharedir`;
	chomp $sharedir;
	my $directory = "$sharedir/extension";
	skip 'the directory of extensions cannot be written to', 6 unless -w $directory;
	my $version = sql(q{SELECT extversion FROM pg_extension WHERE extname = 'etl_ext'});
	my @scripts = ("$directory/etl_ext--$version--99.0.0.sql", "$directory/etl_ext--99.0.0--$version.sql");
	append_to_file($scripts[0], "CREATE FUNCTION etl.made_up() RETURNS int LANGUAGE sql AS 'SELECT 1';\n");
	append_to_file($scripts[1], "DROP FUNCTION etl.made_up();\n");
	my $run = begin_run($name);
	my $old = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'etl scheduler' AND datname = current_database()});
	sql(q{ALTER EXTENSION etl_ext UPDATE TO '99.0.0'});
	comes_true(qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl scheduler' AND datname = current_database() AND pid <> $old},
		"$name: there is a fresh scheduler");
	like(slurp_file($node->logfile), qr/extension etl_ext has version 99\.0\.0, its library has version/, "$name: it says that it does not fit");
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl executor'");
	ends_well($name, $run);
	sql("ALTER EXTENSION etl_ext UPDATE TO '$version'");
	unlink @scripts;
}

# ---- roles -----------------------------------------------------------------------------------------------------------------

{
	my $name = 'DROP ROLE';
	sql(q{CREATE ROLE leaver LOGIN; CREATE ROLE heir LOGIN; GRANT USAGE ON SCHEMA etl TO leaver, heir;
		GRANT USAGE ON SEQUENCE tries TO leaver, heir;
		SELECT etl.create_pool('line', 2); SELECT etl.alter_pool('line', owner => 'leaver');
		SELECT etl.alter_pipeline('long', owner => 'leaver')});
	my $run = begin_run($name);
	my $message = refused('DROP ROLE leaver');
	like($message, qr/2BP01.*role "leaver" cannot be dropped/, "$name: refused");
	like($message, qr/owns pipeline "long", pool "line"\./, "$name: it says what the role owns");
	like($message, qr/REASSIGN OWNED BY leaver/, "$name: and what to do");
	like(refused('DROP OWNED BY leaver'), qr/2BP01.*owns pipeline "long", pool "line"\./s, 'DROP OWNED: refused');
	like(refused('DROP ROLE leaver', undef, extra_params => ['-U', 'stranger']), qr/42501.*permission denied/, "$name: strangers hear nothing of it");
	sql('REASSIGN OWNED BY leaver TO heir; DROP OWNED BY leaver; DROP ROLE leaver');
	is( sql(q{SELECT string_agg(owner::text, ' ') FROM (SELECT owner FROM etl.pipeline WHERE name = 'long' UNION ALL SELECT owner FROM etl.pool) AS o}),
		'heir heir', 'REASSIGN OWNED: everything has its new owner');
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl executor'");
	ends_well('REASSIGN OWNED, then DROP ROLE', $run);
	is(sql("SELECT definition->'pipeline'->>'owner' FROM etl.run WHERE run_id = $run"), 'heir', 'REASSIGN OWNED: so has the run');
}

# Where the extension is not, a schema of its name is anybody's.
sql(q{CREATE SCHEMA etl AUTHORIZATION stranger; SET ROLE stranger; CREATE TABLE etl.pipeline (name text); RESET ROLE;
	CREATE ROLE nobody; REASSIGN OWNED BY nobody TO CURRENT_USER; DROP OWNED BY nobody; DROP ROLE nobody; DROP SCHEMA etl CASCADE}, 'postgres');
pass('a foreign schema etl gets in the way of nothing');

# An owner who may not log in, or is gone because he was dropped from another database, fails his tasks and no others.
{
	my $name = 'NOLOGIN';
	sql(q{SELECT etl.create_pipeline('fine'); SELECT etl.add_sql('fine', 'nothing', 'SELECT 1')});
	sql('ALTER ROLE heir NOLOGIN');
	my $run = sql("SELECT etl.run_pipeline('long', wait => false)");
	sql("SELECT etl.run_pipeline('fine')");
	comes_true("SELECT state = 'failed' FROM etl.run WHERE run_id = $run", "$name: the run fails");
	is(sql("SELECT error_sqlstate FROM etl.task_run WHERE run_id = $run AND task = 'wait'"), '28000', "$name: it says why");
	sql('ALTER ROLE heir LOGIN');
	$name = 'dropped from another database';
	$run = begin_run($name);
	sql('REVOKE ALL ON SEQUENCE tries FROM heir; REVOKE ALL ON SCHEMA etl FROM heir');
	sql('DROP ROLE heir', 'postgres');
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl executor'");
	comes_true("SELECT state = 'failed' FROM etl.run WHERE run_id = $run", "$name: the run fails");
	like(sql("SELECT string_agg(error_sqlstate, ' ' ORDER BY attempt) FROM etl.task_run WHERE run_id = $run AND task = 'wait'"),
		qr/^(57P01|ZE008) 42704$/, "$name: it says why");
	sql("SELECT etl.run_pipeline('fine')");
	$run = sql("SELECT etl.run_pipeline('long', wait => false)");
	comes_true("SELECT state = 'failed' FROM etl.run WHERE run_id = $run", "$name: so does the next one");
	sql("SELECT etl.alter_pipeline('long', owner => current_user::text)");
	$run = sql("SELECT etl.run_pipeline('long')");
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'success', "$name: with another owner all is well");
	nothing_left($name);
}

# ---- settings that forbid to write -----------------------------------------------------------------------------------------

{
	my $name = 'default_transaction_read_only';
	my $run = begin_run($name);
	sql("ALTER DATABASE renamed SET default_transaction_read_only = on", 'postgres');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'etl%' AND backend_type <> 'etl launcher'}, 'postgres');
	comes_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl scheduler' AND datname = current_database()}, "$name: a new scheduler is there");
	ok($node->wait_for_log(qr/transactions are read-only, nothing is started/), "$name: it says that it waits");
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'running', "$name: the run waits, it has not failed");
	sql("ALTER DATABASE renamed RESET default_transaction_read_only", 'postgres');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'etl%' AND backend_type <> 'etl launcher'}, 'postgres');
	ends_well($name, $run);
	$run = begin_run("$name of the server");
	$node->append_conf('postgresql.conf', "default_transaction_read_only = on\n");
	$node->restart;
	comes_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl scheduler' AND datname = current_database()}, "$name of the server: a scheduler is there");
	is( sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'etl scheduler' AND datname <> current_database()}), 0,
		"$name of the server: nobody waits where the extension is not");
	$node->append_conf('postgresql.conf', "default_transaction_read_only = off\n");
	$node->reload;
	ends_well("$name of the server", $run);
	# Of the role that the tasks run as: its tasks fail, the scheduler does not care.
	sql(q{CREATE ROLE reader LOGIN; GRANT USAGE ON SEQUENCE tries TO reader; ALTER ROLE reader SET default_transaction_read_only = on;
		SELECT etl.alter_pipeline('long', owner => 'reader')});
	$run = sql("SELECT etl.run_pipeline('long', wait => false)");
	sql("SELECT etl.run_pipeline('fine')");
	comes_true("SELECT state = 'failed' FROM etl.run WHERE run_id = $run", "$name of the owner: the run fails");
	is(sql("SELECT max(error_sqlstate) FROM etl.task_run WHERE run_id = $run AND task = 'wait'"), '25006', "$name of the owner: it says why");
	nothing_left($name);
}

$node->stop;

# ---- workers run out -------------------------------------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$node->start;
{
	my $name = 'three workers';
	my $log = -s $node->logfile;
	# Launcher, launcher of logical replication, and one more: a run needs two.
	sql(q{SELECT etl.alter_pipeline('long', owner => current_user::text)});
	sql(qq{SELECT etl.create_pipeline('many' || n, on_overlap => 'queue') FROM generate_series(1, 20) AS n;
		SELECT etl.add_sql('many' || n, 'task' || m, 'SELECT 1') FROM generate_series(1, 20) AS n, generate_series(1, 5) AS m});
	$node->append_conf('postgresql.conf', "max_logical_replication_workers = 0\n");
	$node->restart;
	sql(q{SELECT etl.run_pipeline('many' || n, wait => false) FROM generate_series(1, 20) AS n});
	comes_true(q{SELECT count(*) = 20 FROM etl.run AS r JOIN etl.pipeline AS p USING (pipeline_id)
		WHERE p.name LIKE 'many%' AND r.state = 'success'}, "$name: all runs succeed, one task after the other");
	is( sql(q{SELECT count(*) FROM etl.task_run AS t JOIN etl.run AS r USING (run_id) JOIN etl.pipeline AS p USING (pipeline_id)
		WHERE p.name LIKE 'many%'}), 100, "$name: every task ran once");
	nothing_left($name);
	my @told = slurp_file($node->logfile, $log) =~ /no free background worker/g;
	cmp_ok(scalar @told, '<', 50, "$name: the log tells of it, and not for every task and try");
	# No worker at all is free: what is interrupted waits for one.
	my $run = begin_run($name);
	$node->append_conf('postgresql.conf', "max_worker_processes = 1\n");
	$node->stop('fast');
	$log = -s $node->logfile;
	$node->start;
	ok($node->wait_for_log(qr/no free background worker to look for interrupted or scheduled runs/, $log), 'no worker: the launcher says so');
	is(sql("SELECT state FROM etl.run WHERE run_id = $run"), 'running', 'no worker: the run waits');
	$node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
	$node->restart;
	comes_true("SELECT state = 'success' FROM etl.run WHERE run_id = $run", 'no worker: with workers it ends');
}
$node->stop;

# ---- without preloading ----------------------------------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "max_worker_processes = 16\nshared_preload_libraries = ''\n"
	  . "max_prepared_transactions = 1\nlog_min_messages = debug1\n");
$node->start;
{
	my $name = 'not preloaded';
	my $run = begin_run("$name, DROP EXTENSION rolled back");
	drop_and_roll_back("$name, DROP EXTENSION rolled back");
	ends_well("$name, DROP EXTENSION rolled back", $run);
	# Only a change that is committed wakes a scheduler, once; the postmaster logs each start.
	$run = begin_run("$name, wake");
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl scheduler'});
	comes_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}, "$name, wake: the scheduler is gone");
	my $log = -s $node->logfile;
	sql(q{BEGIN; SELECT etl.alter_pool('line', 3); ROLLBACK});
	sql(q{BEGIN; SAVEPOINT a; SELECT etl.alter_pool('line', 3); SAVEPOINT b; SELECT etl.alter_pool('line', 4); ROLLBACK TO a; COMMIT});
	sql(q{BEGIN; SELECT etl.alter_pool('line', 3); PREPARE TRANSACTION 'line'});
	sql(q{ROLLBACK PREPARED 'line'});
	my $registered = qr/registering background worker "etl scheduler"/;
	unlike(slurp_file($node->logfile, $log), $registered, "$name, wake: a rollback, also to a savepoint, and PREPARE TRANSACTION wake nobody");
	sql(q{BEGIN; SAVEPOINT a; SELECT etl.alter_pool('line', 4); RELEASE a; SAVEPOINT b; SELECT etl.alter_pool('line', 5); ROLLBACK TO b; COMMIT});
	comes_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl scheduler'}, "$name, wake: a commit starts a scheduler");
	my @started = slurp_file($node->logfile, $log) =~ /$registered/g;
	is(scalar @started, 1, "$name, wake: one");
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'etl executor'");
	ends_well("$name, wake", $run);

	$run = begin_run("$name, RENAME");
	# The hook is there as soon as the session has used etl_ext.
	sql(q{CREATE EXTENSION etl_ext; SELECT etl.run_id(); ALTER DATABASE renamed RENAME TO work}, 'postgres');
	$database = 'work';
	ends_well("$name, RENAME", $run);
	sql(q{CREATE ROLE leaver LOGIN; SELECT etl.alter_pipeline('long', owner => 'leaver')});
	like(refused('SELECT etl.run_id(); DROP ROLE leaver'), qr/2BP01/, "$name, DROP ROLE: refused where the library is loaded");
	sql('DROP ROLE leaver');
	like(refused("SELECT etl.run_pipeline('long')"), qr/ZE002.*42704|owner of the task does not exist/s, "$name, DROP ROLE: otherwise the tasks fail");
	sql(q{SELECT etl.alter_pipeline('long', owner => current_user::text)});
	begin_run("$name, DROP DATABASE");
	sql('SELECT etl.run_id(); DROP DATABASE work', 'postgres');
	$database = 'postgres';
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'etl%'}), 0, "$name, DROP DATABASE: the workers went along");
}
$node->stop;
done_testing();
