/*-------------------------------------------------------------------------
 *
 * trace.c
 *	  The trace context and correlation ids of the running transaction.
 *
 * They come from settings, which change a few times per transaction at most:
 * the values built from them are kept until the setting's text differs. The
 * trace context may also stand in a comment of the client's statement
 * (trace_comment.c).
 *
 * Any session may set these, and they travel in the header of every event: a
 * value longer than 1 kB or with a control character counts as not set. It is
 * never an error, for the statement is an application's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "capture/write/write_private.h"
#include "compat.h"
#include "guc.h"

/* W3C Trace Context, section 3.2: version-traceid-parentid-flags, in lower-case hex. */
#define TRACEPARENT_LEN 55

/* Longest value of a setting that is used. */
#define SETTING_MAX_BYTES 1024

typedef struct CachedSetting
{
	char *value; /* the setting's text when the cache was filled; NULL = never */
} CachedSetting;

/* Called for every event, and nearly always for an empty setting. */
static inline bool
unchanged(const CachedSetting *cached, const char *setting)
{
	return cached->value != NULL && cached->value[0] == setting[0] &&
		(setting[0] == '\0' || strcmp(cached->value, setting) == 0);
}

static void
remember(CachedSetting *cached, const char *setting)
{
	char *copy = MemoryContextStrdup(TopMemoryContext, setting);

	if (cached->value != NULL)
		pfree(cached->value);
	cached->value = copy;
}

/* A setting's text as far as it is looked at: "" if there is none, or too much. */
static inline const char *
bounded(const char *setting)
{
	if (setting == NULL || setting[0] == '\0' || strnlen(setting, SETTING_MAX_BYTES + 1) > SETTING_MAX_BYTES)
		return "";
	return setting;
}

/*
 * Text of the database's encoding without control characters (C0, DEL, and C1 where the encoding is UTF-8)? CloudEvents
 * allows no others. What a client gave at its start, and names of roles, were checked by nobody.
 */
static bool
is_printable(const char *s)
{
	bool utf8 = GetDatabaseEncoding() == PG_UTF8;

	if (!pg_verifymbstr(s, strlen(s), true))
		return false;

	for (const unsigned char *c = (const unsigned char *) s; *c != '\0'; c++)
	{
		if (*c < ' ' || *c == 0x7F || (utf8 && c[0] == 0xC2 && c[1] < 0xA0))
			return false;
	}
	return true;
}

/* n lower-case hex digits, not all of them zero unless that is allowed. */
static bool
hex_field(const char *s, int n, bool zero_allowed)
{
	bool nonzero = false;

	for (int i = 0; i < n; i++)
	{
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
		nonzero |= s[i] != '0';
	}
	return nonzero || zero_allowed;
}

/* A later version may append fields after another dash; ff is forbidden. */
static bool
valid_traceparent(const char *s)
{
	if (strlen(s) < TRACEPARENT_LEN)
		return false;
	if (!hex_field(s, 2, true) || s[2] != '-' || !hex_field(s + 3, 32, false) || s[35] != '-' ||
		!hex_field(s + 36, 16, false) || s[52] != '-' || !hex_field(s + 53, 2, true))
		return false;
	if (strncmp(s, "ff", 2) == 0)
		return false;
	return s[TRACEPARENT_LEN] == '\0' || (strncmp(s, "00", 2) != 0 && s[TRACEPARENT_LEN] == '-');
}

/* "traceparent=..." as a value; of a later version only the fields that we know. */
typedef struct TraceValue
{
	bool present;
	union
	{
		text value;
		char bytes[VARHDRSZ + sizeof("traceparent=") + TRACEPARENT_LEN];
	} storage;
} TraceValue;

/* An absent or malformed context is none. */
static void
set_trace(TraceValue *trace, const char *traceparent)
{
	int len;

	trace->present = traceparent != NULL && valid_traceparent(traceparent);
	if (!trace->present)
		return;
	len = snprintf(VARDATA(&trace->storage), sizeof(trace->storage) - VARHDRSZ,
				   "traceparent=%.*s", TRACEPARENT_LEN, traceparent);
	SET_VARSIZE(&trace->storage, VARHDRSZ + len);
}

/*
 * The context in a comment of the client's running statement, looked at once. At
 * COMMIT the text of the statement is gone, so the context of queued keys is kept.
 */
static text *
statement_trace(void)
{
	static TimestampTz looked_at = 0;
	static const char *looked_in = NULL;
	static TraceValue trace;
	char found[2 * TRACEPARENT_LEN];

	if (looked_in != debug_query_string || looked_at != GetCurrentStatementStartTimestamp())
	{
		looked_in = debug_query_string;
		looked_at = GetCurrentStatementStartTimestamp();
		set_trace(&trace, looked_in != NULL && OutboxTraceInComment(looked_in, found, sizeof(found)) ? found : NULL);
	}
	return trace.present ? &trace.storage.value : NULL;
}

static text *
setting_trace(void)
{
	static CachedSetting cached;
	static TraceValue trace;
	const char *traceparent = bounded(outbox_traceparent);

	if (!unchanged(&cached, traceparent))
	{
		set_trace(&trace, traceparent);
		remember(&cached, traceparent);
	}
	return trace.present ? &trace.storage.value : NULL;
}

/*
 * "traceparent=<value>" (java.util.Properties text) from outbox.traceparent, else
 * from a comment of the running statement; NULL when none or malformed. Valid until
 * the next call in this backend. A malformed value is never an error.
 */
text *
OutboxTraceContext(void)
{
	text *trace = setting_trace();

	return trace ? trace : statement_trace();
}

/* What OutboxTraceKeep kept, and for which transaction. */
static LocalTransactionId kept_in = InvalidLocalTransactionId;
static union
{
	text value;
	char bytes[sizeof(((TraceValue *) 0)->storage)];
} kept;

/*
 * For events that are made at commit: remembers the comment's context of a
 * statement that touched a key. The last statement with a context counts.
 */
void
OutboxTraceKeep(void)
{
	text *trace = statement_trace();

	if (trace == NULL)
		return;
	memcpy(&kept, trace, VARSIZE(trace));
	kept_in = OutboxLocalTransactionId();
}

/*
 * OutboxTraceContext for an event that is made at commit: the setting's context, else the one that OutboxTraceKeep kept,
 * else the running statement's.
 */
text *
OutboxTraceContextAtCommit(void)
{
	text *trace = setting_trace();

	if (trace == NULL && kept_in == OutboxLocalTransactionId())
		trace = &kept.value;
	return trace ? trace : statement_trace();
}

static void
push_id(OutboxJsonbState *state, const char *name, const char *id)
{
	OutboxPushJsonbString(state, WJB_KEY, name);
	OutboxPushJsonbString(state, WJB_VALUE, id);
}

/* In TopMemoryContext; NULL when neither id is to be used. */
static Jsonb *
build_headers(const char *correlation_id, const char *causation_id)
{
	bool correlated = correlation_id[0] != '\0' && is_printable(correlation_id);
	bool caused = causation_id[0] != '\0' && is_printable(causation_id);
	OutboxJsonbState state = {0};
	Jsonb *built;
	Jsonb *headers;

	if (!correlated && !caused)
		return NULL;
	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	if (correlated)
		push_id(&state, "correlationid", correlation_id);
	if (caused)
		push_id(&state, "causationid", causation_id);
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	built = JsonbValueToJsonb(state.result);
	headers = MemoryContextAlloc(TopMemoryContext, VARSIZE(built));
	memcpy(headers, built, VARSIZE(built));
	pfree(built);
	return headers;
}

/* {"correlationid": ..., "causationid": ...}, valid until the next call in this backend; NULL when neither is set. */
Jsonb *
OutboxCorrelationHeaders(void)
{
	static CachedSetting correlation;
	static CachedSetting causation;
	static Jsonb *headers = NULL;
	const char *correlation_id = bounded(outbox_correlation_id);
	const char *causation_id = bounded(outbox_causation_id);

	if (!unchanged(&correlation, correlation_id) || !unchanged(&causation, causation_id))
	{
		Jsonb *fresh = build_headers(correlation_id, causation_id);

		if (headers != NULL)
			pfree(headers);
		headers = fresh;
		remember(&correlation, correlation_id);
		remember(&causation, causation_id);
	}
	return headers;
}

/*
 * Who makes the changes of this transaction: outbox.actor, else the session's user, whatever role it has set. NULL when
 * the user's name cannot be in a header. Palloc'd, or valid until the setting changes.
 */
const char *
OutboxActor(void)
{
	const char *actor = bounded(outbox_actor);
	char *user;

	if (actor[0] != '\0' && is_printable(actor))
		return actor;
	user = GetUserNameFromId(GetSessionUserId(), true);
	return user && is_printable(user) ? user : NULL;
}

/*
 * The headers of an event of a contract with several versions, or with a sunset: those of the transaction and `changeid`
 * and `sunset`, either of which may be NULL. In CurrentMemoryContext.
 */
Jsonb *
OutboxVersionHeaders(Jsonb *headers, const pg_uuid_t *changeid, const char *sunset)
{
	OutboxJsonbState state = {0};
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;

	if (changeid == NULL && sunset == NULL)
		return headers;
	OutboxPushJsonb(&state, WJB_BEGIN_OBJECT, NULL);
	iterator = headers ? JsonbIteratorInit(&headers->root) : NULL;
	while (iterator && (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY || token == WJB_VALUE)
			OutboxPushJsonb(&state, token, &value);
	}
	if (changeid)
		push_id(&state, "changeid", DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(changeid))));
	if (sunset)
		push_id(&state, "sunset", sunset);
	OutboxPushJsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}
