/*
 * address.h
 *		Which hosts etl_ext may talk to: the setting etl.allowed_hosts, and the check of the address that a connection is
 *		about to be made to.
 *
 * A list is parsed once into memory of malloc. The check uses nothing else and calls nothing of PostgreSQL, so that it may
 * run in callbacks of libraries and in their threads.
 *
 * Entries, separated by commas: "*" (any host, at a public address), a host name, "*.example.com" (any name below it), an
 * address or a network like 10.1.0.0/16, each but a network with ":port" if only that port is meant; IPv6 addresses with a
 * port stand in brackets. A private address is allowed where the host's name is listed, or an address or network that it
 * is in; an address that serves metadata of machines only by the latter.
 */
#ifndef ETL_ADDRESS_H
#define ETL_ADDRESS_H

#include <sys/socket.h>

#include "utils/guc.h"

typedef struct EtlAddressList EtlAddressList;

/* Parses a list; NULL: *problem says why, in words, or is NULL when there was no memory. Freed with free(). */
extern EtlAddressList *etl_address_parse(const char *text, const char **problem);

/* The list of etl.allowed_hosts now; raises an error when there is no memory. In PostgreSQL's thread only. */
extern EtlAddressList *etl_address_list(void);

/* Whether a connection may be made. host: as written by the server's owner, NULL: not known. Thread-safe, raises nothing. */
extern bool etl_address_is_allowed(const EtlAddressList *list, const char *host, int port, const struct sockaddr *addr);

/* Whether a proxy may be asked for a host; it alone knows the address. Thread-safe, raises nothing. */
extern bool etl_address_is_host_allowed(const EtlAddressList *list, const char *host, int port);

/* Whether a host is listed by more than "*". Thread-safe, raises nothing. */
extern bool etl_address_is_host_listed(const EtlAddressList *list, const char *host, int port);

/* Whether an address belongs to the public part of the internet. Thread-safe, raises nothing. */
extern bool etl_address_is_public(const struct sockaddr *addr);

/* Raises the error (42501) for an address that is not allowed; host may be NULL. */
extern void etl_address_refuse(const char *address, const char *host) pg_attribute_noreturn();

/* Check hooks of etl.allowed_hosts and etl.http_proxy. */
extern bool etl_address_check_allowed_hosts(char **value, void **extra, GucSource source);
extern bool etl_address_check_http_proxy(char **value, void **extra, GucSource source);

#endif /* ETL_ADDRESS_H */
