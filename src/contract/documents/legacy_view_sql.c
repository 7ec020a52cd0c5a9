/*-------------------------------------------------------------------------
 *
 * legacy_view_sql.c
 *	  SQL function outbox.legacy_view: the legacy table as a view of a contract, for
 *	  programs that still read it when the data has moved.
 *
 * It prints DDL and runs nothing. Each column of the contract's first source is
 * taken from the contract's column that gives it back (invert.c); of several, from
 * the first one that needs no assumption. The others are null, and the comment says
 * who reads them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"
#include "compat.h"
#include "contract/documents/documents_private.h"
#include "contract/environment/environment.h"
#include "contract/view/view.h"
#include "util/util.h"

/* What the contract's columns are read from. */
#define ALIAS "c"

PG_FUNCTION_INFO_V1(outbox_legacy_view);

/* One column of the source. */
typedef struct LegacyColumn
{
	char *value; /* SQL; NULL: no column of the contract gives it back */
	const char *assumed;
	List *readers; /* of char *: the contract's columns that read it */
} LegacyColumn;

typedef struct LegacyTable
{
	Oid view;
	Oid root;
	TupleDesc desc; /* of the root */
	LegacyColumn *columns;
	List *lineages; /* queries of views, see documents.h */
} LegacyTable;

static void derive_columns(LegacyTable *table, const OutboxContractConfig *config);
static void derive_from(LegacyTable *table, Query *query, TargetEntry *entry, const RangeTblEntry *root);
static void note_readers(LegacyTable *table, TargetEntry *entry);
static char *print_view(const LegacyTable *table, const char *contract, const char *version, const char *over);

static const OutboxContractConfig *
contract_argument(FunctionCallInfo fcinfo)
{
	OutboxRequireVersion();
	return OutboxContractGet(OutboxRequiredTextArg(fcinfo, 0, "contract"));
}

/* The view of a version; *version becomes its number. */
static Oid
view_of_version(const OutboxContractConfig *config, char **version)
{
	const char *args[] = {config->name, *version};
	List *rows = OutboxExecuteRows("SELECT v.view::oid, v.version FROM outbox_internal.contract_version v JOIN outbox_internal.contract c ON c.id = v.contract_id"
								   " WHERE c.name = $1 AND ($2 IS NULL OR v.version = $2::int) ORDER BY v.version DESC LIMIT 1",
								   lengthof(args), args);
	Oid view;

	if (rows == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("contract \"%s\" has no version %s", config->name, *version),
				 errhint("SELECT version FROM outbox.catalog WHERE contract = %s; lists its versions.", quote_literal_cstr(config->name))));
	view = atooid(((char **) linitial(rows))[0]);
	*version = ((char **) linitial(rows))[1];
	if (get_rel_relkind(view) == '\0' || get_rel_relkind(config->root) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the view of contract \"%s\", or its source, does not exist", config->name),
				 errhint("Ask while both are there; SELECT outbox.reattach() creates a detached view again.")));
	return view;
}

/* A relation's name as it was given, quoted. It need not exist here. */
static char *
quoted_name(const char *name)
{
	StringInfoData quoted;
	ListCell *lc;

	initStringInfo(&quoted);
	foreach (lc, OutboxQualifiedNameList(name))
		appendStringInfo(&quoted, "%s%s", quoted.len > 0 ? "." : "", quote_identifier(strVal(lfirst(lc))));
	return quoted.data;
}

/*
 * legacy_view(contract text, version int, over text): raises undefined_object, undefined_table,
 * null_value_not_allowed, invalid_name.
 */
Datum
outbox_legacy_view(PG_FUNCTION_ARGS)
{
	const OutboxContractConfig *config = contract_argument(fcinfo);
	char *version = PG_ARGISNULL(1) ? NULL : psprintf("%d", PG_GETARG_INT32(1));
	char *over = OutboxTextArg(fcinfo, 2);
	LegacyTable table = {.root = config->root};
	Relation root;
	char *text;

	table.view = view_of_version(config, &version);
	root = relation_open(table.root, AccessShareLock);
	table.desc = RelationGetDescr(root);
	table.columns = palloc0(sizeof(LegacyColumn) * table.desc->natts);
	derive_columns(&table, config);
	text = print_view(&table, config->name, version, over != NULL ? quoted_name(over) : OutboxQualifiedName(table.view));
	relation_close(root, NoLock);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

/* The entry for the source's rows: the one that the first column of the key reads. */
static RangeTblEntry *
root_entry(const LegacyTable *table, const OutboxContractConfig *config, Query *query)
{
	AttrNumber key = get_attnum(table->view, linitial(config->key));
	TargetEntry *entry = key > 0 ? get_tle_by_resno(query->targetList, key) : NULL;
	RangeTblEntry *rte;
	int varno;

	if (entry == NULL || OutboxBaseExpression(query, (Node *) entry->expr, &rte, &varno) == NULL)
		return NULL;
	return rte->relid == table->root ? rte : NULL;
}

static void
derive_columns(LegacyTable *table, const OutboxContractConfig *config)
{
	OutboxEvaluation evaluation;
	Query *query;
	RangeTblEntry *root;
	ListCell *lc;

	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(table->view), OUTBOX_COMPILING);
	query = OutboxRewrittenView(table->view);
	root = query->setOperations == NULL ? root_entry(table, config, query) : NULL;
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (entry->resjunk)
			continue;
		note_readers(table, entry);
		if (root != NULL)
			derive_from(table, query, entry, root);
	}
	OutboxEvaluationEnd(&evaluation);
}

/* What the contract's column gives back, if it does. */
static void
derive_from(LegacyTable *table, Query *query, TargetEntry *entry, const RangeTblEntry *root)
{
	OutboxInversion inversion = {0};
	RangeTblEntry *rte;
	LegacyColumn *column;
	Form_pg_attribute attribute;
	Node *expression;
	Var *var;
	int varno;

	inversion.value = psprintf(ALIAS ".%s", quote_identifier(get_attname(table->view, entry->resno, false)));
	expression = OutboxBaseExpression(query, (Node *) entry->expr, &rte, &varno);
	if (expression == NULL || rte != root)
		return;
	var = OutboxInvert(&inversion, expression);
	if (var == NULL || var->varattno <= 0)
		return;
	column = &table->columns[var->varattno - 1];
	if (column->value != NULL && (column->assumed == NULL || inversion.assumed != NULL))
		return;
	attribute = TupleDescAttr(table->desc, var->varattno - 1);
	if (exprType((Node *) entry->expr) == attribute->atttypid && exprTypmod((Node *) entry->expr) == attribute->atttypmod && IsA(expression, Var))
		column->value = inversion.value;
	else
		column->value = psprintf("(%s)::%s", inversion.value, format_type_extended(attribute->atttypid, attribute->atttypmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	column->assumed = inversion.assumed;
}

static void
note_readers(LegacyTable *table, TargetEntry *entry)
{
	OutboxLineage lineage = {.views = table->lineages};
	ListCell *lc;

	OutboxTraceColumn(&lineage, table->view, entry->resno, NIL);
	table->lineages = lineage.views;
	foreach (lc, lineage.origins)
	{
		OutboxOrigin *origin = lfirst(lc);

		if (origin->relation == table->root && origin->column > 0)
			table->columns[origin->column - 1].readers = lappend(table->columns[origin->column - 1].readers, get_attname(table->view, entry->resno, false));
	}
}

/* Names in a comment: one that would end it does not. */
static char *
name_list(const List *names)
{
	StringInfoData list;
	ListCell *lc;

	initStringInfo(&list);
	foreach (lc, names)
	{
		appendStringInfoString(&list, list.len > 0 ? ", " : "");
		for (const char *c = lfirst(lc); *c != '\0'; c++)
			appendStringInfoChar(&list, strchr("*/\n\r", *c) != NULL ? '_' : *c);
	}
	return list.data;
}

static void
print_column(StringInfo out, const LegacyTable *table, int i)
{
	const LegacyColumn *column = &table->columns[i];
	Form_pg_attribute attribute = TupleDescAttr(table->desc, i);

	if (column->value != NULL)
		appendStringInfoString(out, column->value);
	else
		appendStringInfo(out, "NULL::%s", format_type_extended(attribute->atttypid, attribute->atttypmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	appendStringInfo(out, " AS %s", quote_identifier(NameStr(attribute->attname)));
	if (column->assumed != NULL)
		appendStringInfo(out, " /* %s */", column->assumed);
	if (column->value == NULL && column->readers != NIL)
		appendStringInfo(out, " /* not derivable: read by %s */", name_list(column->readers));
	else if (column->value == NULL)
		appendStringInfoString(out, " /* not derivable: no column of the contract has it */");
}

static char *
print_view(const LegacyTable *table, const char *contract, const char *version, const char *over)
{
	const char *name = quote_identifier(get_rel_name(table->root));
	StringInfoData body;
	StringInfoData out;
	List *missing = NIL;
	int derived = 0;
	int total = 0;

	initStringInfo(&body);
	for (int i = 0; i < table->desc->natts; i++)
	{
		if (TupleDescAttr(table->desc, i)->attisdropped)
			continue;
		appendStringInfo(&body, "%s\n    ", total++ > 0 ? "," : "");
		print_column(&body, table, i);
		if (table->columns[i].value != NULL)
			derived++;
		else
			missing = lappend(missing, NameStr(TupleDescAttr(table->desc, i)->attname));
	}
	initStringInfo(&out);
	appendStringInfo(&out, "/* %s as a view of contract %s, version %s: %d of %d columns.", name_list(list_make1(OutboxQualifiedName(table->root))), contract, version, derived, total);
	if (missing != NIL)
		appendStringInfo(&out, " Not derivable: %s.", name_list(missing));
	appendStringInfo(&out, "\n   Rows that the contract leaves out are not there. */\nCREATE SCHEMA IF NOT EXISTS legacy;\nCREATE VIEW legacy.%s AS\nSELECT%s\nFROM %s " ALIAS ";\n", name, body.data, over);
	return out.data;
}
