/*-------------------------------------------------------------------------
 *
 * contract_schema.c
 *	  The columns of a contract as fields of an event's schema.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/outbox_catalog.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"

static List *nested_required(const OutboxContractConfig *config, const char *column);

/* The parts of `required` that lie inside a column: "items.sku" is "sku" of "items". */
static List *
nested_required(const OutboxContractConfig *config, const char *column)
{
	Size len = strlen(column);
	List *fields = NIL;
	ListCell *lc;

	foreach (lc, config->required)
	{
		char *name = lfirst(lc);

		if (strncmp(name, column, len) == 0 && name[len] == '.')
			fields = lappend(fields, name + len + 1);
	}
	return fields;
}

/*
 * The columns of the contract's view as fields of the schema of one event type, then its previous_* fields. `type` may
 * be NULL: the view's columns alone. In the current memory context; locks the view where that takes no waiting.
 */
OutboxAvroColumn *
OutboxContractColumns(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, int *ncolumns)
{
	Relation view = OutboxOpenWithoutWait(config->view);
	TupleDesc desc = RelationGetDescr(view);
	int nprevious = type ? list_length(type->previous) : 0;
	OutboxAvroColumn *columns = palloc0(sizeof(OutboxAvroColumn) * (desc->natts + nprevious));
	ListCell *lc;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		columns[i].name = pstrdup(NameStr(attribute->attname));
		columns[i].type = attribute->atttypid;
		columns[i].typmod = attribute->atttypmod;
		columns[i].required = OutboxNameListMember(config->required, columns[i].name);
		columns[i].required_fields = nested_required(config, columns[i].name);
		columns[i].doc = GetComment(config->view, RelationRelationId, i + 1);
	}
	*ncolumns = desc->natts;
	if (nprevious > 0)
	{
		foreach (lc, type->previous)
		{
			for (int i = 0; i < desc->natts; i++)
			{
				if (strcmp(columns[i].name, lfirst(lc)) != 0)
					continue;
				columns[*ncolumns] = columns[i];
				columns[*ncolumns].name = psprintf("previous_%s", columns[i].name);
				columns[*ncolumns].required = false;
				columns[(*ncolumns)++].doc = NULL;
				break;
			}
		}
	}
	relation_close(view, NoLock);
	return columns;
}

/* The schema of an event type as the view stands now, palloc'd. Raises for columns without an Avro type. */
char *
OutboxDraftSchema(const OutboxContractConfig *config, const OutboxEventTypeConfig *type)
{
	int ncolumns;
	OutboxAvroColumn *columns;
	OutboxEvaluation evaluation;
	char *schema;

	/* the checks of domains are planned meanwhile, which may run code */
	OutboxEvaluationBegin(&evaluation, OutboxRelationOwner(config->view), OUTBOX_COMPILING);
	columns = OutboxContractColumns(config, type, &ncolumns);
	schema = OutboxAvroBuildSchema(get_rel_name(config->view), config->name_space, type->name,
								   GetComment(config->view, RelationRelationId, 0), columns, ncolumns);
	OutboxEvaluationEnd(&evaluation);
	return schema;
}
