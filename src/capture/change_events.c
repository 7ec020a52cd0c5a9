/*-------------------------------------------------------------------------
 *
 * change_events.c
 *	  The transitions of a contract's row -> events.
 *
 * Every event type decides for itself: a condition that raises, a check that
 * fails or a row that cannot be encoded concerns that event type alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/builtins.h"

#include "capture/change.h"
#include "capture/event_writer.h"
#include "capture/trace.h"
#include "capture/transition.h"
#include "contract/code_map.h"
#include "contract/evaluate.h"
#include "guc.h"

static bool concerns(const OutboxChange *change, const OutboxCompiledEventType *type, const OutboxTransition *transition);
static bool checks_pass(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type);
static const char *unknown_code_detail(const OutboxAvroError *error);
static void make_event(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type);
static bool too_large(OutboxChange *change, const OutboxTransition *transition, const OutboxCompiledEventType *type,
					  const bytea *payload, const text *key);
static TupleTableSlot *row_before(const OutboxChange *change, const OutboxTransition *transition);
static TupleTableSlot *row_after(const OutboxChange *change, const OutboxTransition *transition);
static TupleTableSlot *published_row(const OutboxChange *change, const OutboxTransition *transition);

/* Goes on where the last run stopped. */
void
OutboxChangeMakeEvents(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;

	for (; change->transition < change->ntransitions; change->transition++, change->type = 0)
	{
		OutboxTransition *transition = &change->transitions[change->transition];

		for (; change->type < contract->ntypes; change->type++)
		{
			OutboxCompiledEventType *type = &contract->types[change->type];

			change->stage = "condition";
			if (concerns(change, type, transition) &&
				OutboxConditionHolds(contract, type, row_before(change, transition), row_after(change, transition)) &&
				checks_pass(change, transition, type))
				make_event(change, transition, type);
		}
	}
}

static bool
concerns(const OutboxChange *change, const OutboxCompiledEventType *type, const OutboxTransition *transition)
{
	if (change->only_type && strcmp(change->only_type, type->config->name) != 0)
		return false;
	if (change->always_only)
		return OutboxNeedsNoRowBefore(type);
	if (type->config->emit == OUTBOX_EMIT_ALWAYS)
		return true;
	if (type->config->emit != transition->emit || transition->equal)
		return false;
	/* columns that only another event type publishes do not concern this one */
	return transition->emit != OUTBOX_EMIT_CHANGED || change->before != ROW_PRESENT || !type->partial ||
		!OutboxRowsEqual(change->contract, type);
}

static bool
checks_pass(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type)
{
	const char *failed;

	change->stage = "check";
	failed = OutboxFailedCheck(change->contract, type, published_row(change, transition),
							   row_before(change, transition), row_after(change, transition));
	if (failed == NULL)
		return true;
	OutboxChangeAddLetter(change, type, transition->emit, "check",
						  &(ErrorData){.sqlerrcode = ERRCODE_CHECK_VIOLATION,
									   .message = psprintf("check \"%s\" of event type \"%s\" is false", failed, type->config->name),
									   .hint = "Correct the row, or the check."});
	return false;
}

/* What a missing value may come from. */
static const char *
unknown_code_detail(const OutboxAvroError *error)
{
	const char *codes = OutboxUnknownCodes();

	if (error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION || codes == NULL)
		return error->detail;
	return psprintf("Unknown codes in this row: %s.", codes);
}

static void
make_event(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type)
{
	OutboxCompiledContract *contract = change->contract;
	TupleTableSlot *row = published_row(change, transition);
	OutboxAvroError error = {0};
	OutboxEvent *event;
	bytea *payload;
	text *key;

	change->stage = "encode";
	if (type->encoder == NULL)
	{
		OutboxChangeAddLetter(change, type, transition->emit, "map",
							  &(ErrorData){.sqlerrcode = type->mismatch.sqlerrcode,
										   .message = type->mismatch.message,
										   .detail = type->mismatch.detail,
										   .hint = "Bring the view back to the pinned schema, or drop the contract and create it again."});
		return;
	}
	payload = OutboxEncodeEvent(contract, type, row, row_before(change, transition), &error);
	if (payload == NULL)
	{
		OutboxChangeAddLetter(change, type, transition->emit, "encode",
							  &(ErrorData){.sqlerrcode = error.sqlerrcode, .message = error.message, .detail = unconstify(char *, unknown_code_detail(&error)), .hint = "Correct the row, or the view's expression for the column."});
		return;
	}
	key = OutboxAggregateId(contract, row);
	if (key == NULL)
	{
		OutboxChangeAddLetter(change, type, transition->emit, "encode",
							  &(ErrorData){.sqlerrcode = ERRCODE_NOT_NULL_VIOLATION, .message = "a column of aggregate_id is NULL", .hint = "Correct the row, or the view's expression for the column."});
		return;
	}
	if (too_large(change, transition, type, payload, key))
		return;
	event = palloc0(sizeof(OutboxEvent));
	event->contract_id = contract->config->id;
	event->schema_id = type->config->schema_id;
	event->flags = type->flags | change->flags;
	if (!transition->after)
		event->flags &= ~OUTBOX_EVENT_SUPERSEDED;
	event->aggregatetype = contract->aggregatetype;
	event->aggregateid = key;
	event->type = type->type;
	event->payload = payload;
	change->events = lappend(change->events, event);
}

/* Then it becomes a dead letter. */
static bool
too_large(OutboxChange *change, const OutboxTransition *transition, const OutboxCompiledEventType *type,
		  const bytea *payload, const text *key)
{
	Size size = OutboxMessageSize(type, payload, key, OutboxCorrelationHeaders());

	if (size <= (Size) outbox_max_message_bytes)
		return false;
	OutboxChangeAddLetter(change, type, transition->emit, "size",
						  &(ErrorData){.sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED,
									   .message = psprintf("event of %zu bytes exceeds outbox.max_message_bytes (%d)",
														   size, outbox_max_message_bytes),
									   .detail = "The size counts payload, headers, and the key three times: it is in two headers, too.",
									   .hint = "Raise outbox.max_message_bytes together with the broker's limit, or leave the large column out of the contract."});
	return true;
}

static TupleTableSlot *
row_before(const OutboxChange *change, const OutboxTransition *transition)
{
	return transition->before ? change->contract->before : NULL;
}

static TupleTableSlot *
row_after(const OutboxChange *change, const OutboxTransition *transition)
{
	return transition->after ? change->contract->after : NULL;
}

/* What the event carries: the row after, of a deleted one the row before. */
static TupleTableSlot *
published_row(const OutboxChange *change, const OutboxTransition *transition)
{
	return transition->after ? change->contract->after : change->contract->before;
}
