/*
 * guard.h
 *		Decides, in librdkafka's threads, whether a connection may be made: etl.allowed_hosts holds for the brokers of the
 *		server's options and for those that the brokers name. Memory of malloc only.
 */
#ifndef ETL_KAFKA_GUARD_H
#define ETL_KAFKA_GUARD_H

#include <sys/socket.h>

typedef struct EtlKafkaGuard EtlKafkaGuard;

/* Takes etl.allowed_hosts as it is now. Errors: 53200. */
extern EtlKafkaGuard *etl_kafka_guard_make(void);
extern void etl_kafka_guard_free(EtlKafkaGuard *guard);

/* librdkafka's connect_cb; opaque is the guard. */
extern int etl_kafka_guard_connect(int socket, const struct sockaddr *address, int length, const char *broker,
								   void *opaque);

/* Raises the error (42501) for an address that was refused, if one was. */
extern void etl_kafka_guard_check(EtlKafkaGuard *guard);

#endif /* ETL_KAFKA_GUARD_H */
