/*
 * options.c
 *		The options of foreign data wrapper etl_kafka. See options.h.
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "format/record.h"
#include "kafka/options.h"
#include "kafka/table.h"
#include "net/endpoint.h"
#include "net/option.h"

PG_FUNCTION_INFO_V1(etl_kafka_validator);

/* Settings of librdkafka that a server may have, with their limits; what is held in memory stays bounded. */
typedef struct Setting
{
	const char *option;
	const char *key;
	int64 least;
	int64 most;
} Setting;

static const Setting settings[] = {
	{"fetch_wait_max_ms", "fetch.wait.max.ms", 1, 10000},
	{"fetch_min_bytes", "fetch.min.bytes", 1, 1048576},
	{"fetch_max_bytes", "fetch.max.bytes", 1024, 33554432},
	{"fetch_error_backoff_ms", "fetch.error.backoff.ms", 10, 10000},
	{"max_partition_fetch_bytes", "max.partition.fetch.bytes", 1024, 33554432},
	{"receive_message_max_bytes", "receive.message.max.bytes", 1048576, 67108864},
	{"queued_max_messages_kbytes", "queued.max.messages.kbytes", 1024, 32768},
	{"queued_min_messages", "queued.min.messages", 1, 1000000},
	{"socket_timeout_ms", "socket.timeout.ms", 1000, 300000},
	{"socket_connection_setup_timeout_ms", "socket.connection.setup.timeout.ms", 1000, 300000},
	{"socket_receive_buffer_bytes", "socket.receive.buffer.bytes", 0, 16777216},
	{"socket_max_fails", "socket.max.fails", 0, 1000},
	{"broker_address_ttl", "broker.address.ttl", 0, 86400000},
	{"connections_max_idle_ms", "connections.max.idle.ms", 0, 2147483647},
	{"reconnect_backoff_ms", "reconnect.backoff.ms", 1, 60000},
	{"reconnect_backoff_max_ms", "reconnect.backoff.max.ms", 1, 600000},
};

/* is_topic accepts what Kafka does. */
static bool
is_topic(const char *value)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return strlen(value) <= 249 && strspn(value, allowed) == strlen(value) && strcmp(value, ".") != 0 &&
		   strcmp(value, "..") != 0;
}

/* is_broker accepts host, host:port, [address of IPv6] and [address of IPv6]:port. */
static bool
is_broker(const char *broker)
{
	char host[256];
	const char *end = strrchr(broker, ':');
	bool bracket = broker[0] == '[';

	if (bracket)
	{
		end = strchr(broker, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		end++;
		if (*end == '\0')
			end = NULL;
	}
	if (end != NULL && !etl_option_is_port(end + 1))
		return false;
	strlcpy(host, bracket ? broker + 1 : broker, sizeof(host));
	if (end != NULL && end - broker < sizeof(host))
		host[end - broker - (bracket ? 2 : 0)] = '\0';
	else if (bracket)
		host[strcspn(host, "]")] = '\0';
	return etl_option_is_host(host) && (bracket || strchr(host, ':') == NULL);
}

/* is_brokers accepts a list with commas. */
static bool
is_brokers(const char *value)
{
	char *copy = pstrdup(value);
	char *next;

	if (strlen(value) > 2000)
		return false;
	for (char *broker = copy; broker != NULL; broker = next)
	{
		next = strchr(broker, ',');
		if (next != NULL)
			*next++ = '\0';
		while (*broker == ' ')
			broker++;
		if (!is_broker(broker))
			return false;
	}
	return true;
}

/* Checks of options that are one of a few words. */
static bool
is_protocol(const char *value)
{
	static const char *const words[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_mechanism(const char *value)
{
	static const char *const words[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_format(const char *value)
{
	static const char *const words[] = {"json", "text", "bytea", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_policy(const char *value)
{
	static const char *const words[] = {"error", "earliest", "latest", NULL};

	return etl_option_is_one_of(value, words);
}

static bool
is_family(const char *value)
{
	static const char *const words[] = {"any", "v4", "v6", NULL};

	return etl_option_is_one_of(value, words);
}

/* is_pem accepts certificates, and nothing that could be a key. */
static bool
is_pem(const char *value)
{
	return strncmp(value, "-----BEGIN CERTIFICATE-----", 27) == 0 && strstr(value, "PRIVATE KEY") == NULL &&
		   strstr(value, "-----END CERTIFICATE-----") != NULL;
}

static bool
is_start(const char *value)
{
	EtlKafkaStart start;
	int64 ms;

	return etl_kafka_table_parse_start(value, &start, &ms);
}

static bool
is_partitions(const char *value)
{
	int n;

	(void) etl_kafka_table_parse_partitions(value, &n);
	return n > 0;
}

static bool
is_client_id(const char *value)
{
	return strlen(value) <= 200 && is_topic(value);
}

static const EtlOption kafka_option[] = {
	{"brokers", ForeignServerRelationId, true, is_brokers,
	 "It is one or more of host:port, separated by commas, such as k1:9092,k2:9092."},
	{"security_protocol", ForeignServerRelationId, false, is_protocol,
	 "Use plaintext, ssl, sasl_plaintext or sasl_ssl."},
	{"sasl_mechanism", ForeignServerRelationId, false, is_mechanism, "Use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."},
	{"client_id", ForeignServerRelationId, false, is_client_id,
	 "It is at most 200 letters, digits, dots, hyphens and underscores."},
	{"timeout", ForeignServerRelationId, false, etl_option_is_time,
	 "It is a time with its unit between 100 ms and 10 min, such as 30 s."},
	{"ssl_ca_pem", ForeignServerRelationId, false, is_pem,
	 "It is the text of one or more certificates in PEM format, from -----BEGIN CERTIFICATE----- on.", .hidden = true,
	 .lines = true},
	{"broker_address_family", ForeignServerRelationId, false, is_family, "Use any, v4 or v6."},
	{"client_rack", ForeignServerRelationId, false, is_client_id,
	 "It is at most 200 letters, digits, dots, hyphens and underscores."},
	{"socket_keepalive_enable", ForeignServerRelationId, false, etl_option_is_bool, "Use true or false."},
	{"socket_nagle_disable", ForeignServerRelationId, false, etl_option_is_bool, "Use true or false."},
	{"fetch_wait_max_ms", ForeignServerRelationId, false},
	{"fetch_min_bytes", ForeignServerRelationId, false},
	{"fetch_max_bytes", ForeignServerRelationId, false},
	{"fetch_error_backoff_ms", ForeignServerRelationId, false},
	{"max_partition_fetch_bytes", ForeignServerRelationId, false},
	{"receive_message_max_bytes", ForeignServerRelationId, false},
	{"queued_max_messages_kbytes", ForeignServerRelationId, false},
	{"queued_min_messages", ForeignServerRelationId, false},
	{"socket_timeout_ms", ForeignServerRelationId, false},
	{"socket_connection_setup_timeout_ms", ForeignServerRelationId, false},
	{"socket_receive_buffer_bytes", ForeignServerRelationId, false},
	{"socket_max_fails", ForeignServerRelationId, false},
	{"broker_address_ttl", ForeignServerRelationId, false},
	{"connections_max_idle_ms", ForeignServerRelationId, false},
	{"reconnect_backoff_ms", ForeignServerRelationId, false},
	{"reconnect_backoff_max_ms", ForeignServerRelationId, false},
	{"sasl_username", UserMappingRelationId, false},
	{"sasl_password", UserMappingRelationId, false},
	{"topic", ForeignTableRelationId, true, is_topic,
	 "It is the name of one topic: at most 249 letters, digits, dots, hyphens and underscores."},
	{"value_format", ForeignTableRelationId, false, is_format, "Use json, text or bytea."},
	{"on_out_of_range", ForeignTableRelationId, false, is_policy, "Use error, earliest or latest."},
	{"start", ForeignTableRelationId, false, is_start,
	 "Use earliest, latest or a moment with its zone such as 2026-01-31T00:00:00Z."},
	{"max_records", ForeignTableRelationId, false, etl_option_is_count, "It is a number of messages, at least 1."},
	{"max_wait", ForeignTableRelationId, false, etl_option_is_wait,
	 "It is a time with its unit between 1 s and 24 h, such as 10 min."},
	{"partitions", ForeignTableRelationId, false, is_partitions, "It is a list of numbers, such as 0,2,5."},
	{"json", AttributeRelationId, false, etl_record_is_path,
	 "It is a jsonpath that begins with $, such as $.customer.id; $ alone is the whole value."},
	{NULL},
};

/* etl_kafka_options_setting looks in both lists: numbers, and what is one of a few words. */
const char *
etl_kafka_options_setting(const char *option)
{
	static const char *const words[][2] = {{"broker_address_family", "broker.address.family"},
										   {"client_rack", "client.rack"},
										   {"socket_keepalive_enable", "socket.keepalive.enable"},
										   {"socket_nagle_disable", "socket.nagle.disable"}};

	for (int i = 0; i < lengthof(settings); i++)
		if (strcmp(settings[i].option, option) == 0)
			return settings[i].key;
	for (int i = 0; i < lengthof(words); i++)
		if (strcmp(words[i][0], option) == 0)
			return words[i][1];
	return NULL;
}

/* check_limits checks the settings that are numbers. */
static void
check_limits(const List *given)
{
	for (int i = 0; i < lengthof(settings); i++)
	{
		const Setting *setting = &settings[i];
		const char *value = etl_endpoint_option(given, setting->option);

		if (value == NULL || (strlen(value) <= 10 && strspn(value, "0123456789") == strlen(value) &&
							  atoll(value) >= setting->least && atoll(value) <= setting->most))
			continue;
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("option \"%s\" has an invalid value", setting->option), errdetail("It is \"%s\".", value),
			 errhint("It is a number between " INT64_FORMAT " and " INT64_FORMAT ".", setting->least, setting->most)));
	}
}

/* check_server refuses options that need another one. */
static void
check_server(const List *given)
{
	const char *protocol = etl_endpoint_option(given, "security_protocol");
	bool sasl = protocol != NULL && strncmp(protocol, "sasl_", 5) == 0;
	bool ssl = protocol != NULL && strstr(protocol, "ssl") != NULL;

	if (etl_endpoint_option(given, "sasl_mechanism") != NULL && !sasl)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("sasl_mechanism needs a user"),
						errdetail("The security_protocol is %s.", protocol ? protocol : "plaintext"),
						errhint("Set security_protocol to sasl_ssl, or leave sasl_mechanism out.")));
	if (etl_endpoint_option(given, "ssl_ca_pem") != NULL && !ssl)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("ssl_ca_pem needs TLS"),
						errdetail("The security_protocol is %s.", protocol ? protocol : "plaintext"),
						errhint("Set security_protocol to ssl or sasl_ssl, or leave ssl_ca_pem out.")));
	check_limits(given);
}

/* etl.kafka_validator(text[], oid) */
Datum
etl_kafka_validator(PG_FUNCTION_ARGS)
{
	Oid catalog = PG_GETARG_OID(1);
	List *given = etl_option_check(kafka_option, PG_GETARG_DATUM(0), catalog);

	if (catalog == ForeignServerRelationId)
		check_server(given);
	PG_RETURN_VOID();
}
