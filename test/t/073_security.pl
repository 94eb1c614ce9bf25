# Attacks that need a server, a database without the extension, or workers: objects planted before CREATE EXTENSION, owners who are gone or
# may not log in, tasks that try to become somebody else, dumps restored by others. sql/security.sql and sql/privileges.sql have the rest.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('security');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nfsync = off\nlog_statement = all\n");
$node->start;

sub sql
{
	my ($statement, $database) = @_;
	return $node->safe_psql($database // 'postgres', $statement);
}

sub refused
{
	my ($statement, $database, @options) = @_;
	my ($code, $out, $err) = $node->psql($database // 'postgres', "\\set VERBOSITY verbose\n$statement", @options);
	return $code == 0 ? 'it was not refused' : $err;
}

sql('CREATE ROLE attacker LOGIN; CREATE ROLE victim LOGIN; CREATE ROLE boss LOGIN SUPERUSER');

# ---- CREATE EXTENSION ----------------------------------------------------------------------------------------------------

# A schema, or objects in it, that somebody has made before do not become part of the extension.
sql('CREATE DATABASE planted');
sql('CREATE SCHEMA etl AUTHORIZATION attacker; SET ROLE attacker; CREATE TABLE etl.pipeline (name text)', 'planted');
like(refused('CREATE EXTENSION etl_ext', 'planted'), qr/42P06.*schema "etl" already exists/s, 'CREATE EXTENSION: a planted schema is not used');
is(sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'etl_ext'}, 'planted'), 0, 'CREATE EXTENSION: nothing was installed');
is(sql(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'etl'::regnamespace}, 'planted'), 0, 'CREATE EXTENSION: and nothing left');
sql('DROP SCHEMA etl CASCADE', 'planted');

# Functions, operators and casts in public and pg_temp, which fit better than those of PostgreSQL, are not called.
my $traps = q{
CREATE TABLE public.sprung (who text);
GRANT ALL ON public.sprung TO PUBLIC;
GRANT CREATE ON SCHEMA public TO attacker;
SET ROLE attacker;
CREATE FUNCTION public.trap(name) RETURNS name LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN $1; END';
CREATE FUNCTION public.pg_extension_config_dump(text, text) RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); END';
CREATE FUNCTION public.format(text, text, text, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN $1; END';
CREATE FUNCTION public.format(text, regclass, name, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN $1; END';
CREATE FUNCTION public.pg_has_role(name, regrole, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN true; END';
CREATE FUNCTION public.same(name, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN true; END';
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = public.same);
CREATE FUNCTION public.same(regrole, oid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN true; END';
CREATE OPERATOR public.= (LEFTARG = regrole, RIGHTARG = oid, FUNCTION = public.same);
CREATE FUNCTION public.coalesce_it(jsonb, text) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN $1; END';
CREATE OPERATOR public.-> (LEFTARG = jsonb, RIGHTARG = varchar, FUNCTION = public.coalesce_it_varchar);
};
$traps =~ s/CREATE OPERATOR public\.-> .*\n//;
sql($traps, 'planted');
sql(q{SET search_path = public, pg_catalog; SET ROLE boss; CREATE EXTENSION etl_ext}, 'planted');
is(sql('SELECT count(*) FROM public.sprung', 'planted'), 0, 'CREATE EXTENSION: planted functions and operators are not called');
is( sql(q{SELECT count(*) FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.refobjid AND d.refclassid = 'pg_proc'::regclass
	WHERE p.pronamespace = 'public'::regnamespace AND d.deptype <> 'i' AND d.classid <> 'pg_operator'::regclass}, 'planted'), 0,
	'CREATE EXTENSION: no view, policy or trigger of it uses them');
# Nor afterwards, in the session of a superuser whose search_path begins with them.
sql(q{GRANT USAGE ON SCHEMA etl TO victim; SET search_path = public, pg_catalog;
	SELECT etl.create_pipeline('p', owner => 'victim'); SELECT etl.add_sql('p', 's', 'SELECT 1');
	SELECT etl.grant_role('attacker', 'viewer', 'p'); SELECT etl.run_pipeline('p'); SELECT count(*) FROM etl.freshness;
	SELECT count(*) FROM etl.run_status; SELECT etl.alter_pipeline('p', description => 'x'); SELECT etl.revoke_role('attacker', 'p')}, 'planted');
is(sql('SELECT count(*) FROM public.sprung', 'planted'), 0, 'search_path: functions and views of etl_ext call nothing that is planted');

# Nobody but its owner puts something into the schema of the extension.
like(refused('SET ROLE attacker; CREATE FUNCTION etl.param(text, text) RETURNS text LANGUAGE sql AS $$SELECT 1$$', 'planted'), qr/42501/, 'schema etl: nobody else creates in it');
like(refused('SET ROLE attacker; CREATE EXTENSION etl_ext', 'template1'), qr/42501/, 'CREATE EXTENSION: for superusers, it is not trusted');

# ---- tasks that want to be somebody else ---------------------------------------------------------------------------------

sql(q{CREATE EXTENSION etl_ext; GRANT USAGE ON SCHEMA etl TO attacker, victim; CREATE TABLE public.proof (what text, who name); GRANT ALL ON public.proof TO PUBLIC;
	CREATE SCHEMA mine AUTHORIZATION attacker});
my %escape = (
	'SET ROLE' => 'SET ROLE boss',
	'RESET ROLE' => 'RESET ROLE; RESET SESSION AUTHORIZATION',
	'SET SESSION AUTHORIZATION' => 'SET SESSION AUTHORIZATION boss',
	'set_config' => q{SELECT set_config('role', 'boss', false)},
	'ALTER SYSTEM' => q{ALTER SYSTEM SET session_preload_libraries = 'x'},
	'COPY PROGRAM' => q{COPY public.proof FROM PROGRAM 'id'},
	'server file' => q{COPY public.proof (what) FROM '/etc/passwd'},
	'pg_read_file' => q{SELECT pg_read_file('/etc/passwd')},
	'LOAD' => q{LOAD 'not_in_plugins'},
	'C function' => q{CREATE FUNCTION mine.c() RETURNS int LANGUAGE c AS 'etl_ext', 'etl_audit_change'},
	'event trigger' => q{CREATE FUNCTION mine.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION mine.e()},
	'superuser setting' => q{SET session_replication_role = replica},
	'etl tables' => q{UPDATE etl.task SET owner = 'boss'},
	'etl.allowed_hosts' => q{SET etl.allowed_hosts = '0.0.0.0/0'},
	'file server' => q{CREATE SERVER f FOREIGN DATA WRAPPER etl_file OPTIONS (root '/etc')},
	'http server' => q{CREATE SERVER h FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:1')},
);
sql(q{SET ROLE attacker; SELECT etl.create_pipeline('escape', max_parallel => 4)});
for my $name (sort keys %escape)
{
	my $command = "$escape{$name}; INSERT INTO public.proof VALUES (current_user, session_user)";
	$node->safe_psql('postgres', "SET ROLE attacker; SELECT etl.add_sql('escape', '$name', \$etl\$$command\$etl\$, retry_delays => '{}')");
}
refused(q{SELECT etl.run_pipeline('escape')});
is(sql(q{SELECT string_agg(DISTINCT who::text || ' ' || what, ', ') FROM public.proof WHERE who <> 'attacker' OR what <> 'attacker'}), '', 'tasks: none was anybody else');
for my $name (sort keys %escape)
{
	# RESET goes back to the role that the worker connected as, which is the owner.
	next if $name eq 'RESET ROLE';
	is(sql(qq{SELECT state || ' ' || left(error_sqlstate, 2) FROM etl.task_status WHERE pipeline = 'escape' AND task = '$name'}), 'failed 42', "tasks: $name is refused");
}

# ---- owners --------------------------------------------------------------------------------------------------------------

# A role that lost LOGIN, or its membership, or is gone does not run anything any more.
sql(q{GRANT victim TO attacker; SET ROLE attacker; SELECT etl.create_pipeline('borrowed', owner => 'victim');
	SELECT etl.add_sql('borrowed', 's', 'INSERT INTO public.proof VALUES (''borrowed'', session_user)')});
sql('REVOKE victim FROM attacker');
like(refused(q{SELECT etl.run_pipeline('borrowed')}, undef, extra_params => [ '-U', 'attacker' ]), qr/42501/, 'membership: with it goes the pipeline');
like(refused(q{SELECT etl.alter_task('borrowed', 's', command => 'SELECT 2')}, undef, extra_params => [ '-U', 'attacker' ]), qr/42501/, 'membership: and its tasks');
sql('ALTER ROLE victim NOLOGIN');
like(refused(q{SELECT etl.run_pipeline('borrowed')}), qr/ZE002/, 'NOLOGIN: its tasks fail');
is(sql(q{SELECT count(*) FROM public.proof WHERE what = 'borrowed'}), 0, 'NOLOGIN: and have done nothing');
sql('ALTER ROLE victim LOGIN');

# ---- secrets -------------------------------------------------------------------------------------------------------------

# Options of user mappings are shown nowhere.
sql(q{SET etl.allowed_hosts = '127.0.0.1/32'; CREATE SERVER api FOREIGN DATA WRAPPER etl_http OPTIONS (base_url 'http://127.0.0.1:9', auth 'bearer');
	CREATE USER MAPPING FOR victim SERVER api OPTIONS (token 'Geheim4711'); GRANT USAGE ON FOREIGN SERVER api TO victim;
	CREATE SCHEMA api AUTHORIZATION victim; CREATE SCHEMA raw AUTHORIZATION victim;
	CREATE FOREIGN TABLE api.items (id int) SERVER api OPTIONS (path '/items'); ALTER FOREIGN TABLE api.items OWNER TO victim;
	SELECT etl.create_pipeline('secret', owner => 'victim');
	SELECT etl.add_extract('secret', 'items', 'api.items', 'raw.items', retry_delays => '{}')});
refused(q{SELECT etl.run_pipeline('secret')});
my $tables = sql(q{SELECT string_agg(format('SELECT %L FROM etl.%I AS t WHERE t::text LIKE ''%%Geheim4711%%''', relname, relname), ' UNION ') FROM pg_class
	WHERE relnamespace = 'etl'::regnamespace AND relkind IN ('r', 'v', 'p')});
is(sql($tables), '', 'secrets: in no table or view of etl_ext');
my @lines = grep { /Geheim4711/ && !/CREATE USER MAPPING|statement:/ } split /\n/, slurp_file($node->logfile);
is(scalar @lines, 0, 'secrets: not in the server log, but for the statement that was logged as it came');

# ---- dumps ---------------------------------------------------------------------------------------------------------------

# Grants survive a dump; an attacker who restores one gets nothing by it.
{
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
	sql(q{SELECT etl.grant_role('attacker', 'viewer', 'secret'); SELECT etl.grant_bi('attacker', 'secret')});
	# A role that was dropped in a session without the library, or from another database, leaves its number.
	sql(q{CREATE ROLE gone; GRANT USAGE ON SCHEMA etl TO PUBLIC; SELECT etl.grant_role('gone', 'admin')});
	sql('DROP ROLE gone', 'template1');
	$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'dump: taken');
	sql('CREATE DATABASE restored');
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'dump: restored');
	is( sql(q{SELECT string_agg(concat_ws(' ', g.role, g.level, p.name), ', ') FROM etl.role_grant AS g JOIN etl.pipeline AS p USING (pipeline_id)}, 'restored'),
		'attacker viewer secret', 'dump: the grants are there');
	is(sql('SELECT count(*) FROM etl.role_grant WHERE pipeline_id IS NULL', 'restored'), 0, 'dump: that of a role that is gone is not in it');
	is(sql(q{SET ROLE attacker; SELECT string_agg(name, ' ' ORDER BY name) FROM etl.pipeline}, 'restored'), 'escape secret', 'dump: and hold');
	sql('CREATE DATABASE theirs OWNER attacker');
	my ($code) = $node->psql('theirs', "SET ROLE attacker;\n" . slurp_file($dump), extra_params => [ '-U', 'attacker' ], on_error_stop => 0);
	is(sql(q{SELECT count(*) FROM pg_extension WHERE extname = 'etl_ext'}, 'theirs'), 0, 'dump: an attacker cannot install the extension by restoring it');
}
$node->stop;
done_testing();
