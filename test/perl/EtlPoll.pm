# poll_query_until of a server that restarts: psql may end, because it cannot connect, before the query is written to it, and
# IPC::Run then dies of the broken pipe instead of letting the poll go on.
package EtlPoll;
use strict;
use warnings;
use PostgreSQL::Test::Cluster;

my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;
no warnings 'redefine';

*PostgreSQL::Test::Cluster::poll_query_until = sub {
	my @argument = @_;
	for (1 .. 1000)
	{
		my $good = eval { $poll->(@argument) };
		return $good unless $@;
		die $@ unless $@ =~ /Broken pipe/;
	}
	die $@;
};

1;
