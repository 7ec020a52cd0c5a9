/*-------------------------------------------------------------------------
 *
 * view_fields_sql.c
 *	  SQL function outbox_internal.view_fields: the columns of a view and the fields of
 *	  the rows in them, with what is behind them.
 *
 * The paths are those of outbox_internal.schema_fields() for the schema that the view
 * gives: items[].sku.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "catalog/outbox_catalog.h"
#include "contract/documents/documents.h"
#include "util/util.h"

/* Types within types: more is not looked at. */
#define MAX_DEPTH 64
#define MAX_FIELDS 20000

PG_FUNCTION_INFO_V1(outbox_view_fields);

/* The columns of the result */
enum
{
	FIELD_PATH,
	FIELD_TYPE,
	FIELD_SOURCES,
	FIELD_MAPS,
	FIELD_CONSTANTS,
	FIELD_COLUMNS
};

typedef struct FieldRows
{
	ReturnSetInfo *result;
	Oid view;
	AttrNumber column;
	List *views; /* queries that were read already */
	int n;
} FieldRows;

static void put_type(FieldRows *rows, const char *path, List *names, Oid type, int32 typmod);

static Datum
text_array(const List *texts)
{
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	ListCell *lc;

	foreach (lc, texts)
		(void) accumArrayResult(state, CStringGetTextDatum(lfirst(lc)), false, TEXTOID, CurrentMemoryContext);
	return makeArrayResult(state, CurrentMemoryContext);
}

/* schema.table.column; columns of tables that are being dropped are left out. */
static List *
origin_names(const List *origins)
{
	List *names = NIL;
	ListCell *lc;

	foreach (lc, origins)
	{
		OutboxOrigin *origin = lfirst(lc);
		char *column = get_attname(origin->relation, origin->column, true);

		if (column != NULL && get_rel_name(origin->relation) != NULL)
			names = lappend(names, psprintf("%s.%s", OutboxQualifiedName(origin->relation), quote_identifier(column)));
	}
	return names;
}

/* names: the fields that lead from the view's column to this place. */
static void
put_field(FieldRows *rows, const char *path, List *names, Oid type, int32 typmod)
{
	OutboxLineage lineage = {.views = rows->views};
	OutboxWords words = {0};
	Datum values[FIELD_COLUMNS];
	bool nulls[FIELD_COLUMNS] = {0};

	CHECK_FOR_INTERRUPTS();
	rows->n++;
	OutboxTraceColumn(&lineage, rows->view, rows->column, names);
	rows->views = lineage.views;
	values[FIELD_PATH] = CStringGetTextDatum(path);
	values[FIELD_TYPE] = CStringGetTextDatum(format_type_with_typemod(type, typmod));
	values[FIELD_SOURCES] = text_array(origin_names(lineage.origins));
	values[FIELD_MAPS] = text_array(lineage.maps);
	nulls[FIELD_CONSTANTS] = !OutboxColumnWords(&words, rows->view, rows->column, names);
	values[FIELD_CONSTANTS] = nulls[FIELD_CONSTANTS] ? (Datum) 0 : text_array(words.constants);
	tuplestore_putvalues(rows->result->setResult, rows->result->setDesc, values, nulls);
	put_type(rows, path, names, type, typmod);
}

/* The fields inside a value of a type. */
static void
put_type(FieldRows *rows, const char *path, List *names, Oid type, int32 typmod)
{
	Oid element = get_element_type(getBaseType(type));
	TupleDesc desc;

	if (OidIsValid(element))
		path = psprintf("%s[]", path);
	else
		element = type;
	element = getBaseType(element);
	if (get_typtype(element) != TYPTYPE_COMPOSITE || list_length(names) >= MAX_DEPTH || rows->n >= MAX_FIELDS)
		return;
	check_stack_depth();
	desc = lookup_rowtype_tupdesc_copy(element, -1);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			put_field(rows, psprintf("%s.%s", path, NameStr(attribute->attname)),
					  lappend(list_copy(names), pstrdup(NameStr(attribute->attname))), attribute->atttypid, attribute->atttypmod);
	}
}

/* view_fields(view regclass): no rows when it is no view, or gone. */
Datum
outbox_view_fields(PG_FUNCTION_ARGS)
{
	FieldRows rows = {.result = (ReturnSetInfo *) fcinfo->resultinfo, .view = PG_GETARG_OID(0)};
	Relation view;
	TupleDesc desc;

	InitMaterializedSRF(fcinfo, 0);
	view = try_relation_open(rows.view, AccessShareLock);
	if (view == NULL)
		return (Datum) 0;
	desc = CreateTupleDescCopy(RelationGetDescr(view));
	if (view->rd_rel->relkind == RELKIND_VIEW)
	{
		for (rows.column = 1; rows.column <= desc->natts; rows.column++)
		{
			Form_pg_attribute attribute = TupleDescAttr(desc, rows.column - 1);

			put_field(&rows, NameStr(attribute->attname), NIL, attribute->atttypid, attribute->atttypmod);
		}
	}
	relation_close(view, NoLock);
	return (Datum) 0;
}
