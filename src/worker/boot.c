/*
 * boot.c
 *		A name for this start of the server. See boot.h.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "storage/pg_shmem.h"
#include "utils/timestamp.h"
#include "worker/boot.h"

/*
 * etl_boot_id returns the name. A restart gives the postmaster another start time. When a backend crashes the postmaster
 * lives on, but makes its shared memory anew, and with it the control segment of dynamic shared memory, under a random
 * number.
 */
const char *
etl_boot_id(void)
{
	static char boot_id[40];
	const PGShmemHeader *header = UsedShmemSegAddr;

	snprintf(boot_id, sizeof(boot_id), "%llx-%08x", (unsigned long long) PgStartTime, header->dsm_control);
	return boot_id;
}

/* etl_boot_number returns it as a number. */
uint32
etl_boot_number(void)
{
	const char *boot_id = etl_boot_id();

	return hash_bytes((const unsigned char *) boot_id, strlen(boot_id)) & PG_INT32_MAX;
}
