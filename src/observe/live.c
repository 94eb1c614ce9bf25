/*
 * live.c
 *		Shared memory of a worker that does attempts. See live.h.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "miscadmin.h"
#include "observe/live.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#define MAGIC 0x65746c37

static dsm_segment *segment = NULL;
static EtlLive *mine = NULL;

/* The setting etl.live: parallel workers get it from their leader, and nobody else has one. */
static int shared_handle = 0;

/* is_live says whether memory is ours. */
static bool
is_live(dsm_segment *dsm)
{
	const EtlLive *live = dsm_segment_address(dsm);

	return dsm_segment_map_length(dsm) >= sizeof(EtlLive) && live->magic == MAGIC && live->database == MyDatabaseId;
}

/* attach attaches memory without an owner that would let go of it; NULL: it is gone, or is not ours. */
static dsm_segment *
attach(uint32 handle)
{
	ResourceOwner owner = CurrentResourceOwner;
	dsm_segment *dsm;

	CurrentResourceOwner = NULL;
	dsm = handle == 0 || dsm_find_mapping(handle) ? NULL : dsm_attach(handle);
	CurrentResourceOwner = owner;
	if (dsm == NULL || is_live(dsm))
		return dsm;
	dsm_detach(dsm);
	return NULL;
}

/* tell_parallel_workers lets those of later statements find the memory. */
static void
tell_parallel_workers(uint32 handle)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", (int) handle);
	SetConfigOption("etl.live", value, PGC_SUSET, PGC_S_SESSION);
}

/* etl_live_make makes the memory; it stays attached until the process ends. */
uint32
etl_live_make(int64 task_run_id)
{
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = NULL;
	segment = dsm_create(sizeof(EtlLive), DSM_CREATE_NULL_IF_MAXSEGMENTS);
	CurrentResourceOwner = owner;
	if (segment == NULL)
		return 0;
	mine = dsm_segment_address(segment);
	memset(mine, 0, sizeof(*mine));
	mine->database = MyDatabaseId;
	pg_atomic_init_u64(&mine->task_run_id, task_run_id);
	pg_atomic_init_u32(&mine->step, ETL_STEP_START);
	pg_atomic_init_u32(&mine->part, 0);
	pg_atomic_init_u32(&mine->is_estimate, 0);
	pg_atomic_init_u64(&mine->step_began, GetCurrentTimestamp());
	pg_atomic_init_u64(&mine->rows, 0);
	pg_atomic_init_u64(&mine->bytes, 0);
	pg_atomic_init_u64(&mine->done, 0);
	pg_atomic_init_u64(&mine->total, 0);
	etl_usage_share_init(&mine->used);
	pg_write_barrier();
	mine->magic = MAGIC;
	tell_parallel_workers(dsm_segment_handle(segment));
	return dsm_segment_handle(segment);
}

/* etl_live_join stays attached until the process ends. */
void
etl_live_join(uint32 handle)
{
	segment = attach(handle);
	if (segment == NULL)
		return;
	mine = dsm_segment_address(segment);
	etl_usage_share_at_exit(&mine->used);
}

/* etl_live_share does not stay attached. */
void
etl_live_share(uint32 handle)
{
	dsm_segment *dsm = attach(handle);

	if (dsm == NULL)
		return;
	etl_usage_share_add(&((EtlLive *) dsm_segment_address(dsm))->used);
	dsm_detach(dsm);
}

/* etl_live_mine returns the memory. */
EtlLive *
etl_live_mine(void)
{
	return mine;
}

/* etl_live_handle returns the handle of the memory; 0: there is none. */
uint32
etl_live_handle(void)
{
	return segment ? dsm_segment_handle(segment) : 0;
}

/* etl_live_read reads a meter. */
void
etl_live_read(EtlMeter *meter)
{
	etl_usage_read(meter);
	if (mine != NULL && meter->is_running)
		etl_usage_share_take(&mine->used, meter);
}

/* etl_live_look attaches the memory for a moment. */
bool
etl_live_look(uint32 handle, int64 task_run_id, EtlLive *copy)
{
	dsm_segment *dsm;

	if (segment != NULL && dsm_segment_handle(segment) == handle)
	{
		*copy = *mine;
		return pg_atomic_read_u64(&copy->task_run_id) == task_run_id;
	}
	dsm = attach(handle);
	if (dsm == NULL)
		return false;
	*copy = *(EtlLive *) dsm_segment_address(dsm);
	dsm_detach(dsm);
	return pg_atomic_read_u64(&copy->task_run_id) == task_run_id;
}

/* add_cpu tells the leader, who waits for the end of its parallel workers, what this one has used. */
static void
add_cpu(int code, Datum arg)
{
	dsm_segment *dsm = attach((uint32) shared_handle);

	if (dsm != NULL)
		etl_usage_share_add_cpu(&((EtlLive *) dsm_segment_address(dsm))->used);
}

/* on_handle is called in a parallel worker when it gets the settings of its leader. */
static void
on_handle(int handle, void *extra)
{
	static bool registered = false;

	if (handle == 0 || registered || !IsParallelWorker())
		return;
	before_shmem_exit(add_cpu, (Datum) 0);
	registered = true;
}

/* etl_live_init defines the setting. */
void
etl_live_init(void)
{
	DefineCustomIntVariable("etl.live", "Handle of the shared memory of a worker, for its parallel workers.", NULL,
							&shared_handle, 0, INT_MIN, INT_MAX, PGC_SUSET,
							GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE | GUC_NO_RESET_ALL, NULL,
							on_handle, NULL);
}
