/*-------------------------------------------------------------------------
 *
 * event_headers.c
 *	  What travels beside an event's payload, as one jsonb value.
 *
 * {"correlationid": ..., "causationid": ..., "actor": ..., "headers": {"tenant_id":
 * ...}}: what stands at the top are attributes, which a sink names in its own way; what is in
 * "headers" are columns of the contract, which keep their names. Most event types
 * have no such columns; their events share the value that trace.c keeps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "capture/write/write_private.h"
#include "compat.h"

static void push_attributes(OutboxJsonbState *state, Jsonb *attributes);
static void push_columns(OutboxJsonbState *state, const List *names, char *const *values);

/*
 * The attributes (an object of scalars, or NULL: none), the actor (or NULL), and the
 * values of columns of these names (of char *), palloc'd. A value that is NULL is
 * left out. NULL when there is nothing to add to the attributes.
 */
Jsonb *
OutboxEventHeaders(Jsonb *attributes, const char *actor, const List *names, char *const *values)
{
	OutboxJsonbState state = {0};
	bool any = false;

	for (int i = 0; i < list_length(names); i++)
		any |= values[i] != NULL;
	if (!any && actor == NULL)
		return NULL;
	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	if (attributes)
		push_attributes(&state, attributes);
	if (actor)
	{
		OutboxPushJsonbString(&state, WJB_KEY, "actor");
		OutboxPushJsonbString(&state, WJB_VALUE, actor);
	}
	if (any)
		push_columns(&state, names, values);
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}

static void
push_attributes(OutboxJsonbState *state, Jsonb *attributes)
{
	JsonbIterator *iterator = JsonbIteratorInit(&attributes->root);
	JsonbIteratorToken token;
	JsonbValue value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY || token == WJB_VALUE)
			OutboxPushJsonb(state, token, &value);
	}
}

static void
push_columns(OutboxJsonbState *state, const List *names, char *const *values)
{
	OutboxPushJsonbString(state, WJB_KEY, "headers");
	OutboxPushJsonb(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < list_length(names); i++)
	{
		if (values[i] == NULL)
			continue;
		OutboxPushJsonbString(state, WJB_KEY, list_nth(names, i));
		OutboxPushJsonbString(state, WJB_VALUE, values[i]);
	}
	OutboxPushJsonb(state, WJB_END_OBJECT, NULL);
}

/* A key or value of an object. */
void
OutboxPushJsonbString(OutboxJsonbState *state, JsonbIteratorToken token, const char *s)
{
	JsonbValue value = {.type = jbvString, .val.string = {.val = unconstify(char *, s), .len = strlen(s)}};

	OutboxPushJsonb(state, token, &value);
}
