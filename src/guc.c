/*
 * guc.c
 *		Settings of etl_ext.
 */
#include "postgres.h"

#include "contract/guard.h"
#include "fault.h"
#include "guc.h"
#include "load/as_of.h"
#include "net/address.h"
#include "observe/live.h"
#include "utils/guc.h"

int etl_chunk_rows = 200000;
int etl_max_workers = 4;
bool etl_launcher = true;
int etl_writer_wait = 10000;
int etl_compare_rows = 1800000;
char *etl_allowed_hosts = NULL;
char *etl_http_proxy = NULL;
char *etl_tls_ca_file = NULL;

/* init_network defines the settings of connections over HTTP, to mail servers and to Kafka. */
static void
init_network(void)
{
	DefineCustomStringVariable("etl.allowed_hosts",
							   "Hosts, addresses and networks that servers of etl_ext's wrappers may lead to.",
							   "Separated by commas: *, host names, *.domain, addresses, networks. * means every host "
							   "with a public address.",
							   &etl_allowed_hosts, "*", PGC_SUSET, 0, etl_address_check_allowed_hosts, NULL, NULL);
	DefineCustomStringVariable("etl.http_proxy", "Proxy for HTTP. Empty: none.",
							   "No other proxy is used, whatever the environment says.", &etl_http_proxy, "", PGC_SUSET,
							   GUC_SUPERUSER_ONLY, etl_address_check_http_proxy, NULL, NULL);
	DefineCustomStringVariable("etl.tls_ca_file", "Certificates of authorities that servers are checked against.",
							   "Empty: those of the operating system.", &etl_tls_ca_file, "", PGC_SUSET,
							   GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
}

/* etl_guc_init defines the settings; called once, when the library is loaded. */
void
etl_guc_init(void)
{
	DefineCustomIntVariable("etl.chunk_rows",
							"Rows that an extract commits at a time, unless its chunk_rows says otherwise.", NULL,
							&etl_chunk_rows, 200000, 1, 100000000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"etl.compare_rows",
		"Rows of a raw table that an extract holds in memory at a time to recognise rows that it has read"
		" before.",
		"Takes about 50 bytes for each. More are compared in several parts.", &etl_compare_rows, 1800000, 10, 100000000,
		PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("etl.max_workers", "Most tasks that work at the same time in one database.",
							"Each takes one of max_worker_processes.", &etl_max_workers, 4, 1, 1024, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable(
		"etl.writer_wait",
		"How long an extract waits for open transactions of its source before it leaves its watermark.",
		"Only where the cursor is no time, or where it may not be seen when transactions began.", &etl_writer_wait,
		10000, 0, 86400000, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	ETL_FAULT_INIT();
	DefineCustomBoolVariable("etl.launcher", "Lets the launcher start interrupted and scheduled runs.",
							 "Off: only what somebody asks for is done. Has no meaning unless the library is in "
							 "shared_preload_libraries.",
							 &etl_launcher, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	init_network();
	etl_guard_init();
	etl_as_of_init();
	etl_live_init();
	MarkGUCPrefixReserved("etl");
}
