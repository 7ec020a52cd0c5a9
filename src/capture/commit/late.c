/*-------------------------------------------------------------------------
 *
 * late.c
 *	  Keys that could not be evaluated at commit.
 *
 * A commit does not wait: not for a lock, not for a slow view. What is not
 * done in time is kept as a dead letter of stage flush, in the same
 * transaction, with the key and the row before (flush_late.c). The relay
 * tries it again when the transaction has ended.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "capture/commit/commit_private.h"
#include "capture/write/write.h"
#include "catalog/outbox_catalog.h"
#include "contract/environment/environment.h"
#include "guc.h"
#include "letters/letters.h"

typedef struct LateLetter
{
	const OutboxLateKey *key;
	OutboxDeadLetter letter;
} LateLetter;

static char *next_step(const OutboxLateKey *key);
static void describe(void *arg);

/* A dead letter of stage flush in the present transaction; raises instead with on_invalid = abort. */
void
OutboxLateLetter(const OutboxLateKey *key)
{
	LateLetter late = {.key = key};
	OutboxDeadLetter *letter = &late.letter;

	if (key->contract->abort_on_invalid)
		ereport(ERROR,
				(errcode(key->reason->sqlerrcode),
				 errmsg("contract \"%s\" refuses the change: %s", key->contract->name, key->reason->message),
				 key->reason->detail ? errdetail("%s", key->reason->detail) : 0,
				 errhint("%s%sThe contract was created with on_invalid => 'abort'; run the transaction again.",
						 key->reason->hint ? key->reason->hint : "", key->reason->hint ? " " : "")));
	if (OutboxRunGuarded(describe, &late, CurrentMemoryContext))
	{
		letter->key = NULL;
		letter->source_columns = NULL;
		letter->before = NULL;
	}
	letter->contract = key->contract->name;
	letter->stage = "flush";
	letter->sqlerrcode = key->reason->sqlerrcode;
	letter->message = key->reason->message ? key->reason->message : "unknown error";
	letter->detail = key->reason->detail;
	letter->hint = next_step(key);
	if (key->before_known && (key->before == NULL || letter->before))
		letter->snapshot = key->snapshot;
	if (key->before_known && key->before == NULL)
		letter->emit = OutboxEmitName(OUTBOX_EMIT_CREATED);
	else if (letter->before)
		letter->emit = OutboxEmitName(OUTBOX_EMIT_CHANGED);
	OutboxDeadLetterInsert(letter);
	OutboxEventCountDeadLetter(key->contract->id);
}

/* Where time alone does not mend it, as a scan for want of an index, the reason says what does. */
static char *
next_step(const OutboxLateKey *key)
{
	if (key->reason->hint == NULL)
		return pstrdup("The relay tries it again by itself.");
	return psprintf("%s The relay tries it again by itself; SELECT outbox.redrive(contract => %s) does so at once.",
					key->reason->hint, quote_literal_cstr(key->contract->name));
}

/* Output functions run. */
static void
describe(void *arg)
{
	LateLetter *late = arg;
	const OutboxLateKey *key = late->key;
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, OidIsValid(key->contract->owner) ? key->contract->owner : GetUserId(), OUTBOX_ANYTHING);
	late->letter.key = OutboxLookupToJsonb(key->contract->shape->desc, key->lookup);
	late->letter.source_columns = late->letter.key;
	if (key->before)
	{
		Datum *values = palloc(sizeof(Datum) * key->row_desc->natts);
		bool *isnull = palloc(sizeof(bool) * key->row_desc->natts);

		heap_deform_tuple(key->before, key->row_desc, values, isnull);
		late->letter.before = OutboxRowToJsonb(key->row_desc, values, isnull);
	}
	OutboxEvaluationEnd(&evaluation);
}
