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

#include "capture/transition/transition_private.h"
#include "capture/write/write.h"
#include "catalog/outbox_catalog.h"
#include "contract/codes/codes.h"
#include "contract/compile/compile.h"
#include "contract/environment/environment.h"
#include "guc.h"

/* More than a header of a version takes: its name, a UUID or a time, and what the broker adds. */
#define VERSION_HEADER_BYTES 64

static bool concerns(const OutboxChange *change, const OutboxCompiledEventType *type, const OutboxTransition *transition);
static bool checks_pass(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type);
static const char *unknown_code_detail(const OutboxAvroError *error);
static const char *encode_hint(const OutboxAvroError *error);
static void make_event(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type);
static Size message_size(const OutboxCompiledEventType *type, const OutboxEvent *event);
static bool too_large(OutboxChange *change, const OutboxCompiledEventType *type, const OutboxEvent *event);
static Size version_bytes(const OutboxChange *change);
static bytea *encode(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type, OutboxAvroError *error);
static void append_event(OutboxChange *change, TupleTableSlot *row, OutboxCompiledEventType *type, OutboxEvent *event);
static inline bool has_headers(const OutboxCompiledEventType *type);
static Jsonb *headers_of(const OutboxChange *change, const OutboxCompiledEventType *type, TupleTableSlot *row);
static void headers_step(void *arg);
static bool is_overtaken(const OutboxChange *change, TupleTableSlot *row);
static void message_key_step(void *arg);
static TupleTableSlot *row_before(const OutboxChange *change, const OutboxTransition *transition);
static TupleTableSlot *row_after(const OutboxChange *change, const OutboxTransition *transition);
static TupleTableSlot *published_row(const OutboxChange *change, const OutboxTransition *transition);

/*
 * Applies the event types to the change's transitions, from where the last
 * call stopped; adds to events and letters. May raise as evaluation may; then
 * stage and type say what was being done.
 */
void
OutboxChangeMakeEvents(OutboxChange *change)
{
	OutboxCompiledContract *contract = change->contract;

	for (; change->transition < change->ntransitions; change->transition++, change->type = 0)
	{
		OutboxTransition *transition = &change->transitions[change->transition];

		for (; change->type < contract->ntypes; change->type++, change->unfit = NULL)
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
	if (change->ntransitions == 1 && bms_is_member(type - change->contract->types, change->told))
		return false;
	if (type->config->emit == OUTBOX_EMIT_ALWAYS)
		return true;
	if (type->config->emit != transition->emit || transition->equal)
		return false;
	/* columns that only another event type publishes do not concern this one */
	return transition->emit != OUTBOX_EMIT_CHANGED || change->before != ROW_PRESENT || change->is_state || !type->partial ||
		!OutboxRowsEqual(change->contract, type);
}

static bool
checks_pass(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type)
{
	const OutboxCheckConfig *failed;

	change->stage = "check";
	failed = OutboxFailedCheck(change->contract, type, published_row(change, transition),
							   row_before(change, transition), row_after(change, transition));
	if (failed == NULL)
		return true;
	OutboxChangeEventFailed(change, "check",
							&(ErrorData){.sqlerrcode = ERRCODE_CHECK_VIOLATION,
										 .message = psprintf("check \"%s\" of event type \"%s\" is false", failed->name, type->config->name),
										 .detail = psprintf("The check: %s", failed->expression),
										 .hint = psprintf("Correct the row. Or change the check: SELECT outbox.drop_check(%s, %s); and outbox.add_check() with a rule that the row meets.",
														  quote_literal_cstr(type->config->name), quote_literal_cstr(failed->name))});
	return false;
}

/* The detail when a value is missing because a code map does not know its code. */
static const char *
unknown_code_detail(const OutboxAvroError *error)
{
	const char *codes = OutboxUnknownCodes();

	if (error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION || codes == NULL)
		return error->detail;
	return psprintf("Unknown codes in this row: %s.", codes);
}

static const char *
encode_hint(const OutboxAvroError *error)
{
	if (error->hint)
		return error->hint;
	if (unknown_code_detail(error) != error->detail)
		return "Add the code to its code map, or correct the row.";
	return "Correct the row, or the view's expression for the column.";
}

static void
make_event(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type)
{
	OutboxCompiledContract *contract = change->contract;
	TupleTableSlot *row = published_row(change, transition);
	OutboxAvroError error = {0};
	OutboxEvent event = {.flags = type->flags};

	change->stage = "encode";
	if (type->encoder == NULL)
	{
		OutboxChangeEventFailed(change, "map",
								&(ErrorData){.sqlerrcode = type->mismatch.sqlerrcode,
											 .message = type->mismatch.message,
											 .detail = type->mismatch.detail,
											 .hint = "Bring the view back to the pinned schema, or drop the contract and create it again in one transaction."});
		return;
	}
	event.payload = encode(change, transition, type, &error);
	if (event.payload == NULL)
	{
		OutboxChangeEventFailed(change, "encode",
								&(ErrorData){.sqlerrcode = error.sqlerrcode, .message = error.message, .detail = unconstify(char *, unknown_code_detail(&error)), .hint = unconstify(char *, encode_hint(&error))});
		return;
	}
	event.aggregateid = OutboxAggregateId(contract, row);
	if (event.aggregateid == NULL)
	{
		OutboxChangeAddLetter(change, type, transition->emit, "encode",
							  &(ErrorData){.sqlerrcode = ERRCODE_NOT_NULL_VIOLATION, .message = "a column of aggregate_id is NULL", .hint = "Correct the row, or the view's expression for the column."});
		return;
	}
	event.headers = headers_of(change, type, row);
	if (!too_large(change, type, &event))
		append_event(change, row, type, &event);
}

/*
 * The payload.  A former value without an Avro form becomes null: the event tells the present state, and must not be
 * lost for a former value.
 */
static bytea *
encode(OutboxChange *change, OutboxTransition *transition, OutboxCompiledEventType *type, OutboxAvroError *error)
{
	OutboxCompiledContract *contract = change->contract;
	TupleTableSlot *row = published_row(change, transition);
	TupleTableSlot *before = row_before(change, transition);
	bytea *payload = OutboxEncodeEvent(contract, type, row, before, change->unfit, error);

	if (payload || type->nprevious == 0 || before == NULL || change->unfit)
		return payload;
	change->unfit = palloc0(sizeof(bool) * type->nprevious);
	for (int i = 0; i < type->nprevious; i++)
		change->unfit[i] = !OutboxPreviousFits(contract, type, i, before);
	return OutboxEncodeEvent(contract, type, row, before, change->unfit, error);
}

/* Adds an event that has flags, key, payload and headers. row: of the contract, with its key. */
static void
append_event(OutboxChange *change, TupleTableSlot *row, OutboxCompiledEventType *type, OutboxEvent *event)
{
	OutboxCompiledContract *contract = change->contract;
	OutboxEvent *added;

	if (is_overtaken(change, row))
	{
		/* a null value would erase what came later */
		if (event->flags & OUTBOX_EVENT_TOMBSTONE_ONLY)
			return;
		event->flags = (event->flags & ~OUTBOX_EVENT_TOMBSTONE_AFTER) | OUTBOX_EVENT_SUPERSEDED;
	}
	added = palloc(sizeof(OutboxEvent));
	*added = *event;
	added->contract_id = contract->config->id;
	added->schema_id = type->config->schema_id;
	added->flags |= change->flags;
	added->aggregatetype = contract->aggregatetype;
	added->type = type->type;
	added->event_type_id = type->config->id;
	added->transition = change->ntransitions > 0 ? change->transitions[Min(change->transition, change->ntransitions - 1)].emit : OUTBOX_EMIT_DELETED;
	change->events = lappend(change->events, added);
}

static inline bool
has_headers(const OutboxCompiledEventType *type)
{
	return type->nheaders > 0 || type->config->actor;
}

/*
 * What travels beside the payload; NULL: the transaction's ids alone, if it has any. May raise as evaluation may. Who
 * made a change that is told later is not known.
 */
static Jsonb *
headers_of(const OutboxChange *change, const OutboxCompiledEventType *type, TupleTableSlot *row)
{
	bool told_later = (change->flags & (OUTBOX_EVENT_REDRIVEN | OUTBOX_EVENT_LATE)) != 0;

	if (likely(!has_headers(type)))
		return NULL;
	return OutboxEventHeaders(OutboxCorrelationHeaders(), type->config->actor && !told_later ? OutboxActor() : NULL,
							  type->config->headers, OutboxHeaderValues(type, row));
}

/* Only a row that is there can have been changed again unseen. */
static bool
is_overtaken(const OutboxChange *change, TupleTableSlot *row)
{
	bool changed_again = change->row && change->row->superseded_by != InvalidCommandId && row == change->contract->after;

	if (change->row == NULL || (!changed_again && !OutboxAnyOvertaking()))
		return false;
	return OutboxOvertaken(change->row, OutboxRowKeyHash(change->contract, row), changed_again);
}

static Size
message_size(const OutboxCompiledEventType *type, const OutboxEvent *event)
{
	return OutboxMessageSize(type, event->payload, event->aggregateid, event->headers ? event->headers : OutboxCorrelationHeaders());
}

/* Is the message larger than outbox.max_message_bytes? Then it becomes a dead letter. */
static bool
too_large(OutboxChange *change, const OutboxCompiledEventType *type, const OutboxEvent *event)
{
	Size size = message_size(type, event) + version_bytes(change);

	if (size <= (Size) outbox_max_message_bytes)
		return false;
	OutboxChangeEventFailed(change, "size",
							&(ErrorData){.sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED,
										 .message = psprintf("event of %zu bytes exceeds outbox.max_message_bytes (%d)",
															 size, outbox_max_message_bytes),
										 .detail = "The size counts payload, headers, and the key three times: it is in two headers, too.",
										 .hint = "Raise outbox.max_message_bytes together with the broker's limit, or leave the large column out of the contract."});
	return true;
}

/* Room for the headers changeid and sunset, where a message may have them. */
static Size
version_bytes(const OutboxChange *change)
{
	return (change->pairs ? VERSION_HEADER_BYTES : 0) + (change->contract->config->sunset ? VERSION_HEADER_BYTES : 0);
}

/* What headers_step needs inside its guard. */
typedef struct HeadersRequest
{
	const OutboxChange *change;
	const OutboxCompiledEventType *type;
	TupleTableSlot *row;
	Jsonb *headers;
} HeadersRequest;

/*
 * Adds a null value for the key, with the headers that the row has: one of which the key alone is known has NULLs. False:
 * the event type asks for none, or the key does not allow it.
 */
bool
OutboxChangeAddTombstone(OutboxChange *change, OutboxCompiledEventType *type, text *key, TupleTableSlot *row)
{
	OutboxCompiledContract *contract = change->contract;
	OutboxEvent event = {.flags = OUTBOX_EVENT_TOMBSTONE_ONLY, .aggregateid = key, .payload = palloc(VARHDRSZ)};
	HeadersRequest request = {.change = change, .type = type, .row = row};

	SET_VARSIZE(event.payload, VARHDRSZ);
	if ((type->flags & OUTBOX_EVENT_TOMBSTONES) == 0 || key == NULL)
		return false;
	/* a header whose text cannot be made is no reason to keep the key in the topic */
	if (has_headers(type) && OutboxRunGuarded(headers_step, &request, contract->row_context) == NULL)
		event.headers = request.headers;
	if (message_size(type, &event) > (Size) outbox_max_message_bytes)
		return false;
	append_event(change, contract->before, type, &event);
	return true;
}

static void
headers_step(void *arg)
{
	HeadersRequest *request = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, request->change->contract->owner, OUTBOX_ANYTHING);
	request->headers = headers_of(request->change, request->type, request->row);
	OutboxEvaluationEnd(&evaluation);
}

/*
 * The event type being applied has failed at this stage: adds a dead letter. For a deleted row, the null value that the
 * event type asks for is published all the same. If it asks for the null value alone, there is no dead letter.
 */
void
OutboxChangeEventFailed(OutboxChange *change, const char *stage, const ErrorData *error)
{
	OutboxCompiledEventType *type = &change->contract->types[change->type];
	OutboxTransition *transition = &change->transitions[change->transition];

	/* a null value carries the key alone, so what is wrong with the row does not keep it back */
	if ((type->flags & OUTBOX_EVENT_TOMBSTONES) != 0 && strcmp(stage, "condition") != 0 &&
		OutboxChangeAddTombstone(change, type, OutboxMessageKey(change->contract, published_row(change, transition)), published_row(change, transition)) &&
		(type->flags & OUTBOX_EVENT_TOMBSTONE_ONLY) != 0 && strcmp(stage, "check") != 0)
		return;
	OutboxChangeAddLetter(change, type, transition->emit, stage, error);
}

/* What message_key_step needs inside its guard. */
typedef struct KeyRequest
{
	OutboxCompiledContract *contract;
	TupleTableSlot *row;
	text *key;
} KeyRequest;

/*
 * The message key of a row of the contract, outside of an evaluation. NULL: the key is NULL, or an output function
 * raised.
 */
text *
OutboxMessageKey(OutboxCompiledContract *contract, TupleTableSlot *row)
{
	KeyRequest request = {.contract = contract, .row = row};

	return OutboxRunGuarded(message_key_step, &request, contract->row_context) ? NULL : request.key;
}

static void
message_key_step(void *arg)
{
	KeyRequest *request = arg;
	OutboxEvaluation evaluation;

	OutboxEvaluationBegin(&evaluation, request->contract->owner, OUTBOX_ANYTHING);
	request->key = OutboxAggregateId(request->contract, request->row);
	OutboxEvaluationEnd(&evaluation);
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

/* The row that the event shows: the row after, or the row before when it is gone. */
static TupleTableSlot *
published_row(const OutboxChange *change, const OutboxTransition *transition)
{
	return transition->after ? change->contract->after : change->contract->before;
}
