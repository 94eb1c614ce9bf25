/*
 * problem.c
 *		What goes wrong in librdkafka. See problem.h.
 */
#include "postgres.h"

#include "kafka/problem.h"

/* In the order of how much they explain; those from UNKNOWN_USER on do not pass by themselves. */
typedef enum Kind
{
	NONE,
	SILENCE,
	NO_CONNECTION,
	OTHER,
	UNKNOWN_USER,
	NO_RIGHT,
	NO_TOPIC,
	OFFSET_GONE,
	TOO_LARGE,
	DAMAGED,
	BAD_CERTIFICATE,
	CLIENT_DEAD
} Kind;

/* is_certificate says whether the certificate of a broker is what was refused. */
static bool
is_certificate(const EtlKafkaProblem *problem)
{
	return problem->code == RD_KAFKA_RESP_ERR__SSL && strstr(problem->text, "certificate") != NULL;
}

/* kind_of sorts what librdkafka reports. */
static Kind
kind_of(const EtlKafkaProblem *problem)
{
	switch (problem->code)
	{
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			return NONE;
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
			return SILENCE;
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__RESOLVE:
			return NO_CONNECTION;
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
			return UNKNOWN_USER;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			return NO_RIGHT;
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
			return NO_TOPIC;
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
			return OFFSET_GONE;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
			return TOO_LARGE;
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
			return DAMAGED;
		case RD_KAFKA_RESP_ERR__FATAL:
			return CLIENT_DEAD;
		default:
			return is_certificate(problem) ? BAD_CERTIFICATE : OTHER;
	}
}

/* is_final: all kinds from here on. */
static bool
is_final(Kind kind)
{
	return kind >= UNKNOWN_USER;
}

/* etl_kafka_problem_is_final knows what does not pass by itself. */
bool
etl_kafka_problem_is_final(const EtlKafkaProblem *problem)
{
	return is_final(kind_of(problem));
}

/* rank orders problems: what explains more is higher; of those that are final, the last one counts. */
static int
rank(const EtlKafkaProblem *problem)
{
	return Min(kind_of(problem), UNKNOWN_USER);
}

/* etl_kafka_problem_is_of_groups knows those of the coordinator. */
bool
etl_kafka_problem_is_of_groups(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
		   code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
		   code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS || code == RD_KAFKA_RESP_ERR_INVALID_GROUP_ID ||
		   code == RD_KAFKA_RESP_ERR__WAIT_COORD;
}

/* etl_kafka_problem_keep cuts the text off where it is too long. */
void
etl_kafka_problem_keep(EtlKafkaProblem *problem, rd_kafka_resp_err_t code, const char *text)
{
	EtlKafkaProblem new = {.code = code};

	strlcpy(new.text, text != NULL ? text : rd_kafka_err2str(code), sizeof(new.text));
	if (rank(&new) >= rank(problem))
		*problem = new;
}

/* words_of returns the text of a problem as a sentence for an error; what a broker says may be any bytes, even a secret. */
static char *
words_of(const EtlKafkaProblem *problem, const EtlKafkaTable *table)
{
	const char *text = problem->text;
	char *words;

	if (table->sasl_password != NULL && strstr(text, table->sasl_password) != NULL)
		text = "the answer is not shown, as it contains the password";
	words = pstrdup(text);
	for (char *c = words; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || (unsigned char) *c > '~')
			*c = '?';
	return words;
}

/* raise_user raises the error for a user that a broker does not know, or does not let read. */
static void
pg_attribute_noreturn() raise_user(Kind kind, const EtlKafkaTable *table, const char *words)
{
	if (kind == NO_RIGHT)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("server \"%s\" does not let topic \"%s\" be read", table->server_name, table->topic),
						errdetail("librdkafka: %s.", words),
						errhint("Grant the user of the user mapping READ and DESCRIBE on the topic.")));
	ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
					errmsg("server \"%s\" refuses the user of the user mapping", table->server_name),
					errdetail("librdkafka: %s.", words),
					errhint("Correct sasl_username and sasl_password with ALTER USER MAPPING, or sasl_mechanism and"
							" security_protocol with ALTER SERVER.")));
}

/* raise_messages raises the error for messages that cannot be had. */
static void
pg_attribute_noreturn() raise_messages(Kind kind, const EtlKafkaTable *table, const char *words)
{
	/* It was there when the read began; the next attempt sees what is there now, and has a policy for it. */
	if (kind == OFFSET_GONE)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("topic \"%s\" has changed while it was read", table->topic),
						errdetail("librdkafka: %s.", words),
						errhint("The next attempt goes on where this one has come, or says what was lost.")));
	if (kind == TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("topic \"%s\" has a message that is too large", table->topic),
				 errdetail("librdkafka: %s.", words), errhint("Raise receive_message_max_bytes of the server.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED), errmsg("topic \"%s\" has messages that cannot be read", table->topic),
			 errdetail("librdkafka: %s.", words),
			 errhint("If the messages themselves are broken, etl.set_kafka_offset goes on behind them.")));
}

/* raise_server raises the error for brokers that cannot be reached or trusted. */
static void
pg_attribute_noreturn() raise_server(Kind kind, const EtlKafkaTable *table, const char *words, const char *what)
{
	if (kind == BAD_CERTIFICATE)
		ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
						errmsg("the certificate of server \"%s\" cannot be trusted", table->server_name),
						errdetail("librdkafka: %s.", words),
						errhint("Give the server the option ssl_ca_pem, or ask a superuser to set etl.tls_ca_file; the"
								" name in brokers must be one that the certificate is for.")));
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("could not %s server \"%s\"", what, table->server_name),
					errdetail("librdkafka: %s.", words),
					errhint("Check that the brokers run and can be reached from this server; what was read so far is"
							" kept.")));
}

/* etl_kafka_problem_raise chooses the SQLSTATE. */
void
etl_kafka_problem_raise(const EtlKafkaProblem *problem, const EtlKafkaTable *table, const char *what)
{
	const char *words = words_of(problem, table);
	Kind kind = kind_of(problem);

	switch (kind)
	{
		case UNKNOWN_USER:
		case NO_RIGHT:
			raise_user(kind, table, words);
			break;
		case NO_TOPIC:
			ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
							errmsg("server \"%s\" has no topic \"%s\"", table->server_name, table->topic),
							errdetail("librdkafka: %s.", words),
							errhint("Correct the options topic and partitions of the foreign table.")));
			break;
		case OFFSET_GONE:
		case TOO_LARGE:
		case DAMAGED:
			raise_messages(kind, table, words);
			break;
		default:
			break;
	}
	raise_server(kind, table, words, what);
}
