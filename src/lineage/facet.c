/*
 * facet.c
 *		Datasets of OpenLineage as JSON. See facet.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "compat.h"
#include "dag/lineage.h"
#include "lineage/dataset.h"
#include "lineage/facet.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* Column lineage that is longer, in bytes, is left out: an event has to get through. */
#define LINEAGE_LIMIT (512 * 1024)

/* append_text appends "name": "value". */
static void
append_text(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "\"%s\": ", name);
	escape_json(out, value);
}

/* begin_facet opens a facet in an object of facets. */
static void
begin_facet(StringInfo facets, const char *name, const char *version, const char *schema)
{
	appendStringInfo(facets,
					 "%s\"%s\": {\"_producer\": \"urn:etl_ext:" ETL_VERSION "\", \"_schemaURL\": "
					 "\"https://openlineage.io/spec/facets/%s/%s.json#/$defs/%s\"",
					 facets->len > 0 ? ", " : "", name, version, schema, schema);
}

/* find_relation returns a relation by its qualified, quoted name, or InvalidOid. */
static Oid
find_relation(const char *name)
{
	RangeVar *range = makeRangeVarFromNameList(etl_compat_qualified_name(name));
	Oid schema = range->schemaname ? get_namespace_oid(range->schemaname, true) : InvalidOid;

	return OidIsValid(schema) ? get_relname_relid(range->relname, schema) : InvalidOid;
}

/* append_column appends a column of the schema; false: there is none of that number. */
static bool
append_column(StringInfo facets, Oid relation, AttrNumber number, bool first)
{
	HeapTuple tuple = SearchSysCacheAttNum(relation, number);
	Form_pg_attribute attribute;
	char *comment;

	if (!HeapTupleIsValid(tuple))
		return false;
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	appendStringInfoString(facets, first ? "{" : ", {");
	append_text(facets, "name", NameStr(attribute->attname));
	appendStringInfoString(facets, ", ");
	append_text(facets, "type", format_type_with_typemod(attribute->atttypid, attribute->atttypmod));
	comment = GetComment(relation, RelationRelationId, number);
	if (comment != NULL)
	{
		appendStringInfoString(facets, ", ");
		append_text(facets, "description", comment);
	}
	appendStringInfoChar(facets, '}');
	ReleaseSysCache(tuple);
	return true;
}

/* append_schema adds the columns of a relation that is there. */
static void
append_schema(StringInfo facets, Oid relation)
{
	int n = etl_lineage_n_columns(relation);
	bool first = true;

	begin_facet(facets, "schema", "1-2-0", "SchemaDatasetFacet");
	appendStringInfoString(facets, ", \"fields\": [");
	for (AttrNumber i = 1; i <= n; i++)
		if (append_column(facets, relation, i, first))
			first = false;
	appendStringInfoString(facets, "]}");
}

/* append_field appends an input column with the way in which it flows. */
static void
append_field(StringInfo out, const EtlFlow *flow, const char *local, bool first)
{
	EtlDataset dataset;
	char *subtype = pstrdup(etl_flow_kind_name(flow->kind));

	for (char *c = subtype; *c != '\0'; c++)
		*c = pg_toupper((unsigned char) *c);
	etl_dataset_of_name(flow->input, local, &dataset);
	appendStringInfoString(out, first ? "{" : ", {");
	append_text(out, "namespace", dataset.namespace);
	appendStringInfoString(out, ", ");
	append_text(out, "name", dataset.name);
	appendStringInfoString(out, ", ");
	append_text(out, "field", flow->input_column);
	appendStringInfo(out, ", \"transformations\": [{\"type\": \"%s\", \"subtype\": \"%s\", \"masking\": false}]}",
					 etl_flow_is_direct(flow->kind) ? "DIRECT" : "INDIRECT", subtype);
}

/* is_of says whether a flow is from a column into this column of an output, NULL: into its rows. */
static bool
is_of(const EtlFlow *flow, const char *output, const char *column)
{
	if (flow->output == NULL || strcmp(flow->output, output) != 0 || flow->input_column == NULL)
		return false;
	return column == NULL || flow->output_column == NULL ? column == flow->output_column
														 : strcmp(column, flow->output_column) == 0;
}

/* append_inputs appends all that flows into a column, from flow number i on. */
static void
append_inputs(StringInfo out, const EtlFacetDataset *dataset, const char *column)
{
	bool first = true;
	ListCell *cell;

	foreach (cell, dataset->flows)
		if (is_of(lfirst(cell), dataset->relation, column))
		{
			append_field(out, lfirst(cell), dataset->local, first);
			first = false;
		}
}

/* append_column_lineage adds what flows into the columns of an output. */
static void
append_column_lineage(StringInfo facets, const EtlFacetDataset *dataset)
{
	StringInfoData text;
	List *done = NIL;
	ListCell *cell;

	initStringInfo(&text);
	foreach (cell, dataset->flows)
	{
		const EtlFlow *flow = lfirst(cell);
		String *column = makeString(flow->output_column);

		if (flow->output_column == NULL || !is_of(flow, dataset->relation, flow->output_column) ||
			list_member(done, column))
			continue;
		appendStringInfoString(&text, done != NIL ? ", " : "");
		done = lappend(done, column);
		escape_json(&text, flow->output_column);
		appendStringInfoString(&text, ": {\"inputFields\": [");
		append_inputs(&text, dataset, flow->output_column);
		appendStringInfoString(&text, "]}");
	}
	appendStringInfoString(&text, "}, \"dataset\": [");
	append_inputs(&text, dataset, NULL);
	if (text.len > LINEAGE_LIMIT)
		return;
	begin_facet(facets, "columnLineage", "1-2-0", "ColumnLineageDatasetFacet");
	appendStringInfo(facets, ", \"fields\": {%s]}", text.data);
}

/* append_statistics adds how many rows were read or written. */
static void
append_statistics(StringInfo facets, const EtlFacetDataset *dataset)
{
	if (dataset->is_output)
		begin_facet(facets, "outputStatistics", "1-0-2", "OutputStatisticsOutputDatasetFacet");
	else
		begin_facet(facets, "inputStatistics", "1-0-0", "InputStatisticsInputDatasetFacet");
	appendStringInfo(facets, ", \"rowCount\": " INT64_FORMAT, dataset->rows);
	if (dataset->bytes >= 0)
		appendStringInfo(facets, ", \"size\": " INT64_FORMAT, dataset->bytes);
	appendStringInfoChar(facets, '}');
}

/* etl_facet_append appends a dataset. */
void
etl_facet_append(StringInfo array, const EtlFacetDataset *dataset)
{
	Oid relation = find_relation(dataset->relation);
	EtlDataset name;
	StringInfoData facets;
	StringInfoData special;

	initStringInfo(&facets);
	initStringInfo(&special);
	etl_dataset_of_name(dataset->relation, dataset->local, &name);
	begin_facet(&facets, "dataSource", "1-0-1", "DatasourceDatasetFacet");
	appendStringInfoString(&facets, ", ");
	append_text(&facets, "name", name.namespace);
	appendStringInfoString(&facets, ", ");
	append_text(&facets, "uri", strcmp(name.namespace, "file") == 0 ? "file:///" : name.namespace);
	appendStringInfoChar(&facets, '}');
	if (OidIsValid(relation))
		append_schema(&facets, relation);
	if (dataset->is_output && dataset->flows != NIL)
		append_column_lineage(&facets, dataset);
	if (dataset->rows >= 0)
		append_statistics(&special, dataset);
	if (dataset->assertions != NULL)
	{
		begin_facet(&special, "dataQualityAssertions", "1-1-0", "DataQualityAssertionsDatasetFacet");
		appendStringInfo(&special, ", \"assertions\": %s}", dataset->assertions);
	}
	appendStringInfoString(array, array->len > 1 ? ", {" : "{");
	append_text(array, "namespace", name.namespace);
	appendStringInfoString(array, ", ");
	append_text(array, "name", name.name);
	appendStringInfo(array, ", \"facets\": {%s}, \"%s\": {%s}}", facets.data,
					 dataset->is_output ? "outputFacets" : "inputFacets", special.data);
}
