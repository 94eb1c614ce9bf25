/*
 * config.c
 *		The configuration of librdkafka for a table. See config.h.
 *
 * What a feed relies on is set last, so that no option can change it: positions are ours alone, nothing is read that is not
 * committed, checksums are looked at, a position that is not there is an error, certificates are verified, logs come to us.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "kafka/config.h"
#include "kafka/options.h"
#include "net/endpoint.h"
#include "nodes/parsenodes.h"

/* Shortest socket.timeout.ms, which must be longer than a broker waits for messages. */
#define LEAST_SOCKET_TIMEOUT 2000

/* Defaults of ours: large fetches, and a queue that keeps an executor below 128 MB. */
static const char *const preset[][2] = {
	{"fetch.wait.max.ms", "100"},
	{"fetch.min.bytes", "1"},
	{"fetch.max.bytes", "2097152"},
	{"max.partition.fetch.bytes", "1048576"},
	{"queued.max.messages.kbytes", "8192"},
	{"queued.min.messages", "60000"},
	{"receive.message.max.bytes", "33554432"},
	{"message.max.bytes", "1000"},
	{"socket.keepalive.enable", "true"},
	{"reconnect.backoff.ms", "100"},
	{"reconnect.backoff.max.ms", "1000"},
	{"log_level", "4"},
};

static const char *const fixed[][2] = {
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	{"auto.offset.reset", "error"},
	{"isolation.level", "read_committed"},
	{"enable.partition.eof", "true"},
	{"check.crcs", "true"},
	{"allow.auto.create.topics", "false"},
	{"statistics.interval.ms", "0"},
	{"log.queue", "true"},
	{"enable.ssl.certificate.verification", "true"},
	{"ssl.endpoint.identification.algorithm", "https"},
};

/* set sets one; a value that is secret is in no message. */
static void
set(rd_kafka_conf_t *conf, const char *key, const char *value, bool secret)
{
	char why[256];

	if (value != NULL && rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("librdkafka does not accept a value of \"%s\"", key),
				 secret ? errdetail("The value is not shown, as it may be secret.") : errdetail("librdkafka: %s.", why),
				 errhint("Correct the option with ALTER SERVER or ALTER USER MAPPING.")));
}

/* set_user sets user and password. */
static void
set_user(rd_kafka_conf_t *conf, const EtlKafkaTable *table)
{
	if (!etl_kafka_table_has_sasl(table))
		return;
	if (table->sasl_username == NULL || table->sasl_password == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("server \"%s\" asks for a user, and the user mapping has none", table->server_name),
						errdetail("Its security_protocol is %s.", table->security_protocol),
						errhint("CREATE USER MAPPING FOR ... SERVER ... OPTIONS (sasl_username '...', sasl_password"
								" '...').")));
	set(conf, "sasl.mechanisms", table->sasl_mechanism, false);
	set(conf, "sasl.username", table->sasl_username, true);
	set(conf, "sasl.password", table->sasl_password, true);
}

/* set_all sets everything. */
static void
set_all(rd_kafka_conf_t *conf, const EtlKafkaTable *table)
{
	char number[16];
	ListCell *cell;

	for (int i = 0; i < lengthof(preset); i++)
		set(conf, preset[i][0], preset[i][1], false);
	snprintf(number, sizeof(number), "%d", Min(Max(table->timeout, LEAST_SOCKET_TIMEOUT), 300000));
	set(conf, "socket.timeout.ms", number, false);
	foreach (cell, table->setting)
	{
		DefElem *setting = lfirst_node(DefElem, cell);

		set(conf, etl_kafka_options_setting(setting->defname), defGetString(setting), false);
	}
	set(conf, "bootstrap.servers", table->brokers, false);
	set(conf, "security.protocol", table->security_protocol, false);
	set(conf, "client.id", table->client_id != NULL ? table->client_id : "etl_ext", false);
	/* Nobody joins the group: partitions are assigned by hand. librdkafka wants a name all the same. */
	set(conf, "group.id", table->client_id != NULL ? table->client_id : "etl_ext", false);
	if (strstr(table->security_protocol, "ssl") != NULL && table->ca_pem != NULL)
		set(conf, "ssl.ca.pem", table->ca_pem, true);
	else if (strstr(table->security_protocol, "ssl") != NULL)
		set(conf, "ssl.ca.location", table->ca_file, true);
	set_user(conf, table);
	for (int i = 0; i < lengthof(fixed); i++)
		set(conf, fixed[i][0], fixed[i][1], false);
}

/* etl_kafka_config_make makes it. */
rd_kafka_conf_t *
etl_kafka_config_make(const EtlKafkaTable *table, EtlKafkaGuard *guard)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	PG_TRY();
	{
		set_all(conf, table);
	}
	PG_CATCH();
	{
		rd_kafka_conf_destroy(conf);
		PG_RE_THROW();
	}
	PG_END_TRY();
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
	rd_kafka_conf_set_opaque(conf, guard);
	rd_kafka_conf_set_connect_cb(conf, etl_kafka_guard_connect);
	return conf;
}
