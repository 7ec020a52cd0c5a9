/*-------------------------------------------------------------------------
 *
 * promise.c
 *	  What a contract promises beside its schemas: key, message key, which changes
 *	  make an event, tombstones.
 *
 * Compaction and the order of messages rest on these, and no schema shows them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "contract/history/history_private.h"

static List *changed(List *violations, const OutboxContractConfig *config, const OutboxEventTypeConfig *type, int32 against,
					 const char *rule, const char *message);

/* OutboxViolation * for each promise that is another one than in a pinned schema's time. */
List *
OutboxPromiseViolations(const OutboxContractConfig *config, const OutboxEventTypeConfig *type, int32 against, const OutboxPromise *before)
{
	const char *key = OutboxNamesToArray(config->key);
	const char *aggregate_id = OutboxNamesToArray(config->aggregate_id);
	const char *emit = OutboxEmitName(type->emit);
	const char *tombstone = OutboxTombstoneName(type->tombstone);
	List *violations = NIL;
	ListCell *lc;

	if (before->key && strcmp(before->key, key) != 0)
		violations = changed(violations, config, type, against, "KEY", psprintf("the key was %s and is %s", before->key, key));
	foreach (lc, config->key)
	{
		if (get_attnum(config->view, lfirst(lc)) <= 0)
			violations = changed(violations, config, type, against, "KEY", psprintf("the view has no column \"%s\" of the key", (char *) lfirst(lc)));
	}
	if (before->aggregate_id && strcmp(before->aggregate_id, aggregate_id) != 0)
		violations = changed(violations, config, type, against, "AGGREGATE_ID", psprintf("the message key was made of %s and is made of %s", before->aggregate_id, aggregate_id));
	if (before->emit && strcmp(before->emit, emit) != 0)
		violations = changed(violations, config, type, against, "EMIT", psprintf("rows that were %s made events, and rows that are %s do", before->emit, emit));
	if (before->tombstone && strcmp(before->tombstone, tombstone) != 0)
		violations = changed(violations, config, type, against, "TOMBSTONE", psprintf("tombstone was %s and is %s", before->tombstone, tombstone));
	return violations;
}

static List *
changed(List *violations, const OutboxContractConfig *config, const OutboxEventTypeConfig *type, int32 against,
		const char *rule, const char *message)
{
	OutboxViolation *violation = palloc(sizeof(OutboxViolation));

	*violation = (OutboxViolation){
		.event_type = type->name,
		.against = against,
		.severity = "error",
		.rule = rule,
		.path = "",
		.message = message,
		.remedy = "Publish under another topic, or under another name of the event type."};
	return lappend(violations, violation);
}
