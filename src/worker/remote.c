/*
 * remote.c
 *		Cutting connections. See remote.h.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "worker/remote.h"

/* Highest descriptor that is looked at; the libraries of foreign data wrappers use the lowest that are free. */
#define MAX_DESCRIPTOR 1024

/* is_connection says whether a descriptor is a connected stream: a background worker has none but to other servers. */
static bool
is_connection(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	int type = 0;
	socklen_t type_length = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) == 0 && type == SOCK_STREAM &&
		   getpeername(fd, (struct sockaddr *) &peer, &length) == 0;
}

/*
 * etl_remote_cut shuts the connections down but does not close them: their descriptors still belong to the libraries,
 * which see the end of the stream. All calls are safe in a signal handler.
 */
void
etl_remote_cut(void)
{
	for (int fd = 3; fd < MAX_DESCRIPTOR; fd++)
		if (is_connection(fd))
			(void) shutdown(fd, SHUT_RDWR);
}
