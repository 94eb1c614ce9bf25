/*
 * dataset.c
 *		How relations are called outside of this database. See dataset.h.
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/dbcommands.h"
#include "compat.h"
#include "foreign/foreign.h"
#include "lineage/dataset.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "net/endpoint.h"
#include "postmaster/postmaster.h"
#include "utils/lsyscache.h"

/* A foreign table with all that names it. */
typedef struct Source
{
	Oid relation;
	const char *wrapper;
	const char *server_name;
	List *server;
	List *table;
} Source;

/* option returns an option of the table, or else of the server, or else a default. */
static const char *
option(const Source *source, const char *name, const char *otherwise)
{
	const char *value = etl_endpoint_option(source->table, name);

	if (value == NULL)
		value = etl_endpoint_option(source->server, name);
	return value && value[0] != '\0' ? value : otherwise;
}

/* first_of returns the first element of a list with commas. */
static char *
first_of(const char *list)
{
	while (*list == ' ' || *list == ',')
		list++;
	return pnstrdup(list, strcspn(list, ", "));
}

/* host_of returns host:port of a database server; a socket is on this machine. */
static char *
host_of(const Source *source, const char *port)
{
	char *host = first_of(option(source, "host", option(source, "hostaddr", "localhost")));

	if (host[0] == '/' || host[0] == '@' || host[0] == '\0')
		host = "localhost";
	return psprintf("%s:%s", host, first_of(option(source, "port", port)));
}

/* of_postgres names a table of another PostgreSQL. */
static void
of_postgres(const Source *source, EtlDataset *dataset)
{
	dataset->namespace = psprintf("postgres://%s", host_of(source, "5432"));
	dataset->name = psprintf("%s.%s.%s", option(source, "dbname", "postgres"),
							 option(source, "schema_name", get_namespace_name(get_rel_namespace(source->relation))),
							 option(source, "table_name", get_rel_name(source->relation)));
}

/* of_mysql names a table of MySQL or MariaDB. */
static void
of_mysql(const Source *source, EtlDataset *dataset)
{
	dataset->namespace = psprintf("mysql://%s", host_of(source, "3306"));
	dataset->name = psprintf("%s.%s", option(source, "dbname", ""),
							 option(source, "table_name", get_rel_name(source->relation)));
}

/* of_http names an address of an API: without user, parameters and fragment. */
static void
of_http(const Source *source, EtlDataset *dataset)
{
	const char *url = option(source, "base_url", "https://localhost");
	const char *path = option(source, "path", "");
	const char *authority = strstr(url, "://");
	const char *user;
	int scheme;
	int length;
	int rest;

	authority = authority ? authority + 3 : url;
	scheme = authority - url;
	length = strcspn(authority, "/?#");
	for (user = authority + length; user > authority && *user != '@';)
		user--;
	if (*user == '@' && user < authority + length)
	{
		length -= user + 1 - authority;
		authority = user + 1;
	}
	dataset->namespace = psprintf("%.*s%.*s", scheme, url, length, authority);
	rest = strcspn(authority + length, "?#");
	if (rest > 0 && path[0] == '/' && authority[length + rest - 1] == '/')
		rest--;
	dataset->name = psprintf("%.*s%.*s", rest, authority + length, (int) strcspn(path, "?#"), path);
	if (dataset->name[0] == '\0')
		dataset->name = "/";
}

/* of_file names files below a directory, or in a bucket. */
static void
of_file(const Source *source, EtlDataset *dataset)
{
	const char *bucket = option(source, "bucket", NULL);
	const char *root = option(source, "root", "/");
	const char *prefix = option(source, "prefix", "");
	int length = strlen(root);

	if (bucket != NULL)
	{
		dataset->namespace = psprintf("s3://%s", bucket);
		dataset->name = pstrdup(prefix[0] ? prefix : "/");
		return;
	}
	while (length > 1 && root[length - 1] == '/')
		length--;
	dataset->namespace = "file";
	dataset->name = psprintf("%.*s%s%s", length, root, length > 1 && prefix[0] ? "/" : "", prefix);
}

/* of_kafka names a topic. */
static void
of_kafka(const Source *source, EtlDataset *dataset)
{
	dataset->namespace = psprintf("kafka://%s", first_of(option(source, "brokers", "localhost:9092")));
	dataset->name = pstrdup(option(source, "topic", get_rel_name(source->relation)));
}

/* of_file_fdw names a file; a program is called by the name of its table. */
static void
of_file_fdw(const Source *source, EtlDataset *dataset)
{
	dataset->namespace = "file";
	dataset->name = pstrdup(option(source, "filename", get_rel_name(source->relation)));
}

/* of_other names a table of a wrapper that is not known here. */
static void
of_other(const Source *source, EtlDataset *dataset)
{
	dataset->namespace = psprintf("%s://%s", source->wrapper, source->server_name);
	dataset->name = psprintf("%s.%s", get_namespace_name(get_rel_namespace(source->relation)),
							 get_rel_name(source->relation));
}

/* Wrappers by name. */
static const struct
{
	const char *wrapper;
	void (*name)(const Source *source, EtlDataset *dataset);
} known[] = {
	{"postgres_fdw", of_postgres}, {"mysql_fdw", of_mysql}, {"etl_http", of_http},	   {"etl_s3", of_file},
	{"etl_file", of_file},		   {"etl_kafka", of_kafka}, {"file_fdw", of_file_fdw},
};

/* etl_dataset_of_source names the source behind a foreign table. */
bool
etl_dataset_of_source(Oid relation, EtlDataset *dataset)
{
	Source source = {.relation = relation};
	ForeignTable *table;
	ForeignServer *server;

	if (!OidIsValid(relation) || get_rel_relkind(relation) != RELKIND_FOREIGN_TABLE)
		return false;
	table = GetForeignTable(relation);
	server = GetForeignServer(table->serverid);
	source.wrapper = GetForeignDataWrapper(server->fdwid)->fdwname;
	source.server_name = server->servername;
	source.server = server->options;
	source.table = table->options;
	for (int i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].wrapper, source.wrapper) == 0)
		{
			known[i].name(&source, dataset);
			return true;
		}
	of_other(&source, dataset);
	return true;
}

/* etl_dataset_of_name names a relation; one that is gone is taken for a table. */
void
etl_dataset_of_name(const char *name, const char *local, EtlDataset *dataset)
{
	List *parts = etl_compat_qualified_name(name);
	RangeVar *range = makeRangeVarFromNameList(parts);
	const char *schema = range->schemaname ? range->schemaname : "public";
	Oid namespace = get_namespace_oid(schema, true);
	Oid relation = OidIsValid(namespace) ? get_relname_relid(range->relname, namespace) : InvalidOid;

	if (etl_dataset_of_source(relation, dataset))
		return;
	dataset->namespace = pstrdup(local);
	dataset->name = psprintf("%s.%s.%s", get_database_name(MyDatabaseId), schema, range->relname);
}

/* etl_dataset_local returns the namespace of tables of this database. */
char *
etl_dataset_local(void)
{
	char host[256];

	if (gethostname(host, sizeof(host)) != 0)
		strlcpy(host, "localhost", sizeof(host));
	host[sizeof(host) - 1] = '\0';
	return psprintf("postgres://%s:%d", host, PostPortNumber);
}

/* etl_dataset_uri puts namespace and name together. */
char *
etl_dataset_uri(const EtlDataset *dataset)
{
	bool is_file = strcmp(dataset->namespace, "file") == 0;

	return psprintf("%s%s%s", is_file ? "file://" : dataset->namespace, dataset->name[0] == '/' ? "" : "/",
					dataset->name);
}
