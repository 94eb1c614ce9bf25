/*
 * address.c
 *		Which hosts etl_ext may talk to. See address.h.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>

#include "guc.h"
#include "net/address.h"

#define LONGEST_NAME 253

typedef enum EntryKind
{
	ENTRY_ANY,	  /* "*" */
	ENTRY_NAME,	  /* a host name */
	ENTRY_BELOW,  /* "*.example.com": name is ".example.com" */
	ENTRY_NETWORK /* an address has all its bits */
} EntryKind;

/* Addresses are compared as IPv6; those of IPv4 as ::ffff:a.b.c.d. */
typedef struct Entry
{
	EntryKind kind;
	int port; /* 0: any */
	int bits;
	unsigned char address[16];
	char name[LONGEST_NAME + 1];
} Entry;

struct EtlAddressList
{
	int n;
	Entry entry[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct Network
{
	unsigned char address[16];
	int bits;
} Network;

#define V4(a, b, c, d, bits)                                                                                           \
	{                                                                                                                  \
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, 96 + (bits)                                            \
	}
#define V4_BITS 96

/* What is not public: IANA's registries of special addresses, and those that contain an address of IPv4. */
static const Network special[] = {
	V4(0, 0, 0, 0, 8),		V4(10, 0, 0, 0, 8),		V4(100, 64, 0, 0, 10), V4(127, 0, 0, 0, 8),
	V4(169, 254, 0, 0, 16), V4(172, 16, 0, 0, 12),	V4(192, 0, 0, 0, 24),  V4(192, 0, 2, 0, 24),
	V4(192, 88, 99, 0, 24), V4(192, 168, 0, 0, 16), V4(198, 18, 0, 0, 15), V4(198, 51, 100, 0, 24),
	V4(203, 0, 113, 0, 24), V4(224, 0, 0, 0, 4),	V4(240, 0, 0, 0, 4),
};

/* Everything of IPv6 but 2000::/3 is special, and in that these. */
static const Network special6[] = {
	{{0x20, 0x01}, 23},							/* protocols, Teredo and ORCHID among them */
	{{0x20, 0x01, 0x0d, 0xb8}, 32},				/* documentation */
	{{0x20, 0x02}, 16},							/* 6to4 */
	{{0x3f, 0xff}, 20},							/* documentation */
	{{0x26, 0x20, 0x00, 0x4f, 0x80, 0x00}, 48}, /* AS112 */
};

/* Where machines in clouds find secrets of their own. */
static const Network metadata[] = {
	V4(169, 254, 169, 254, 32),
	V4(169, 254, 170, 2, 32),
	V4(100, 100, 100, 200, 32),
	V4(192, 0, 0, 192, 32),
	{{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128},
};

/* has_prefix says whether the first bits of two addresses are the same. */
static bool
has_prefix(const unsigned char *address, const unsigned char *network, int bits)
{
	int rest = bits % 8;

	if (memcmp(address, network, bits / 8) != 0)
		return false;
	return rest == 0 || ((address[bits / 8] ^ network[bits / 8]) >> (8 - rest)) == 0;
}

/* is_in says whether an address is in one of the networks. */
static bool
is_in(const unsigned char *address, const Network *network, int n)
{
	for (int i = 0; i < n; i++)
		if (has_prefix(address, network[i].address, network[i].bits))
			return true;
	return false;
}

/* take_v4 writes an address of IPv4 as one of IPv6. */
static void
take_v4(const void *v4, unsigned char *address)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, v4, 4);
}

/* read_sockaddr takes the address out of a socket's; false for unix sockets and others. */
static bool
read_sockaddr(const struct sockaddr *addr, unsigned char *address)
{
	if (addr->sa_family == AF_INET)
		take_v4(&((const struct sockaddr_in *) addr)->sin_addr, address);
	else if (addr->sa_family == AF_INET6)
		memcpy(address, &((const struct sockaddr_in6 *) addr)->sin6_addr, 16);
	else
		return false;
	return true;
}

/* is_public says whether an address is public; one of IPv4 that came within one of IPv6 is not. */
static bool
is_public(const unsigned char *address, bool is_v6)
{
	if (is_v6)
		return (address[0] & 0xe0) == 0x20 && !is_in(address, special6, lengthof(special6));
	return !is_in(address, special, lengthof(special));
}

/* etl_address_is_public says whether an address belongs to the public part of the internet. */
bool
etl_address_is_public(const struct sockaddr *addr)
{
	unsigned char address[16];

	return read_sockaddr(addr, address) && is_public(address, addr->sa_family == AF_INET6);
}

/* is_same compares names without regard to case; the first is of length bytes. */
static bool
is_same(const char *name, size_t length, const char *other)
{
	for (size_t i = 0; i < length; i++)
		if (other[i] == '\0' || tolower((unsigned char) name[i]) != tolower((unsigned char) other[i]))
			return false;
	return other[length] == '\0';
}

/* is_named says whether an entry lists a host by its name. */
static bool
is_named(const Entry *entry, const char *host)
{
	size_t length = host != NULL ? strlen(host) : 0;
	size_t end = strlen(entry->name);

	if (length > 0 && host[length - 1] == '.')
		length--;
	if (entry->kind == ENTRY_NAME)
		return length > 0 && is_same(host, length, entry->name);
	return entry->kind == ENTRY_BELOW && length > end && is_same(host + length - end, end, entry->name);
}

/* etl_address_is_allowed says whether a connection may be made. */
bool
etl_address_is_allowed(const EtlAddressList *list, const char *host, int port, const struct sockaddr *addr)
{
	unsigned char address[16];
	bool guarded;
	bool public;

	if (!read_sockaddr(addr, address))
		return false;
	guarded = is_in(address, metadata, lengthof(metadata));
	public = is_public(address, addr->sa_family == AF_INET6);
	for (int i = 0; i < list->n; i++)
	{
		const Entry *entry = &list->entry[i];

		if (entry->port != 0 && entry->port != port)
			continue;
		if ((entry->kind == ENTRY_NETWORK && has_prefix(address, entry->address, entry->bits)) ||
			(entry->kind == ENTRY_ANY && public) || (!guarded && is_named(entry, host)))
			return true;
	}
	return false;
}

/* read_literal reads an address into a socket's; false: it is a name. */
static bool
read_literal(const char *text, struct sockaddr_storage *storage)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) storage;

	memset(storage, 0, sizeof(*storage));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		storage->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		storage->ss_family = AF_INET6;
	return storage->ss_family != AF_UNSPEC;
}

/* etl_address_is_host_allowed says whether a proxy may be asked for a host. */
bool
etl_address_is_host_allowed(const EtlAddressList *list, const char *host, int port)
{
	struct sockaddr_storage storage;

	if (read_literal(host, &storage))
		return etl_address_is_allowed(list, host, port, (const struct sockaddr *) &storage);
	if (is_same(host, strlen(host), "localhost"))
		return false;
	for (int i = 0; i < list->n; i++)
	{
		const Entry *entry = &list->entry[i];

		if ((entry->port == 0 || entry->port == port) && (entry->kind == ENTRY_ANY || is_named(entry, host)))
			return true;
	}
	return false;
}

/* etl_address_is_host_listed says whether a host is listed by its name, or as an address. */
bool
etl_address_is_host_listed(const EtlAddressList *list, const char *host, int port)
{
	struct sockaddr_storage storage;
	unsigned char address[16];
	bool is_literal = read_literal(host, &storage) && read_sockaddr((const struct sockaddr *) &storage, address);

	for (int i = 0; i < list->n; i++)
	{
		const Entry *entry = &list->entry[i];

		if ((entry->port == 0 || entry->port == port) &&
			(is_named(entry, host) ||
			 (is_literal && entry->kind == ENTRY_NETWORK && has_prefix(address, entry->address, entry->bits))))
			return true;
	}
	return false;
}

/* read_number reads digits into a number up to most; false: it is none. */
static bool
read_number(const char *text, int most, int *number)
{
	*number = 0;
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++)
	{
		if (*text < '0' || *text > '9')
			return false;
		*number = *number * 10 + (*text - '0');
		if (*number > most)
			return false;
	}
	return true;
}

/* is_name says whether a text may be a host's name: no address in a form that only some libraries know. */
static bool
is_name(const char *name)
{
	const char *last = strrchr(name, '.') ? strrchr(name, '.') + 1 : name;

	if (*name == '\0' || strstr(name, "..") != NULL || *last == '\0' || isdigit((unsigned char) *last))
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (!isalnum((unsigned char) *c) && *c != '.' && *c != '-' && *c != '_')
			return false;
	return true;
}

/* parse_network reads the bits of a network, whose address has been read; NULL, or what is wrong. */
static const char *
parse_network(const char *bits, bool is_v6, Entry *entry)
{
	int most = is_v6 ? 128 : 32;

	if (!read_number(bits, most, &entry->bits))
		return "a network ends with the number of its bits";
	entry->bits += is_v6 ? 0 : V4_BITS;
	for (int i = entry->bits; i < 128; i++)
		if (entry->address[i / 8] & (0x80 >> (i % 8)))
			return "a network has bits set behind its prefix";
	return NULL;
}

/* parse_host reads an entry without its port; NULL, or what is wrong. */
static const char *
parse_host(char *text, Entry *entry)
{
	struct sockaddr_storage storage;
	char *slash = strchr(text, '/');

	if (slash != NULL)
		*slash = '\0';
	if (read_literal(text, &storage))
	{
		bool is_v6 = storage.ss_family == AF_INET6;

		entry->kind = ENTRY_NETWORK;
		entry->bits = 128;
		(void) read_sockaddr((const struct sockaddr *) &storage, entry->address);
		if (slash != NULL)
			return entry->port != 0 ? "a network takes no port" : parse_network(slash + 1, is_v6, entry);
		return NULL;
	}
	if (slash != NULL)
		return "a network begins with an address";
	entry->kind = strcmp(text, "*") == 0 ? ENTRY_ANY : strncmp(text, "*.", 2) == 0 ? ENTRY_BELOW : ENTRY_NAME;
	if (entry->kind == ENTRY_ANY)
		return NULL;
	if (!is_name(entry->kind == ENTRY_BELOW ? text + 2 : text) || strlen(text) > LONGEST_NAME)
		return "it is neither *, a host name, *.domain, an address nor a network";
	strcpy(entry->name, entry->kind == ENTRY_BELOW ? text + 1 : text);
	return NULL;
}

/* parse_entry reads one entry; NULL, or what is wrong. */
static const char *
parse_entry(char *text, Entry *entry)
{
	char *colon = strrchr(text, ':');
	char *end = NULL;

	memset(entry, 0, sizeof(*entry));
	if (text[0] == '[')
	{
		end = strchr(text, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return "brackets are not closed";
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		text++;
	}
	else if (colon != NULL && strchr(text, ':') != colon)
		colon = NULL; /* an address of IPv6 */
	if (colon != NULL)
	{
		*colon = '\0';
		if (!read_number(colon + 1, 65535, &entry->port) || entry->port == 0)
			return "a port is a number between 1 and 65535";
	}
	return parse_host(text, entry);
}

/* etl_address_parse parses a list. */
EtlAddressList *
etl_address_parse(const char *text, const char **problem)
{
	size_t n = 1;
	char *copy = strdup(text);
	EtlAddressList *list;
	char *next = copy;

	for (const char *c = text; *c != '\0'; c++)
		n += *c == ',';
	list = calloc(1, offsetof(EtlAddressList, entry) + n * sizeof(Entry));
	*problem = NULL;
	while (copy != NULL && list != NULL && next != NULL && *problem == NULL)
	{
		char *entry = next + strspn(next, " \t\n\r");
		size_t length;

		next = strchr(entry, ',');
		if (next != NULL)
			*next++ = '\0';
		length = strlen(entry);
		while (length > 0 && strchr(" \t\n\r", entry[length - 1]) != NULL)
			entry[--length] = '\0';
		if (length > 0)
			*problem = parse_entry(entry, &list->entry[list->n++]);
		else if (next != NULL || list->n > 0)
			*problem = "an entry is empty";
	}
	if (copy == NULL || *problem != NULL)
	{
		free(list);
		list = NULL;
	}
	free(copy);
	return list;
}

/* etl_address_list returns the list of etl.allowed_hosts now. */
EtlAddressList *
etl_address_list(void)
{
	const char *problem;
	EtlAddressList *list = etl_address_parse(etl_allowed_hosts, &problem);

	if (list == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("The list etl.allowed_hosts needed more.")));
	return list;
}

/* etl_address_refuse raises the error for an address that is not allowed. */
void
etl_address_refuse(const char *address, const char *host)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("address %s is not allowed", address),
					host != NULL ? errdetail("The host \"%s\" leads there.", host)
								 : errdetail("A connection would have been made to it."),
					errhint("Ask a superuser to add the host, the address or its network to etl.allowed_hosts.")));
}

/* etl_address_check_allowed_hosts is the check hook of etl.allowed_hosts. */
bool
etl_address_check_allowed_hosts(char **value, void **extra, GucSource source)
{
	const char *problem;
	EtlAddressList *list = etl_address_parse(*value, &problem);

	if (list == NULL)
	{
		GUC_check_errdetail("%s.", problem != NULL ? problem : "out of memory");
		GUC_check_errhint("Entries are *, host names, *.domain, addresses and networks, separated by commas.");
	}
	free(list);
	return list != NULL;
}

/* etl_address_check_http_proxy is the check hook of etl.http_proxy. */
bool
etl_address_check_http_proxy(char **value, void **extra, GucSource source)
{
	if (**value == '\0' || strncmp(*value, "http://", 7) == 0 || strncmp(*value, "https://", 8) == 0)
		return true;
	GUC_check_errdetail("A proxy begins with \"http://\" or \"https://\".");
	return false;
}
