/*
 * facet.h
 *		Datasets of OpenLineage as JSON, with their facets.
 */
#ifndef ETL_FACET_H
#define ETL_FACET_H

#include "dag/flow.h"
#include "lib/stringinfo.h"

/* What is known of a dataset beside the relation. */
typedef struct EtlFacetDataset
{
	const char *relation;	/* qualified and quoted */
	const char *local;		/* namespace of tables of this database */
	List *flows;			/* outputs: EtlFlows of the task; NIL: none */
	int64 rows;				/* -1: not known */
	int64 bytes;			/* -1: not known */
	const char *assertions; /* inputs: JSON; NULL: none */
	bool is_output;
} EtlFacetDataset;

/* Appends a dataset to a JSON array, with schema, dataSource and what else is known. */
extern void etl_facet_append(StringInfo array, const EtlFacetDataset *dataset);

#endif /* ETL_FACET_H */
