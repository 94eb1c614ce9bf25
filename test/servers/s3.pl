#!/usr/bin/perl
# A small S3 client for the tests: it signs on its own, so that the extension's signatures are not checked by themselves.
#   s3.pl mb BUCKET                    makes a bucket; one that is there already is fine
#   s3.pl put BUCKET KEY [FILE]        stores an object, of standard input without a file; prints its ETag
#   s3.pl fill BUCKET PREFIX N          stores N objects PREFIX00001.csv, ... with their number
#   s3.pl get BUCKET KEY               prints an object
#   s3.pl rm BUCKET KEY                removes an object
#   s3.pl ls [BUCKET [PREFIX]]         prints the buckets, or the keys of one
#   s3.pl request METHOD TARGET [HEADER: VALUE]...
#                                      any request with an empty body, TARGET as it goes over the wire ("/b?prefix=a%20b");
#                                      prints the status line, the headers and the body
# Endpoint and keys: ETL_TEST_S3_ENDPOINT, ETL_TEST_S3_ACCESS_KEY, ETL_TEST_S3_SECRET_KEY, ETL_TEST_S3_REGION.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex hmac_sha256 hmac_sha256_hex);
use HTTP::Tiny;
use POSIX qw(strftime);

binmode STDIN;
binmode STDOUT;

sub setting
{
	my ($name) = @_;
	return $ENV{"ETL_TEST_S3_$name"} // die "ETL_TEST_S3_$name is not set\n";
}

my $endpoint = setting('ENDPOINT');
my ($host) = $endpoint =~ m{^https?://([^/]+)} or die "ETL_TEST_S3_ENDPOINT is not a URL\n";

# escaped encodes bytes as the signature wants it: all but unreserved characters, and those in $keep.
sub escaped
{
	my ($text, $keep) = @_;
	$text =~ s/([^A-Za-z0-9_.~$keep-])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

sub path_of
{
	my ($bucket, $key) = @_;
	return '/' . escaped($bucket, '') . (defined $key ? '/' . escaped($key, '/') : '');
}

# send_request signs a request and sends it: AWS Signature Version 4 in the Authorization header.
sub send_request
{
	my ($method, $target, $body, %headers) = @_;
	my ($path, $query) = split /\?/, $target, 2;
	my $now = strftime('%Y%m%dT%H%M%SZ', gmtime);
	my $scope = join '/', substr($now, 0, 8), setting('REGION'), 's3', 'aws4_request';
	my %signed = (
		'host' => $host,
		'x-amz-content-sha256' => sha256_hex($body),
		'x-amz-date' => $now);
	my $names = join ';', sort keys %signed;
	my $canonical_query = join '&', sort map { /=/ ? $_ : "$_=" } split /&/, $query // '';
	my $canonical = join "\n", $method, $path, $canonical_query, (map { "$_:$signed{$_}" } sort keys %signed), '',
	  $names, $signed{'x-amz-content-sha256'};
	my $key = 'AWS4' . setting('SECRET_KEY');
	$key = hmac_sha256($_, $key) foreach split m{/}, $scope;
	my $signature = hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256', $now, $scope, sha256_hex($canonical)), $key);

	delete $signed{host};    # HTTP::Tiny adds the same one.
	my $authorization = 'AWS4-HMAC-SHA256 Credential=' . setting('ACCESS_KEY') . "/$scope, SignedHeaders=$names, "
	  . "Signature=$signature";
	our $client //= HTTP::Tiny->new(timeout => 60, max_redirect => 0);
	return $client->request($method, $endpoint . $target,
		{ headers => { %headers, %signed, authorization => $authorization }, content => $body });
}

# checked ends the program unless the response is a success.
sub checked
{
	my ($response) = @_;
	die "$response->{status} $response->{reason}\n$response->{content}\n" unless $response->{success};
	return $response;
}

sub unescaped_xml
{
	my ($text) = @_;
	my %entities = (lt => '<', gt => '>', quot => '"', apos => "'", amp => '&');
	$text =~ s/&(?:#x([0-9A-Fa-f]+)|#(\d+)|(\w+));/defined $3 ? $entities{$3} : chr(defined $1 ? hex $1 : $2)/ge;
	return $text;
}

sub list_keys
{
	my ($bucket, $prefix) = @_;
	my $token;
	do
	{
		my $query = 'list-type=2&prefix=' . escaped($prefix // '', '');
		$query = 'continuation-token=' . escaped($token, '') . "&$query" if defined $token;
		my $page = checked(send_request('GET', path_of($bucket) . "?$query", ''))->{content};
		print unescaped_xml($1), "\n" while $page =~ m{<Key>(.*?)</Key>}gs;
		($token) = $page =~ m{<NextContinuationToken>(.*?)</NextContinuationToken>};
		$token = unescaped_xml($token) if defined $token;
	} while (defined $token);
	return;
}

sub file_content
{
	my ($file) = @_;
	local $/ = undef;
	return scalar <STDIN> // '' unless defined $file;
	open my $handle, '<:raw', $file or die "$file: $!\n";
	return scalar <$handle> // '';
}

my ($command, @arguments) = @ARGV;
$command //= '';
if ($command eq 'mb' && @arguments == 1)
{
	my $response = send_request('PUT', path_of(@arguments), '');
	checked($response) unless $response->{content} =~ /BucketAlreadyOwnedByYou/;
}
elsif ($command eq 'put' && @arguments >= 2)
{
	my ($bucket, $key, $file) = @arguments;
	print checked(send_request('PUT', path_of($bucket, $key), file_content($file)))->{headers}{etag}, "\n";
}
elsif ($command eq 'fill' && @arguments == 3)
{
	my ($bucket, $prefix, $n) = @arguments;
	checked(send_request('PUT', path_of($bucket, sprintf '%s%05d.csv', $prefix, $_), "id\n$_\n")) for 1 .. $n;
}
elsif ($command eq 'get' && @arguments == 2)
{
	print checked(send_request('GET', path_of(@arguments), ''))->{content};
}
elsif ($command eq 'rm' && @arguments == 2)
{
	checked(send_request('DELETE', path_of(@arguments), ''));
}
elsif ($command eq 'ls' && !@arguments)
{
	my $page = checked(send_request('GET', '/', ''))->{content};
	print "$1\n" while $page =~ m{<Name>(.*?)</Name>}g;
}
elsif ($command eq 'ls')
{
	list_keys(@arguments);
}
elsif ($command eq 'request' && @arguments >= 2)
{
	my ($method, $target, @headers) = @arguments;
	my $response = send_request($method, $target, '', map { split /:\s*/, $_, 2 } @headers);
	print "$response->{status} ", $response->{reason} // '', "\n";
	foreach my $name (sort keys %{ $response->{headers} })
	{
		my $value = $response->{headers}{$name};
		print map { "$name: $_\n" } ref $value ? @$value : $value;
	}
	print "\n$response->{content}";
}
else
{
	die "usage: s3.pl mb|put|fill|get|rm|ls|request ...; its first lines say more\n";
}
