/*
 * usage.h
 *		What an attempt uses of the server: time, CPU, blocks, temporary files, WAL.
 *
 * Measured in the process that does the work, as the difference of two readings of counters that the operating system and
 * PostgreSQL keep anyway: nothing is counted per row. Parallel workers of a statement add their blocks and WAL to those of
 * their leader by themselves; their CPU time, and all of workers that help, comes through shared memory (EtlUsageShare).
 */
#ifndef ETL_USAGE_H
#define ETL_USAGE_H

#include "port/atomics.h"

typedef struct EtlUsage
{
	int64 wall_us;
	int64 cpu_us; /* user and system */
	int64 buffers_hit;
	int64 buffers_read;
	int64 buffers_written;
	int64 temp_bytes; /* written to temporary files and tables */
	int64 wal_bytes;
} EtlUsage;

/* What was used so far, and up to which reading. All zero: nothing was measured. */
typedef struct EtlMeter
{
	bool is_running;
	EtlUsage mark; /* the last reading */
	EtlUsage used;
} EtlMeter;

/* What other processes have used for an attempt; lies in shared memory. */
typedef struct EtlUsageShare
{
	pg_atomic_uint64 cpu_us;
	pg_atomic_uint64 buffers_hit;
	pg_atomic_uint64 buffers_read;
	pg_atomic_uint64 buffers_written;
	pg_atomic_uint64 temp_bytes;
	pg_atomic_uint64 wal_bytes;
} EtlUsageShare;

/* Starts a meter now, or with all that this process has used since it began. */
extern void etl_usage_start(EtlMeter *meter);
extern void etl_usage_start_process(EtlMeter *meter);

/* Adds what was used since the last reading; nothing if the meter was never started. */
extern void etl_usage_read(EtlMeter *meter);

/* Shared memory: prepare; add what this process has used since it began; move what is there to a meter. */
extern void etl_usage_share_init(EtlUsageShare *share);
extern void etl_usage_share_add(EtlUsageShare *share);
extern void etl_usage_share_add_cpu(EtlUsageShare *share);
extern void etl_usage_share_take(EtlUsageShare *share, EtlMeter *meter);

/* Adds what this process has used to shared memory when the process ends, whichever way but a kill. */
extern void etl_usage_share_at_exit(EtlUsageShare *share);

#endif /* ETL_USAGE_H */
