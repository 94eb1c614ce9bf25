# The page of etl.report in Chromium, and what etl.graph writes drawn by Mermaid and Graphviz: a long history, a run that failed,
# names that want to be markup, and a pipeline that never ran. What the browser looks at is in test/browser.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Not skipped: a page that nobody has looked at is not tested.
die "there is no browser: test/servers/browser.sh installs one\n" unless $ENV{ETL_TEST_BROWSER} && $ENV{ETL_TEST_BROWSER_MODULES};

my $root = $ENV{ETL_TEST_ROOT};
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = PostgreSQL::Test::Cluster->new('report');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION etl_ext');
$ENV{HOME} = $dir;

# put writes a query's result into a file.
sub put
{
	my ($name, $query) = @_;
	open(my $file, '>', "$dir/$name") or die "$name: $!\n";
	print $file $node->safe_psql('postgres', $query);
	close($file);
	return "$dir/$name";
}

# run_script runs a script of test/browser and takes its assertions over.
sub run_script
{
	my (@command) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'node', "$root/test/browser/$command[0]", @command[ 1 .. $#command ] ], '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	for my $line (split(/\n/, $out))
	{
		if ($line =~ /^(not )?ok - (.*)/)
		{
			ok(!$1, $2);
		}
		elsif ($line ne '# done')
		{
			diag($line);
		}
	}
	like($out, qr/^# done$/m, "$command[0] came to its end") or diag($err);
	return;
}

# graph_is_drawn has both tools draw a pipeline.
sub graph_is_drawn
{
	my ($name, $pipeline) = @_;
	my $names = put("$name.json", "SELECT json_agg(t.name) FROM etl.task AS t JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = $pipeline");
	run_script('graph.js', put("$name.mmd", "SELECT etl.graph($pipeline)"), $names);
	my ($svg, $err) = ('', '');
	ok(IPC::Run::run([ 'dot', '-Tsvg', put("$name.dot", "SELECT etl.graph($pipeline, 'dot')") ], '>', \$svg, '2>', \$err), "$name: Graphviz takes it")
	  or diag($err);
	is($err, '', "$name: and has nothing to complain of");
	my $tasks = $node->safe_psql('postgres', "SELECT count(*) FROM etl.task JOIN etl.pipeline AS p USING (pipeline_id) WHERE p.name = $pipeline");
	is(scalar(() = $svg =~ /<g id="node\d+" class="node/g), $tasks, "$name: Graphviz draws every task");
	return $svg;
}

# A long history.
$node->safe_psql('postgres', "CREATE ROLE shop_owner");
PostgreSQL::Test::Utils::run_log([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'owner=shop_owner', '-d', $node->connstr('postgres'), '-f',
	"$root/test/bench/report_setup.sql" ]) or die "the history could not be made\n";
run_script('page.js', put('long.html', "SELECT etl.report('warehouse')"), 60, 90);
graph_is_drawn('long', "'warehouse'");

# Names and messages that want to be markup; a run that failed.
my $evil = q{E'<script>alert(1)</script>"''&\\\\ %%{init}%%'};
$node->safe_psql('postgres', qq{SELECT etl.create_pipeline($evil, description => '</p></header><script>alert(2)</script>', tags => '{"<b>": "</dd><img src=x onerror=alert(3)>"}')});
$node->safe_psql('postgres', qq{SELECT etl.add_sql($evil, n, 'DO \$x\$BEGIN RAISE EXCEPTION ''</title></strong><script>alert(4)</script> "quoted" & more'' USING HINT = ''<img src=x onerror=alert(5)>''; END\$x\$',
		retry_delays => '{}', description => '"><img src=x onerror=alert(6)>')
	FROM unnest(ARRAY['<script>alert(7)</script>', '"]:::x; click t1 "javascript:alert(8)"', '`**md**`', E'two\\nlines', '--> end', E'a\\\\"b\\\\N\\\\', '&quot;&amp;&#60;',
		'%%{init: {}}%%', '#35; #lt; {{x}}', 'end', '名前' || repeat('とても長い', 7), repeat('w', 128)]) AS n});
$node->safe_psql('postgres', "SELECT etl.wait_for_run(etl.run_pipeline($evil, wait => false))");
run_script('page.js', put('hostile.html', "SELECT etl.report($evil)"), 12, 1);
my $svg = graph_is_drawn('hostile', $evil);
unlike($svg, qr/<script|javascript:alert\(8\)"\s*>|<img/, 'hostile: no name became an element of SVG');
like($svg, qr/&lt;script&gt;alert\(7\)/, 'hostile: Graphviz shows names as they are');
like($svg, qr/&amp;quot;&amp;amp;&amp;#60;/, 'hostile: also those that look like character references');

# Nothing happened yet.
$node->safe_psql('postgres', "SELECT etl.create_pipeline('new')");
$node->safe_psql('postgres', "SELECT etl.add_sql('new', 'only', 'SELECT 1')");
run_script('page.js', put('empty.html', "SELECT etl.report('new')"), 1, 0);

$node->stop;
done_testing();
