# A TCP proxy that cuts a connection after a given number of bytes from the server.
#
#   my $proxy = EtlProxy->new($host, $port);          port: $proxy->port
#       with rewrite => sub { ... } what the server sends goes through it, with the proxy's port: (bytes, port) -> bytes
#   $proxy->cut(after => 120, behind => qr/ORDER BY/, reset => 1);
#       the next connection is cut when it has handed on 120 bytes from the server, counted from when the client has sent
#       something that matches (from the start without "behind"); with reset by RST instead of FIN. Later connections pass.
#       skip => 1 lets one connection pass first; last => 1: the proxy ends with the connection.
#   $proxy->counted;                                   bytes that the armed connection has counted; waits until it has ended
#   $proxy->was_cut;                                   whether the armed connection has reached its limit; does not wait
#   $proxy->stop;
package EtlProxy;

use strict;
use warnings;
use parent 'EtlChild';
use File::Temp;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);

sub new
{
	my ($class, $host, $port, %how) = @_;
	my $self = bless { dir => File::Temp->newdir, rewrite => $how{rewrite} }, $class;
	return $self->spawn('proxy', sub {
		my ($listener, $parent) = @_;
		_serve($self, $listener, $host, $port, $parent);
	});
}

# cut arms the proxy for the next connection.
sub cut
{
	my ($self, %how) = @_;
	unlink "$self->{dir}/counted";
	$self->{after} = $how{after};
	_write($self, 'armed', join("\n", $how{after}, $how{behind} // '', $how{reset} // 0, $how{skip} // 0, $how{last} // 0));
}

# counted returns how many bytes the armed connection had when it ended.
sub counted
{
	my ($self) = @_;
	for (1 .. 1200)
	{
		if (open my $file, '<', "$self->{dir}/counted")
		{
			my $n = <$file>;
			return $n;
		}
		select undef, undef, undef, 0.05;
	}
	die 'proxy: the armed connection never ended';
}

# was_cut says whether the armed connection was cut.
sub was_cut
{
	my ($self) = @_;
	open(my $file, '<', "$self->{dir}/counted") or return 0;
	return (<$file> // 0) >= $self->{after};
}

sub _write
{
	my ($self, $name, $content) = @_;
	open my $file, '>', "$self->{dir}/$name.new" or die "proxy: $!";
	print $file $content;
	close $file;
	rename "$self->{dir}/$name.new", "$self->{dir}/$name" or die "proxy: $!";
}

# _take_order returns what the next connection is to suffer: (bytes, pattern, reset), or nothing.
sub _take_order
{
	my ($self) = @_;
	open(my $file, '<', "$self->{dir}/armed") or return;
	chomp(my @order = <$file>);
	if ($order[3] > 0)
	{
		_write($self, 'armed', join("\n", @order[ 0 .. 2 ], $order[3] - 1, $order[4]));
		return;
	}
	unlink "$self->{dir}/armed";
	return { left => $order[0], behind => $order[1], reset => $order[2], last => $order[4], counted => 0, counting => $order[1] eq '' };
}

# _serve hands bytes on, in both directions, for all connections.
sub _serve
{
	my ($self, $listener, $host, $port, $parent) = @_;
	my $select = IO::Select->new($listener);
	my (%peer, %order);
	my $end = sub {
		my ($client) = @_;
		my $order = $order{$client};
		if ($order && $order->{reset} && $order->{left} <= 0)
		{
			setsockopt $client, SOL_SOCKET, SO_LINGER, pack('II', 1, 0);
		}
		my @both = ($client, $peer{$client});
		for my $socket (@both)
		{
			$select->remove($socket);
			delete $peer{$socket};
			$socket->close;
		}
		_write($self, 'counted', $order->{counted}) if $order;
		if ($order && $order->{last}) { require POSIX; POSIX::_exit(0) }
		delete $order{$client};
	};
	while (1)
	{
		exit 0 if getppid != $parent;
		for my $socket ($select->can_read(1))
		{
			if ($socket == $listener)
			{
				my $client = $listener->accept or next;
				my $server = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port);
				if (!$server) { $client->close; next }
				$client->blocking(1);
				@peer{ $client, $server } = ($server, $client);
				${*$client}{etl_client} = 1;
				$order{$client} = _take_order($self);
				$select->add($client, $server);
				next;
			}
			next unless $peer{$socket};
			my $from_client = ${*$socket}{etl_client};
			my $client = $from_client ? $socket : $peer{$socket};
			my $got = sysread $socket, my $bytes, 16384;
			if (!$got) { $end->($client); next }
			my $order = $order{$client};
			$bytes = $self->{rewrite}->($bytes, $self->{port}) if $self->{rewrite} && !$from_client;
			if ($from_client)
			{
				$order->{counting} = 1 if $order && !$order->{counting} && $bytes =~ /$order->{behind}/;
			}
			elsif ($order && $order->{counting})
			{
				$bytes = substr $bytes, 0, $order->{left} if length $bytes > $order->{left};
				$order->{left} -= length $bytes;
				$order->{counted} += length $bytes;
			}
			my $sent = 0;
			while ($sent < length $bytes)
			{
				my $n = syswrite $peer{$socket}, $bytes, length($bytes) - $sent, $sent;
				last unless $n;
				$sent += $n;
			}
			$end->($client) if $sent < length $bytes || ($order && $order->{counting} && $order->{left} <= 0);
		}
	}
}

1;
