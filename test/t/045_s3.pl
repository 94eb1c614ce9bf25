# Files on S3: signatures, lists, versions; connections that are cut anywhere are errors, never shorter files.
# The server: ETL_TEST_S3_ENDPOINT
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use IO::Compress::Gzip qw(gzip $GzipError);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use EtlHttp;
use EtlProxy;
use POSIX qw(strftime);

plan skip_all => 'ETL_TEST_S3_ENDPOINT is not set' unless $ENV{ETL_TEST_S3_ENDPOINT};

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\netl.allowed_hosts = '*, 127.0.0.0/8'\n");
$node->start;
my ($host, $port) = $ENV{ETL_TEST_S3_ENDPOINT} =~ m{^http://([^:]+):(\d+)$};
my $dir = PostgreSQL::Test::Utils::tempdir;
my $bucket = 'etl-' . lc(substr md5_hex($dir), 0, 10);

# s3 runs the client of the tests, which signs by itself.
sub s3
{
	my @command = @_;
	open(my $pipe, '-|', "$ENV{ETL_TEST_S3_BIN}/s3", @command) or die "s3: $!";
	local $/ = undef;
	my $out = <$pipe> // '';
	close($pipe) or die "s3 @command failed";
	return $out;
}

sub put
{
	my ($key, $bytes) = @_;
	open(my $file, '>:raw', "$dir/put") or die "$!";
	print $file $bytes;
	close $file;
	s3('put', $bucket, $key, "$dir/put");
	return;
}

sub packed
{
	my ($bytes) = @_;
	gzip(\$bytes => \my $out) or die $GzipError;
	return $out;
}

sub sql { return $node->safe_psql('postgres', "SET client_min_messages = warning; $_[0]"); }
sub run_inline { return sql("SELECT etl.run_pipeline('p', mode => 'inline', tasks => '{$_[0]}')"); }

sub refused
{
	my ($statement) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', "\\set VERBOSITY verbose\nSET client_min_messages = warning;\n$statement", stdout => \$out, stderr => \$err);
	return $status == 0 ? "no error: $out" : $err;
}

s3('mb', $bucket);
sub server
{
	my ($name, $endpoint, $secret) = @_;
	return "CREATE SERVER $name FOREIGN DATA WRAPPER etl_s3 OPTIONS (endpoint '$endpoint', region '$ENV{ETL_TEST_S3_REGION}', bucket '$bucket');"
	  . "CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (access_key_id '$ENV{ETL_TEST_S3_ACCESS_KEY}', secret_access_key '$secret')";
}
$node->safe_psql('postgres', 'CREATE EXTENSION etl_ext; CREATE SCHEMA f;' . server('lake', $ENV{ETL_TEST_S3_ENDPOINT}, $ENV{ETL_TEST_S3_SECRET_KEY}));
sql(q{SELECT etl.create_pipeline('p')});

# ---- keys and signatures ---------------------------------------------------------------------------------------------

my @keys = ("raw/date=2024-01-15/a b+c.csv", 'raw/date=2024-01-15/100%.csv', "raw/date=2024-01-16/\xc3\xa4&\xe2\x82\xac<x>.csv", 'raw/date=2024-01-16/x%41y.csv', q{raw/date=2024-01-16/quo'te!(1)*~,;:@$.csv});
put($keys[$_], "id,v\n$_,x\n") for 0 .. $#keys;
put('raw/date=2024-01-17/packed.csv.gz', packed("id,v\n10,gz\n"));
put('raw/other.txt', 'none');
sql(q{CREATE FOREIGN TABLE f.keys (id int, v text, _file text, _line bigint) SERVER lake OPTIONS (prefix 'raw/', pattern 'date=*/*');
SELECT etl.add_extract('p', 'keys', source => 'f.keys', target => 'raw.keys', file_changed => 'replace')});
run_inline('keys');
is(sql(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM raw.keys}), '0 1 2 3 4 10', 'keys with blanks, plus, percent, quotes and letters beyond ASCII');
is(sql(q{SELECT string_agg(_file, '|' ORDER BY id) FROM raw.keys WHERE id < 5}), join('|', @keys), 'are kept as they are');
run_inline('keys');
is(sql('SELECT count(*) FROM raw.keys'), '6', 'nothing is read twice');
put($keys[0], "id,v\n0,y\n");
run_inline('keys');
is(sql(q{SELECT string_agg(v || _etl_op, ' ' ORDER BY _etl_batch) FROM raw.keys WHERE id = 0}), 'xu xd yu', 'an object that changed in place is read again, the old version marked as deleted');
is(sql(q{SELECT string_agg(etag, ' ' ORDER BY updated_at) FROM etl.file_ledger WHERE path LIKE '%a b+c.csv'}), join(' ', md5_hex("id,v\n0,x\n"), md5_hex("id,v\n0,y\n")), 'the ledger has both versions');

$node->safe_psql('postgres', server('wrong', $ENV{ETL_TEST_S3_ENDPOINT}, 'Wr0ngSecret'));
sql(q{CREATE FOREIGN TABLE f.wrong (id int) SERVER wrong OPTIONS (prefix 'raw/')});
like(refused('SELECT * FROM f.wrong'), qr/28000: .*access to bucket "$bucket" was refused.*SignatureDoesNotMatch/s, 'a wrong secret is refused by the server');
unlike(refused('SELECT * FROM f.wrong'), qr/Wr0ngSecret/, 'and not shown');
sql(q{DROP USER MAPPING FOR CURRENT_USER SERVER wrong});
like(refused('SELECT * FROM f.wrong'), qr/28000/, 'so are requests without a signature');
sql(q{ALTER SERVER wrong OPTIONS (SET bucket 'there-is-none')});
sql("CREATE USER MAPPING FOR CURRENT_USER SERVER wrong OPTIONS (access_key_id '$ENV{ETL_TEST_S3_ACCESS_KEY}', secret_access_key '$ENV{ETL_TEST_S3_SECRET_KEY}')");
like(refused('SELECT * FROM f.wrong'), qr/HV00R: .*bucket "there-is-none" does not exist/s, 'a bucket that is not there');
like(refused(q{SET etl.allowed_hosts = '*'; SELECT * FROM f.keys}), qr/42501: .*DETAIL:  [Aa]ddress 127\.0\.0\.1.*HINT: .*etl\.allowed_hosts/s, 'an address of this machine only where it is allowed');

# Published examples of signatures: "Signature Calculations for the Authorization Header" in the S3 API reference, and the
# test suite of Signature Version 4 in the AWS General Reference.
SKIP:
{
	skip 'no library with fault points', 12 unless $ENV{ETL_TEST_FAULTS} && -d $ENV{ETL_TEST_FAULTS};
	my $library = `find $ENV{ETL_TEST_FAULTS} -name etl_ext.so | head -n 1`;
	chomp $library;
	$node->safe_psql('postgres', "CREATE DATABASE signatures");
	$node->safe_psql('signatures', "CREATE FUNCTION sign(method text, path text, query text[], header text[], payload text, scope text[]) RETURNS text LANGUAGE c STRICT AS '$library', 'etl_sigv4_test'");
	my $empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
	my @example = (
		['GET Object', "'GET', '/test.txt', '{}', '{host,examplebucket.s3.amazonaws.com,range,bytes=0-9,x-amz-content-sha256,$empty,x-amz-date,20130524T000000Z}', '$empty'", 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
		['PUT Object', q{'PUT', '/test$file.text', '{}', '{date,"Fri, 24 May 2013 00:00:00 GMT",host,examplebucket.s3.amazonaws.com,x-amz-content-sha256,44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072,x-amz-date,20130524T000000Z,x-amz-storage-class,REDUCED_REDUNDANCY}', '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072'}, '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd'],
		['GET Bucket Lifecycle', "'GET', '/', '{lifecycle,\"\"}', '{host,examplebucket.s3.amazonaws.com,x-amz-content-sha256,$empty,x-amz-date,20130524T000000Z}', '$empty'", 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
		['List Objects', "'GET', '/', '{prefix,J,max-keys,2}', '{host,examplebucket.s3.amazonaws.com,x-amz-content-sha256,$empty,x-amz-date,20130524T000000Z}', '$empty'", '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7']);
	my $sign = sub { return $node->safe_psql('signatures', "SELECT sign($_[0], '{$_[1]}')") };
	for my $e (@example)
	{
		like($sign->($e->[1], '20130524T000000Z,us-east-1,s3,AKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'), qr/Signature=$e->[2]$/, "published example: $e->[0]");
	}
	my $headers = 'host,example.amazonaws.com,x-amz-date,20150830T123600Z';
	my @suite = (
		['get-vanilla', "'GET', '/', '{}', '{$headers}', '$empty'", '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
		['get-vanilla-query-order-key', "'GET', '/', '{Param2,value2,Param1,value1}', '{$headers}', '$empty'", 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500'],
		['get-utf8', "'GET', U&'/\\1234', '{}', '{$headers}', '$empty'", '8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85'],
		['get-space', "'GET', '/example space/', '{}', '{$headers}', '$empty'", '652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741'],
		['get-header-value-trim', qq{'GET', '/', '{}', '{my-header1," value1",my-header2," \\"a   b   c\\"  ",$headers}', '$empty'}, 'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736'],
		['post-vanilla', "'POST', '/', '{}', '{$headers}', '$empty'", '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
		['post-x-www-form-urlencoded', "'POST', '/', '{}', '{content-type,application/x-www-form-urlencoded,$headers}', encode(sha256('Param1=value1'), 'hex')", 'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a']);
	for my $e (@suite)
	{
		like($sign->($e->[1], '20150830T123600Z,us-east-1,service,AKIDEXAMPLE,wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'), qr/Signature=$e->[2]$/, "published test: $e->[0]");
	}
}

# ---- lists in parts --------------------------------------------------------------------------------------------------

s3('fill', $bucket, 'many/', 1100);
sql(q{CREATE FOREIGN TABLE f.many (id int) SERVER lake OPTIONS (prefix 'many/');
SELECT etl.add_extract('p', 'many', source => 'f.many', target => 'raw.many')});
run_inline('many');
is(sql('SELECT count(*), count(DISTINCT id), sum(id) FROM raw.many'), '1100|1100|605550', 'a list of more than 1000 keys');
put('many/00500.csv', "id\n5000\n");
s3('rm', $bucket, 'many/00001.csv');
run_inline('many');
is(sql('SELECT count(*), max(id) FROM raw.many'), '1101|5000', 'of which only what has changed is read again');

# ---- a server that answers otherwise ---------------------------------------------------------------------------------

my $content = "id,v\n1,a\n2,b\n";
my $md5 = md5_hex($content);
my $other = EtlHttp->start(sub {
	my ($request) = @_;
	my $mode = EtlHttp::value('mode') // '';
	my $error = sub { return { status => $_[0], headers => $_[2] // [], body => "<?xml version=\"1.0\"?><Error><Code>$_[1]</Code><Message>said so</Message></Error>" } };
	# Its clock is two hours ahead.
	if ($mode eq 'skew')
	{
		my $now = time + 7200;
		my $stamp = strftime('%Y%m%dT%H', gmtime $now);
		return $error->(403, 'RequestTimeTooSkewed', ['Date: ' . strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime $now)]) if ($request->{headers}{'x-amz-date'} // '') !~ /^$stamp/;
	}
	return $error->(503, 'SlowDown') if $mode eq 'slow' && $request->{times} < 2;
	return $error->(500, 'InternalError') if $mode eq 'down';
	return $error->(403, 'AccessDenied') if $mode eq 'token' && ($request->{headers}{'x-amz-security-token'} // '') ne 'T0ken+/=';
	return $error->(403, 'AccessDenied') if $mode eq 'token' && $request->{headers}{authorization} !~ /SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,/;
	return { body => '<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>o.csv</Key><Size>' . length($content) . "</Size><ETag>&quot;$md5&quot;</ETag><LastModified>2024-01-15T10:00:00.000Z</LastModified></Contents></ListBucketResult>" } if $request->{query}{'list-type'};
	return $error->(412, 'PreconditionFailed') if $mode eq 'replaced' || ($request->{headers}{'if-match'} // '') ne "\"$md5\"";
	return { body => 'longer' . $content } if $mode eq 'longer';
	return { body => $content =~ tr/a/A/r } if $mode eq 'damaged';
	return { body => $content =~ tr/a/A/r, headers => ['x-amz-server-side-encryption: aws:kms'] } if $mode eq 'kms';
	return { body => $content =~ tr/a/A/r, headers => ['x-amz-server-side-encryption: AES256'] } if $mode eq 'aes';
	return { body => substr($content, 0, 5), framing => 'none' } if $mode eq 'short';
	return { body => $content };
});
$node->safe_psql('postgres', q{CREATE SERVER other FOREIGN DATA WRAPPER etl_s3 OPTIONS (bucket 'acme', addressing 'path', timeout '5 s', endpoint '} . $other->url . q{');
CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (access_key_id 'key', secret_access_key 'secret', session_token 'T0ken+/=');
CREATE FOREIGN TABLE f.other (id int, v text) SERVER other});

# said returns what the server's rows are, or how they are refused.
my @all;
sub said
{
	$other->forget;
	$other->set(mode => $_[0]);
	push @all, refused('SELECT string_agg(id || v, \' \' ORDER BY id) FROM f.other');
	return $all[-1];
}
like(said(''), qr/1a 2b/, 'an object');
like(said('token'), qr/1a 2b/, 'the session token is sent and signed');
like(said('skew'), qr/1a 2b/, 'the clock of the server counts');
like(said('slow'), qr/1a 2b/, 'SlowDown is tried again');
is(scalar(my @asked = $other->requests), 6, 'twice, for the list and for the object');
like(said('down'), qr/08006: .*bucket "acme" cannot be read.*HTTP 500, InternalError: said so/s, 'but not for ever');
like(said('replaced'), qr/ZE007: .*object "o\.csv" of bucket "acme" has changed/s, 'an object that was replaced after it was listed');
like(said('longer'), qr/ZE007: .*listed with 13 bytes, and now has 19/s, 'or has another size');
like(said('short'), qr/(ZE007|08006): /, 'an object that ends early where no length was said');
like(said('damaged'), qr/ZE012: .*the bytes of object "o\.csv" are not those that were stored/s, 'bytes that are others than those that were stored');
like(said('aes'), qr/ZE012: /, 'also where the server encrypts with a key of its own');
like(said('kms'), qr/1A 2b/, 'with a key of KMS the ETag is no MD5');
unlike(join('', @all), qr/T0ken/, 'the token is in no message');
$other->stop;

sql("ALTER SERVER lake OPTIONS (SET endpoint 'http://localhost:$port', ADD addressing 'virtual')");
is(sql(q{SELECT count(*) FROM f.many}), '1099', 'the bucket as a part of the host name');
sql("ALTER SERVER lake OPTIONS (SET endpoint '$ENV{ETL_TEST_S3_ENDPOINT}', DROP addressing)");

# ---- cut connections -------------------------------------------------------------------------------------------------

my $seed = $ENV{ETL_TEST_SEED} // int(rand(1_000_000));
srand($seed);
diag("seed $seed");
my $rows = 5000;
my $plain = "id,v\n" . join('', map { "$_," . md5_hex($_) . "\n" } 1 .. $rows);
my $packed = packed($plain);
my $proxy = EtlProxy->new($host, $port);
$node->safe_psql('postgres', server('cut', "http://127.0.0.1:" . $proxy->port, $ENV{ETL_TEST_S3_SECRET_KEY}));
put('cut/plain.csv', $plain);
put('cutz/packed.csv.gz', $packed);
my %size = (cut => length $plain, cutz => length $packed);
for my $name (sort keys %size)
{
	sql("CREATE FOREIGN TABLE f.$name (id int, v text) SERVER cut OPTIONS (prefix '$name/'); SELECT etl.add_extract('p', '$name', source => 'f.$name', target => 'raw.$name', chunk_rows => 1000, retry_delays => '{}')");
}
my ($errors, @wrong) = (0);
for my $n (1 .. 200)
{
	my $name = $n % 2 ? 'cut' : 'cutz';
	# Of ten cuts one is in the list; the others are in the object: anywhere, in its first or its last bytes.
	my $of_list = $n % 10 == 0;
	my $after = $of_list ? 1 + int(rand(900)) : $n % 10 < 6 ? 1 + int(rand($size{$name} + 500)) : $n % 10 < 8 ? 1 + int(rand(700)) : $size{$name} - 20 + int(rand(60));
	sql("TRUNCATE raw.$name; DELETE FROM etl.file_ledger WHERE path LIKE '$name/%'");
	$proxy->cut(after => $after, reset => int(rand(2)), skip => $of_list ? 0 : 1);
	my $said = refused("SELECT etl.run_pipeline('p', tasks => '{$name}')");
	my $state = sql("SELECT error_sqlstate FROM etl.task_run WHERE task = '$name' ORDER BY task_run_id DESC LIMIT 1");
	my $there = sql("SELECT count(*), count(DISTINCT id) FROM raw.$name");
	if ($said =~ /^no error/)
	{
		push @wrong, "cut $n of $name after $after: success with $there" if $there ne "$rows|$rows";
		next;
	}
	$errors++;
	my ($count, $distinct) = split /\|/, $there;
	push @wrong, "cut $n of $name after $after: error $state, rows $there" if $state !~ /^(08|ZE007)/ || $count != $distinct || $count % 1000 != 0;
	sql("SELECT etl.run_pipeline('p', tasks => '{$name}')");
	my $after_all = sql("SELECT count(*), count(DISTINCT id) FROM raw.$name");
	push @wrong, "cut $n of $name after $after: the next run ends with $after_all" if $after_all ne "$rows|$rows";
}
is(join("\n", @wrong), '', '200 cuts: each is an error of a kind that is tried again, or nothing is missing; the next run completes exactly');
cmp_ok($errors, '>', 100, "most of them are errors ($errors)");
$proxy->stop;

$node->stop;
done_testing();
