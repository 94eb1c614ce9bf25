/*
 * guard.c
 *		Decides in librdkafka's threads whether a connection may be made. See guard.h.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

#include "kafka/guard.h"
#include "net/address.h"

#define LONGEST_HOST 256

struct EtlKafkaGuard
{
	EtlAddressList *allowed;
	pthread_mutex_t mutex; /* of what follows */
	bool refused;
	char host[LONGEST_HOST];
	char address[INET6_ADDRSTRLEN];
};

/* etl_kafka_guard_make parses the list. */
EtlKafkaGuard *
etl_kafka_guard_make(void)
{
	EtlAddressList *allowed = etl_address_list();
	EtlKafkaGuard *guard = calloc(1, sizeof(EtlKafkaGuard));

	if (guard == NULL)
	{
		free(allowed);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	guard->allowed = allowed;
	pthread_mutex_init(&guard->mutex, NULL);
	return guard;
}

/* etl_kafka_guard_free is called when no thread can use it any more. */
void
etl_kafka_guard_free(EtlKafkaGuard *guard)
{
	if (guard == NULL)
		return;
	pthread_mutex_destroy(&guard->mutex);
	free(guard->allowed);
	free(guard);
}

/* split takes host and port out of "host:port", where an address of IPv6 may stand in brackets. */
static bool
split(const char *broker, char *host, int *port)
{
	const char *colon = strrchr(broker, ':');
	size_t length = colon != NULL ? colon - broker : 0;

	if (length == 0 || length >= LONGEST_HOST)
		return false;
	if (broker[0] == '[' && broker[length - 1] == ']')
	{
		broker++;
		length -= 2;
	}
	memcpy(host, broker, length);
	host[length] = '\0';
	*port = atoi(colon + 1);
	return true;
}

/* refuse notes what was refused; the last one counts. */
static void
refuse(EtlKafkaGuard *guard, const char *host, const struct sockaddr *address)
{
	pthread_mutex_lock(&guard->mutex);
	guard->refused = true;
	strcpy(guard->host, host);
	strcpy(guard->address, "?");
	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *) address)->sin_addr, guard->address, sizeof(guard->address));
	else if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) address)->sin6_addr, guard->address,
				  sizeof(guard->address));
	pthread_mutex_unlock(&guard->mutex);
}

/* etl_kafka_guard_connect runs in a thread of librdkafka, where nothing of PostgreSQL may be called. */
int
etl_kafka_guard_connect(int socket, const struct sockaddr *address, int length, const char *broker, void *opaque)
{
	EtlKafkaGuard *guard = opaque;
	char host[LONGEST_HOST] = "";
	int port = 0;

	if (!split(broker, host, &port) || !etl_address_is_allowed(guard->allowed, host, port, address))
	{
		refuse(guard, host, address);
		return EACCES;
	}
	if (connect(socket, address, length) != 0 && errno != EINPROGRESS)
		return errno;
	return 0;
}

/* etl_kafka_guard_check looks from PostgreSQL's thread. */
void
etl_kafka_guard_check(EtlKafkaGuard *guard)
{
	char host[LONGEST_HOST];
	char address[INET6_ADDRSTRLEN];
	bool refused;

	pthread_mutex_lock(&guard->mutex);
	refused = guard->refused;
	strcpy(host, guard->host);
	strcpy(address, guard->address);
	pthread_mutex_unlock(&guard->mutex);
	if (refused)
		etl_address_refuse(address, host[0] != '\0' ? host : NULL);
}
