/*
 * table.c
 *		A foreign table of etl_kafka. See table.h.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "format/input.h"
#include "guc.h"
#include "kafka/options.h"
#include "kafka/table.h"
#include "net/endpoint.h"
#include "net/option.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Columns that are filled from a message, not from its value; type 0: any. */
static const struct
{
	const char *name;
	Oid type;
} own_column[ETL_KAFKA_COLUMNS] = {
	[ETL_KAFKA_VALUE] = {"value", InvalidOid},
	[ETL_KAFKA_KEY] = {"key", InvalidOid},
	[ETL_KAFKA_HEADERS] = {"headers", JSONBOID},
	[ETL_KAFKA_TOPIC] = {"_topic", TEXTOID},
	[ETL_KAFKA_PARTITION] = {"_partition", INT4OID},
	[ETL_KAFKA_OFFSET] = {"_offset", INT8OID},
	[ETL_KAFKA_TIMESTAMP] = {"_timestamp", TIMESTAMPTZOID},
};

/* has_zone says whether a text looks like a moment of ISO 8601 with its zone, so that no setting changes what it means. */
static bool
has_zone(const char *text)
{
	static const char pattern[] = "0000-00-00T00:00";
	const char *rest;

	for (int i = 0; i < (int) sizeof(pattern) - 1; i++)
		if (pattern[i] == '0' ? !isdigit((unsigned char) text[i])
							  : text[i] != pattern[i] && !(pattern[i] == 'T' && text[i] == ' '))
			return false;
	rest = text + sizeof(pattern) - 1;
	rest += strspn(rest, ":0123456789.");
	if (strcmp(rest, "Z") == 0)
		return true;
	return (*rest == '+' || *rest == '-') && strlen(rest) >= 3 && strlen(rest) <= 6 &&
		   strspn(rest + 1, ":0123456789") == strlen(rest + 1);
}

/* parse_moment lets PostgreSQL read it. */
static bool
parse_moment(const char *text, int64 *ms)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;
	volatile TimestampTz moment = 0;
	EtlBadRow ignored;

	PG_TRY();
	{
		moment = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
														 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		etl_input_keep_error(&ignored, context);
		good = false;
	}
	PG_END_TRY();
	*ms = moment / 1000 + ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) * SECS_PER_DAY * 1000;
	return good && *ms >= 0;
}

/* etl_kafka_table_parse_start knows two words; all else is a moment. */
bool
etl_kafka_table_parse_start(const char *text, EtlKafkaStart *start, int64 *ms)
{
	*ms = 0;
	if (strcmp(text, "earliest") == 0)
		*start = ETL_KAFKA_EARLIEST;
	else if (strcmp(text, "latest") == 0)
		*start = ETL_KAFKA_LATEST;
	else
	{
		*start = ETL_KAFKA_MOMENT;
		return has_zone(text) && parse_moment(text, ms);
	}
	return true;
}

/* etl_kafka_table_parse_partitions reads numbers below a million. */
int *
etl_kafka_table_parse_partitions(const char *text, int *n)
{
	int *list = palloc(sizeof(int) * (strlen(text) + 1));

	*n = 0;
	for (const char *c = text;;)
	{
		int digits = strspn(c, "0123456789");

		if (digits == 0 || digits > 6)
			break;
		list[(*n)++] = atoi(c);
		c += digits;
		if (*c == '\0')
			return list;
		if (*c++ != ',')
			break;
		while (*c == ' ')
			c++;
	}
	*n = -1;
	return list;
}

/* etl_kafka_table_has_sasl looks at the protocol. */
bool
etl_kafka_table_has_sasl(const EtlKafkaTable *table)
{
	return strncmp(table->security_protocol, "sasl_", 5) == 0;
}

/* read_server reads the options of the server and the user mapping. */
static void
read_server(EtlKafkaTable *table, const EtlSource *source, Oid user)
{
	ForeignServer *server = GetForeignServer(source->server);
	EtlEndpoint endpoint = {source->server, server->options, NIL};
	const char *protocol = etl_endpoint_option(server->options, "security_protocol");
	ListCell *cell;

	table->server_name = server->servername;
	table->brokers = etl_endpoint_option(server->options, "brokers");
	table->security_protocol = protocol != NULL ? protocol : "plaintext";
	table->client_id = etl_endpoint_option(server->options, "client_id");
	table->ca_pem = etl_endpoint_option(server->options, "ssl_ca_pem");
	table->ca_file = etl_tls_ca_file != NULL && etl_tls_ca_file[0] != '\0' ? pstrdup(etl_tls_ca_file) : NULL;
	table->timeout = etl_endpoint_timeout(&endpoint);
	foreach (cell, server->options)
		if (etl_kafka_options_setting(lfirst_node(DefElem, cell)->defname) != NULL)
			table->setting = lappend(table->setting, lfirst(cell));
	if (!etl_kafka_table_has_sasl(table))
		return;
	table->sasl_mechanism = etl_endpoint_option(server->options, "sasl_mechanism");
	if (table->sasl_mechanism == NULL)
		table->sasl_mechanism = "PLAIN";
	etl_endpoint_read_mapping(&endpoint, user);
	table->sasl_username = etl_endpoint_option(endpoint.mapping_options, "sasl_username");
	table->sasl_password = etl_endpoint_option(endpoint.mapping_options, "sasl_password");
}

/* read_options reads the options of the foreign table but value_format. */
static void
read_options(EtlKafkaTable *table, const List *options)
{
	const char *policy = etl_endpoint_option(options, "on_out_of_range");
	const char *start = etl_endpoint_option(options, "start");
	const char *text;

	table->topic = etl_endpoint_option(options, "topic");
	table->out_of_range = ETL_KAFKA_ERROR;
	if (policy != NULL && strcmp(policy, "error") != 0)
		table->out_of_range = strcmp(policy, "earliest") == 0 ? ETL_KAFKA_EARLIEST : ETL_KAFKA_LATEST;
	table->start = ETL_KAFKA_EARLIEST;
	table->start_text = start;
	if (start != NULL)
		(void) etl_kafka_table_parse_start(start, &table->start, &table->start_ms);
	text = etl_endpoint_option(options, "max_records");
	table->max_records = text != NULL ? atoll(text) : 0;
	text = etl_endpoint_option(options, "max_wait");
	if (text != NULL)
		(void) etl_option_parse_wait(text, &table->max_wait);
	text = etl_endpoint_option(options, "partitions");
	if (text != NULL)
		table->partition = etl_kafka_table_parse_partitions(text, &table->n_partitions);
}

/* own_of returns which of the named columns a column is, or -1: a column with the option json is a field of that value. */
static int
own_of(const EtlSource *source, const EtlColumn *column)
{
	for (int i = 0; i < ETL_KAFKA_COLUMNS; i++)
		if (strcmp(own_column[i].name, column->name) == 0 &&
			etl_endpoint_option(GetForeignColumnOptions(source->oid, column->attnum), "json") == NULL)
			return i;
	return -1;
}

/* check_type refuses a column whose type is not what it is filled with. */
static void
check_type(const EtlSource *source, const EtlColumn *column, int own)
{
	Oid type = own_column[own].type;

	if (OidIsValid(type) && column->type != type)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of %s must be of type %s", column->name, source->name, format_type_be(type)),
				 errdetail("It is of type %s.", format_type_be(column->type)),
				 errhint("Change the type; or give the column the option json '$.%s' if it is a field of the"
						 " value.",
						 column->name)));
}

/* read_columns finds out what each column of the table takes; returns the type of the column value, or InvalidOid. */
static Oid
read_columns(EtlKafkaTable *table, const EtlSource *source)
{
	const EtlSource *all = etl_relation_describe(source->oid, NULL);
	Oid value_type = InvalidOid;
	int n = 0;

	for (int i = 0; i < ETL_KAFKA_COLUMNS; i++)
		table->column[i] = -1;
	for (int i = 0; i < all->n; i++)
	{
		int own = own_of(all, &all->column[i]);

		if (own < 0)
		{
			table->has_fields = true;
			continue;
		}
		check_type(source, &all->column[i], own);
		table->own[n++] = own_column[own].name;
		table->column[own] = etl_input_find(source, own_column[own].name);
		if (own == ETL_KAFKA_VALUE)
		{
			table->has_value = true;
			value_type = all->column[i].type;
		}
	}
	return value_type;
}

/* read_format finds out what values are, and refuses columns that do not fit. */
static void
read_format(EtlKafkaTable *table, const EtlSource *source, const char *format, Oid value_type)
{
	if (format == NULL)
		format = table->has_fields || value_type == JSONBOID || value_type == JSONOID ? "json"
				 : value_type == BYTEAOID											  ? "bytea"
																					  : "text";
	table->format = strcmp(format, "json") == 0	   ? ETL_KAFKA_JSON
					: strcmp(format, "bytea") == 0 ? ETL_KAFKA_BYTEA
												   : ETL_KAFKA_TEXT;
	if (table->format != ETL_KAFKA_JSON && table->has_fields)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("value_format '%s' of %s does not fit its columns", format, source->name),
						errdetail("A column that is not one of value, key, headers, _topic, _partition, _offset and"
								  " _timestamp is a field of a JSON value."),
						errhint("Leave value_format out, or drop the column.")));
	if (OidIsValid(value_type) && (table->format == ETL_KAFKA_BYTEA) != (value_type == BYTEAOID))
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
						errmsg("column \"value\" of %s does not fit value_format '%s'", source->name, format),
						errdetail("It is of type %s.", format_type_be(value_type)),
						errhint("Values of format bytea need a column of type bytea, others do not.")));
}

/* etl_kafka_table_read reads options and columns. */
EtlKafkaTable *
etl_kafka_table_read(const EtlSource *source, Oid user)
{
	EtlKafkaTable *table = palloc0(sizeof(EtlKafkaTable));
	List *options = GetForeignTable(source->oid)->options;

	read_server(table, source, user);
	read_options(table, options);
	read_format(table, source, etl_endpoint_option(options, "value_format"), read_columns(table, source));
	return table;
}
