# Time of an extract from an API: 100 pages of 1,000 records, each answered after 50 ms, one by one and 8 at a time.
#   PERL5LIB=test/perl PGHOST=... PGUSER=... perl test/bench/http.pl      in a database with etl_ext, and allowed 127.0.0.1
use strict;
use warnings;
use EtlHttp;
use Time::HiRes qw(time);

my ($pages, $size, $latency) = (100, 1000, 0.05);
my @body = map {
	my $page = $_;
	'{"data":[' . join(',', map { my $id = $page * $size + $_; "{\"id\":$id,\"name\":\"name of $id\",\"amount\":" . $id / 100 . ',"at":"2026-01-01T00:00:00Z"}' } 1 .. $size) . '],"total":' . $pages * $size
	  . ($page < $pages - 1 ? ',"next":"' . ($page + 1) . '"' : '') . '}'
} 0 .. $pages - 1;
push @body, '{"data":[],"total":' . $pages * $size . '}';
my $api = EtlHttp->start(sub { my ($request) = @_; return { body => $body[ $request->{query}{page} // 0 ], delay => $latency } }, quiet => 1);

sub sql
{
	my ($statement) = @_;
	open my $psql, '-|', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', $statement or die "psql: $!";
	local $/;
	my $out = <$psql>;
	close $psql or die "failed: $statement\n";
	return $out;
}

my $columns = 'id bigint, name text, amount numeric, at timestamptz';
sql('DROP SCHEMA IF EXISTS bench_http CASCADE; CREATE SCHEMA bench_http');
sql('DROP SERVER IF EXISTS bench_http CASCADE');
sql("CREATE SERVER bench_http FOREIGN DATA WRAPPER etl_http OPTIONS (base_url '" . $api->url . "')");
my %table = (
	serial => "paging 'cursor', records '\$.data[*]', cursor_param 'page', next '\$.next'",
	parallel => "paging 'page', first_page '0', records '\$.data[*]', total '\$.total', page_size '$size', parallel '8'",
);
sql("SELECT etl.create_pipeline('bench_http')");
for my $name (sort keys %table)
{
	sql("CREATE FOREIGN TABLE bench_http.$name ($columns) SERVER bench_http OPTIONS ($table{$name})");
	sql("SELECT etl.add_extract('bench_http', '$name', source => 'bench_http.$name', target => 'bench_http.raw_$name')");
	my $start = time;
	sql("SELECT etl.run_pipeline('bench_http', tasks => '{$name}')");
	printf "%s: %.2f s, %s rows; sum of latencies %.2f s\n", $name, time - $start, sql("SELECT count(*) FROM bench_http.raw_$name") =~ s/\n//r, $pages * $latency;
}
sql("SELECT etl.drop_pipeline('bench_http')");
sql('DROP SERVER bench_http CASCADE; DROP SCHEMA bench_http CASCADE');
$api->stop;
