/*
 * socket.c
 *		The sockets of a transfer: libcurl's callbacks that make them, each to an address that is allowed. See handle.h.
 *
 * They run inside libcurl: nothing is palloc'ed and no error is raised here. The address is the one that the name was
 * resolved to, so that a name which leads elsewhere the next time gains nothing.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/handle.h"

/* refuse notes an address that is not allowed. */
static void
refuse(EtlHandle *handle, const struct sockaddr *addr)
{
	const void *bytes = addr->sa_family == AF_INET6 ? (const void *) &((const struct sockaddr_in6 *) addr)->sin6_addr
													: (const void *) &((const struct sockaddr_in *) addr)->sin_addr;

	if ((addr->sa_family != AF_INET && addr->sa_family != AF_INET6) ||
		inet_ntop(addr->sa_family, bytes, handle->refused, sizeof(handle->refused)) == NULL)
		strcpy(handle->refused, "of another kind");
}

/* is_allowed says whether a connection may be made; a proxy was named by a superuser. */
static bool
is_allowed(EtlHandle *handle, const struct sockaddr *addr)
{
	if (handle->by_proxy ? addr->sa_family == AF_INET || addr->sa_family == AF_INET6
						 : etl_address_is_allowed(handle->allowed, handle->host, handle->port, addr))
		return true;
	refuse(handle, addr);
	return false;
}

/* open_socket is libcurl's callback for a new socket; those of a mail are noted. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	EtlHandle *handle = arg;
	curl_socket_t fd;

	if (!is_allowed(handle, &address->addr) || (!handle->is_http && handle->n_sockets >= ETL_HANDLE_SOCKETS))
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!handle->is_http)
		handle->socket[handle->n_sockets++] = fd;
	return fd;
}

/* close_socket is libcurl's callback for the end of a socket of a mail. */
static int
close_socket(void *arg, curl_socket_t fd)
{
	EtlHandle *handle = arg;

	for (int i = 0; i < handle->n_sockets; i++)
		if (handle->socket[i] == fd)
			handle->socket[i] = handle->socket[--handle->n_sockets];
	return close(fd);
}

/* before_request is libcurl's callback before a request is sent, also over a connection that was made for another. */
static int
before_request(void *arg, char *address, char *local_address, int port, int local_port)
{
	EtlHandle *handle = arg;
	struct sockaddr_storage storage = {0};
	struct sockaddr *addr = (struct sockaddr *) &storage;

	if (inet_pton(AF_INET, address, &((struct sockaddr_in *) addr)->sin_addr) == 1)
		addr->sa_family = AF_INET;
	else if (inet_pton(AF_INET6, address, &((struct sockaddr_in6 *) addr)->sin6_addr) == 1)
		addr->sa_family = AF_INET6;
	else
		addr->sa_family = AF_UNIX;
	return is_allowed(handle, addr) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* read_target takes host and port out of the address; false when there is none, or no memory. */
static bool
read_target(EtlHandle *handle, const char *address)
{
	CURLU *url = curl_url();
	char *host = NULL;
	char *port = NULL;
	bool found = url != NULL && curl_url_set(url, CURLUPART_URL, address, 0) == CURLUE_OK &&
				 curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
				 curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;

	if (found)
	{
		size_t length = strlen(host);
		bool bracketed = length > 2 && host[0] == '[' && host[length - 1] == ']';

		handle->host = strdup(bracketed ? host + 1 : host);
		if (handle->host != NULL && bracketed)
			handle->host[length - 2] = '\0';
		handle->port = atoi(port);
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	return found && handle->host != NULL;
}

/* Sets an option; failures are collected in the variable failed. */
#define SET(option, value) (failed |= curl_easy_setopt(handle->easy, option, value) != CURLE_OK)

/* etl_socket_set sets libcurl's callbacks for sockets. An address that cannot be read is left to libcurl to refuse. */
bool
etl_socket_set(EtlHandle *handle, const char *url)
{
	bool failed = false;

	(void) read_target(handle, url);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, handle);
	SET(CURLOPT_PREREQFUNCTION, before_request);
	SET(CURLOPT_PREREQDATA, handle);
	if (!handle->is_http)
	{
		/* Connections of HTTP may outlive their handle, so that it cannot be told of their end. */
		SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
		SET(CURLOPT_CLOSESOCKETDATA, handle);
	}
	return !failed;
}
