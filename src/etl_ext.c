/*
 * etl_ext.c
 *		Entry of the shared library.
 */
#include "postgres.h"

#include "compat.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "worker/launcher.h"
#include "worker/utility.h"

ETL_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/* _PG_init runs when the library is loaded: by the first call in a session, in a worker, or at server start. */
void
_PG_init(void)
{
	if (IsBinaryUpgrade)
		return;
	etl_guc_init();
	etl_utility_init();
	if (process_shared_preload_libraries_in_progress)
		etl_launcher_init();
}
