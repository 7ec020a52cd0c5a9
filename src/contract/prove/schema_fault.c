/*-------------------------------------------------------------------------
 *
 * schema_fault.c
 *	  Does a contract's view still give the schemas that are pinned?
 *
 * Two things are asked of each event type. Its pinned schema must still have a
 * column of the right type for each field. And where the view would give another
 * schema by now, that one must be compatible with what was published, under the level of
 * the contract: a label that an enum got may come in the next row, and consumers
 * cannot read it. Compatible differences are no fault; nothing is published of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "avro/outbox_avro.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "contract/history/history.h"
#include "contract/prove/prove.h"

typedef struct Draft
{
	const OutboxContractConfig *config;
	const OutboxEventTypeConfig *type;
	char *schema;
} Draft;

static void check_filled(const OutboxContractConfig *config, const OutboxEventTypeConfig *type);
static List *violations_of(const OutboxContractConfig *config, const OutboxEventTypeConfig *type);
static void draft_step(void *arg);
static bool must_rethrow(const ErrorData *error);

/* Raises for the first event type whose pinned schema the view does not fill any more. Allocates in CurrentMemoryContext. */
void
OutboxCheckFills(const OutboxContractConfig *config)
{
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		if (((const OutboxEventTypeConfig *) lfirst(lc))->schema_text)
			check_filled(config, lfirst(lc));
	}
}

/* Raises when consumers could not read what the view would pin now of its pinned event types. Allocates as well; uses SPI. */
void
OutboxCheckReads(const OutboxContractConfig *config)
{
	List *violations = NIL;
	ListCell *lc;

	foreach (lc, config->event_types)
	{
		if (((const OutboxEventTypeConfig *) lfirst(lc))->schema_text)
			violations = list_concat(violations, violations_of(config, lfirst(lc)));
	}
	OutboxRefuseViolations(config, violations, false);
}

static void
check_filled(const OutboxContractConfig *config, const OutboxEventTypeConfig *type)
{
	int ncolumns;
	OutboxAvroColumn *columns = OutboxContractColumns(config, type, &ncolumns);
	OutboxAvroError error = {0};

	if (OutboxAvroCompile(type->schema_text, columns, ncolumns, &error))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("view %s of contract \"%s\" does not fill the schema of event type \"%s\", version %d, any more: %s",
					OutboxQualifiedName(config->view), config->name, type->name, config->version, error.message),
			 error.detail ? errdetail("%s", error.detail) : 0,
			 errhint("Give the view's column its name and type back in this transaction, with AS or a cast. Or publish another version beside this one: SELECT outbox.add_version(%s, publish => 'beside');",
					 quote_literal_cstr(config->name))));
}

static List *
violations_of(const OutboxContractConfig *config, const OutboxEventTypeConfig *type)
{
	Draft draft = {.config = config, .type = type};

	/* a column that has no Avro type is none that was published */
	if (OutboxCatch(draft_step, &draft, CurrentMemoryContext, must_rethrow) || strcmp(draft.schema, type->schema_text) == 0)
		return NIL;
	return OutboxHistoryViolations(config, type, draft.schema, OutboxCompatibility(config));
}

static void
draft_step(void *arg)
{
	Draft *draft = arg;

	draft->schema = OutboxDraftSchema(draft->config, draft->type);
}

static bool
must_rethrow(const ErrorData *error)
{
	return !OutboxIsVerdict(error);
}
