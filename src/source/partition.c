/*
 * partition.c
 *		The partitions of a raw table. See partition.h.
 *
 * A partition is made as a table of its own and then attached: the parent needs only SHARE UPDATE EXCLUSIVE, which lets
 * readers and writers go on. The same lock, taken before looking a second time, keeps two sessions from making the same
 * partition. Whether a day is covered is read from the bounds, not from names, so that partitions which somebody made
 * by hand (by month, say) are respected.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/spi.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "source/partition.h"
#include "source/relation.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* find_partition looks the bounds up. */
static Oid
find_partition(Relation raw, TimestampTz at, bool use_default)
{
	PartitionKey key = RelationGetPartitionKey(raw);
	PartitionDesc desc = RelationGetPartitionDesc(raw, true);
	Datum value = TimestampTzGetDatum(at);
	int index = -1;
	bool equal;

	if (desc->nparts == 0)
		return InvalidOid;
	if (desc->boundinfo->ndatums > 0)
	{
		int bound = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, desc->boundinfo, 1, &value,
												  &equal);

		index = desc->boundinfo->indexes[bound + 1];
	}
	if (index < 0 && use_default)
		index = desc->boundinfo->default_index;
	return index < 0 ? InvalidOid : desc->oids[index];
}

/* etl_partition_find accepts the default partition as the last resort. */
Oid
etl_partition_find(Relation raw, TimestampTz loaded_at)
{
	return find_partition(raw, loaded_at, true);
}

/* utc_day returns the start of the UTC day that is a number of days after the one that at is in. */
static TimestampTz
utc_day(TimestampTz at, int days)
{
	int64 day = at / USECS_PER_DAY;

	if (at % USECS_PER_DAY < 0)
		day--;
	return (day + days) * USECS_PER_DAY;
}

/* day_text prints a UTC day with the given pattern for year, month and day. */
static char *
day_text(TimestampTz day, const char *pattern)
{
	int year;
	int month;
	int mday;

	j2date((int) (day / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return psprintf(pattern, year, month, mday);
}

/* day_is_covered says whether a partition other than the default one takes rows of a moment. */
static bool
day_is_covered(Oid relid, TimestampTz at)
{
	Relation raw = table_open(relid, NoLock);
	bool covered = OidIsValid(find_partition(raw, at, false));

	table_close(raw, NoLock);
	return covered;
}

/* is_covered says whether that holds from now to the last day ahead. */
static bool
is_covered(Oid relid, TimestampTz now)
{
	for (int i = 0; i <= ETL_PARTITION_AHEAD; i++)
		if (!day_is_covered(relid, i == 0 ? now : utc_day(now, i)))
			return false;
	return true;
}

/* make_partition creates and attaches the partition of one day. */
static void
make_partition(Oid relid, TimestampTz day, TimestampTz next)
{
	Oid schema = get_rel_namespace(relid);
	char *parent = etl_relation_name(relid);
	char *name = ChooseRelationName(get_rel_name(relid), NULL, day_text(day, "p%04d%02d%02d"), schema, false);
	char *child = quote_qualified_identifier(get_namespace_name(schema), name);

	(void) etl_sql_exec(psprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE"
								 " INCLUDING COMPRESSION)",
								 child, parent),
						SPI_OK_UTILITY);
	(void) etl_sql_exec(
		psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s 00:00:00+00') TO ('%s 00:00:00+00')", parent,
				 child, day_text(day, "%04d-%02d-%02d"), day_text(next, "%04d-%02d-%02d")),
		SPI_OK_UTILITY);
}

/* check_owner refuses a raw table that the current user cannot attach partitions to. */
static void
check_owner(Oid relid, Oid owner)
{
	char *user = GetUserNameFromId(GetUserId(), false);

	if (has_privs_of_role(GetUserId(), owner))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("must be owner of raw table %s to make its partitions", etl_relation_name(relid)),
					errdetail("It belongs to \"%s\"; the task runs as \"%s\".", GetUserNameFromId(owner, false), user),
					errhint("ALTER TABLE %s OWNER TO %s;", etl_relation_name(relid), quote_identifier(user))));
}

/* etl_partition_ensure makes what is missing; mostly nothing is, which costs a look at the relation cache. */
bool
etl_partition_ensure(Oid relid)
{
	TimestampTz now = GetCurrentTimestamp();
	Relation raw = table_open(relid, AccessShareLock);
	Oid owner = raw->rd_rel->relowner;

	table_close(raw, NoLock);
	if (is_covered(relid, now))
		return false;
	check_owner(relid, owner);
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	if (is_covered(relid, now))
		return false;
	for (int i = 0; i <= ETL_PARTITION_AHEAD; i++)
		if (!day_is_covered(relid, i == 0 ? now : utc_day(now, i)))
			make_partition(relid, utc_day(now, i), utc_day(now, i + 1));
	return true;
}
