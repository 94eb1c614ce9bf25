/*
 * usage.c
 *		What an attempt uses of the server. See usage.h.
 */
#include "postgres.h"

#include <sys/resource.h>

#include "executor/instrument.h"
#include "miscadmin.h"
#include "observe/usage.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

/* cpu_us returns the CPU time of this process, all its threads included. */
static int64
cpu_us(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return 0;
	return (int64) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * USECS_PER_SEC + usage.ru_utime.tv_usec +
		   usage.ru_stime.tv_usec;
}

/* now reads all counters. */
static EtlUsage
now(void)
{
	const BufferUsage *buffers = &pgBufferUsage;
	EtlUsage usage = {
		.wall_us = GetCurrentTimestamp(),
		.cpu_us = cpu_us(),
		.buffers_hit = buffers->shared_blks_hit,
		.buffers_read = buffers->shared_blks_read,
		.buffers_written = buffers->shared_blks_written,
		.temp_bytes = (buffers->temp_blks_written + buffers->local_blks_written) * (int64) BLCKSZ,
		.wal_bytes = (int64) pgWalUsage.wal_bytes,
	};

	return usage;
}

/* etl_usage_start starts a meter now. */
void
etl_usage_start(EtlMeter *meter)
{
	memset(meter, 0, sizeof(*meter));
	meter->mark = now();
	meter->is_running = true;
}

/* etl_usage_start_process starts a meter that covers the process from its beginning. */
void
etl_usage_start_process(EtlMeter *meter)
{
	memset(meter, 0, sizeof(*meter));
	meter->mark.wall_us = MyStartTimestamp;
	meter->is_running = true;
}

/* etl_usage_read adds the differences. */
void
etl_usage_read(EtlMeter *meter)
{
	EtlUsage at = now();
	EtlUsage *used = &meter->used;
	const EtlUsage *mark = &meter->mark;

	if (!meter->is_running)
		return;
	used->wall_us += Max(at.wall_us - mark->wall_us, 0);
	used->cpu_us += at.cpu_us - mark->cpu_us;
	used->buffers_hit += at.buffers_hit - mark->buffers_hit;
	used->buffers_read += at.buffers_read - mark->buffers_read;
	used->buffers_written += at.buffers_written - mark->buffers_written;
	used->temp_bytes += at.temp_bytes - mark->temp_bytes;
	used->wal_bytes += at.wal_bytes - mark->wal_bytes;
	meter->mark = at;
}

/* etl_usage_share_init sets all to zero. */
void
etl_usage_share_init(EtlUsageShare *share)
{
	pg_atomic_init_u64(&share->cpu_us, 0);
	pg_atomic_init_u64(&share->buffers_hit, 0);
	pg_atomic_init_u64(&share->buffers_read, 0);
	pg_atomic_init_u64(&share->buffers_written, 0);
	pg_atomic_init_u64(&share->temp_bytes, 0);
	pg_atomic_init_u64(&share->wal_bytes, 0);
}

/* etl_usage_share_add adds all that this process has used. */
void
etl_usage_share_add(EtlUsageShare *share)
{
	EtlUsage at = now();

	pg_atomic_fetch_add_u64(&share->cpu_us, at.cpu_us);
	pg_atomic_fetch_add_u64(&share->buffers_hit, at.buffers_hit);
	pg_atomic_fetch_add_u64(&share->buffers_read, at.buffers_read);
	pg_atomic_fetch_add_u64(&share->buffers_written, at.buffers_written);
	pg_atomic_fetch_add_u64(&share->temp_bytes, at.temp_bytes);
	pg_atomic_fetch_add_u64(&share->wal_bytes, at.wal_bytes);
}

/* etl_usage_share_add_cpu adds the CPU time of a parallel worker, whose leader learns the rest from PostgreSQL. */
void
etl_usage_share_add_cpu(EtlUsageShare *share)
{
	pg_atomic_fetch_add_u64(&share->cpu_us, cpu_us());
}

/* etl_usage_share_take moves what is there, so that it is counted once. */
void
etl_usage_share_take(EtlUsageShare *share, EtlMeter *meter)
{
	EtlUsage *used = &meter->used;

	used->cpu_us += pg_atomic_exchange_u64(&share->cpu_us, 0);
	used->buffers_hit += pg_atomic_exchange_u64(&share->buffers_hit, 0);
	used->buffers_read += pg_atomic_exchange_u64(&share->buffers_read, 0);
	used->buffers_written += pg_atomic_exchange_u64(&share->buffers_written, 0);
	used->temp_bytes += pg_atomic_exchange_u64(&share->temp_bytes, 0);
	used->wal_bytes += pg_atomic_exchange_u64(&share->wal_bytes, 0);
}

/* add_at_exit runs while shared memory is still attached. */
static void
add_at_exit(int code, Datum share)
{
	etl_usage_share_add((EtlUsageShare *) DatumGetPointer(share));
}

/* etl_usage_share_at_exit is called once in a process that helps. */
void
etl_usage_share_at_exit(EtlUsageShare *share)
{
	before_shmem_exit(add_at_exit, PointerGetDatum(share));
}
