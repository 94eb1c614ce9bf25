/*
 * raw_index.c
 *		Index entries and statistics of a raw partition. See raw_index.h.
 *
 * All rows of a batch have the same _etl_batch and _etl_loaded_at, and raw tables have only BRIN indexes on these unless
 * somebody adds others. So the entry of one row says all about its block: the entries of each row would cost a fifth of
 * an extract. A range of blocks is summarized when its first row is written: it has a block or two then, while summarizing
 * at the end would read everything again, and new ranges are read by everybody who looks for a batch until vacuum comes.
 */
#include "postgres.h"

#include "access/brin.h"
#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/spi.h"
#include "compat.h"
#include "executor/executor.h"
#include "load/statistics.h"
#include "miscadmin.h"
#include "source/raw_index.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/rel.h"

/* Joins and filters on raw tables need rough figures, and 3000 sampled rows give them; autovacuum takes more later. */
#define STATISTICS_TARGET "10"

struct EtlRawIndex
{
	ResultRelInfo *leaf;
	EState *estate;
	bool once_per_block;	/* one entry says all about a block */
	bool summarizes;		/* ranges are summarized as they begin */
	BlockNumber last_block; /* that has its entries */
	BlockNumber *range;		/* per index: number of the range that was begun last */
};

/* is_constant says whether an index is a BRIN index on columns that are the same in all rows of a batch. */
static bool
is_constant(const IndexInfo *info, AttrNumber batch, AttrNumber loaded_at)
{
	if (info->ii_Am != BRIN_AM_OID || info->ii_Expressions != NIL || info->ii_Predicate != NIL)
		return false;
	for (int i = 0; i < info->ii_NumIndexAttrs; i++)
		if (info->ii_IndexAttrNumbers[i] != batch && info->ii_IndexAttrNumbers[i] != loaded_at)
			return false;
	return true;
}

/* may_summarize says whether the current user owns the leaf and nobody vacuums it; its lock is then held. */
static bool
may_summarize(Relation leaf)
{
	return has_privs_of_role(GetUserId(), leaf->rd_rel->relowner) &&
		   ConditionalLockRelationOid(RelationGetRelid(leaf), ShareUpdateExclusiveLock);
}

/* etl_raw_index_open looks at the indexes. */
EtlRawIndex *
etl_raw_index_open(ResultRelInfo *leaf, EState *estate, AttrNumber batch, AttrNumber loaded_at)
{
	EtlRawIndex *index = palloc0(sizeof(EtlRawIndex));

	ExecOpenIndices(leaf, false);
	index->leaf = leaf;
	index->estate = estate;
	index->last_block = InvalidBlockNumber;
	index->once_per_block = true;
	for (int i = 0; i < leaf->ri_NumIndices; i++)
		index->once_per_block &= is_constant(leaf->ri_IndexRelationInfo[i], batch, loaded_at);
	index->summarizes = leaf->ri_NumIndices > 0 && index->once_per_block && may_summarize(leaf->ri_RelationDesc);
	index->range = palloc(sizeof(BlockNumber) * Max(leaf->ri_NumIndices, 1));
	for (int i = 0; i < leaf->ri_NumIndices; i++)
		index->range[i] = InvalidBlockNumber;
	return index;
}

/* begin_ranges summarizes the ranges that begin with a block. */
static void
begin_ranges(EtlRawIndex *index, BlockNumber block)
{
	for (int i = 0; i < index->leaf->ri_NumIndices; i++)
	{
		Relation rel = index->leaf->ri_IndexRelationDescs[i];
		BlockNumber range = block / BrinGetPagesPerRange(rel);

		if (range == index->range[i])
			continue;
		index->range[i] = range;
		(void) DirectFunctionCall2(brin_summarize_range, ObjectIdGetDatum(RelationGetRelid(rel)),
								   Int64GetDatum((int64) block));
	}
}

/* etl_raw_index_insert leaves out what says nothing new. */
void
etl_raw_index_insert(EtlRawIndex *index, TupleTableSlot *slot)
{
	BlockNumber block = ItemPointerGetBlockNumber(&slot->tts_tid);

	if (index->leaf->ri_NumIndices == 0 || (index->once_per_block && block == index->last_block))
		return;
	list_free(etl_compat_insert_index_tuples(index->leaf, slot, index->estate));
	index->last_block = block;
	if (index->summarizes)
		begin_ranges(index, block);
}

/* etl_raw_index_close keeps the locks until the end of the transaction. */
void
etl_raw_index_close(EtlRawIndex *index)
{
	ExecCloseIndices(index->leaf);
}

/* summarize_rest summarizes what was appended while somebody was in the way. */
static void
summarize_rest(Oid relid)
{
	Relation index = index_open(relid, AccessShareLock);
	bool is_brin = index->rd_rel->relam == BRIN_AM_OID;

	index_close(index, NoLock);
	if (is_brin)
		(void) DirectFunctionCall1(brin_summarize_new_values, ObjectIdGetDatum(relid));
}

/* etl_raw_index_refresh is skipped rather than waited for. */
void
etl_raw_index_refresh(Oid leaf, int64 appended)
{
	Relation rel = table_open(leaf, AccessShareLock);
	bool may = may_summarize(rel);
	List *indexes = may ? RelationGetIndexList(rel) : NIL;
	ListCell *cell;
	int level;

	table_close(rel, NoLock);
	if (!may)
		return;
	foreach (cell, indexes)
		summarize_rest(lfirst_oid(cell));
	level = NewGUCNestLevel();
	(void) set_config_option("default_statistics_target", STATISTICS_TARGET, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	etl_statistics_refresh(leaf, appended);
	AtEOXact_GUC(false, level);
}
