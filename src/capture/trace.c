/*-------------------------------------------------------------------------
 *
 * trace.c
 *	  The trace context and correlation ids of the running transaction.
 *
 * They come from settings, which change a few times per transaction at most:
 * the values built from them are kept until the setting's text differs. The
 * trace context may also stand in a comment of the client's statement, where
 * sqlcommenter and the libraries that follow it put it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "capture/trace.h"
#include "compat.h"
#include "guc.h"

/* W3C Trace Context, section 3.2: version-traceid-parentid-flags, in lower-case hex. */
#define TRACEPARENT_LEN 55

typedef struct CachedSetting
{
	char *value; /* the setting's text when the cache was filled; NULL = never */
} CachedSetting;

/* Asked for every event, and nearly always of an empty setting. */
static inline bool
unchanged(const CachedSetting *cached, const char *setting)
{
	const char *now = setting ? setting : "";

	return cached->value != NULL && cached->value[0] == now[0] &&
		(now[0] == '\0' || strcmp(cached->value, now) == 0);
}

static void
remember(CachedSetting *cached, const char *setting)
{
	char *copy = MemoryContextStrdup(TopMemoryContext, setting ? setting : "");

	if (cached->value != NULL)
		pfree(cached->value);
	cached->value = copy;
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
 * The value of traceparent='...' in a comment of a statement, as sqlcommenter
 * writes it, into out; false when there is none.
 */
static bool
find_in_comment(const char *statement, char *out, Size size)
{
	const char *comment = statement;

	while ((comment = strstr(comment, "/*")) != NULL)
	{
		const char *end = strstr(comment + 2, "*/");
		const char *name = strstr(comment, "traceparent='");
		const char *value = name != NULL ? name + strlen("traceparent='") : NULL;
		const char *quote;

		if (end == NULL || value == NULL)
			return false;
		quote = value < end ? memchr(value, '\'', end - value) : NULL;
		if (quote != NULL && quote - value < size)
		{
			memcpy(out, value, quote - value);
			out[quote - value] = '\0';
			return true;
		}
		comment = end + 2;
	}
	return false;
}

/*
 * From the client's statement that is running, looked at once. At COMMIT its
 * text is gone; of rows that wait for it the context is kept.
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
		set_trace(&trace, looked_in != NULL && find_in_comment(looked_in, found, sizeof(found)) ? found : NULL);
	}
	return trace.present ? &trace.storage.value : NULL;
}

static text *
setting_trace(void)
{
	static CachedSetting cached;
	static TraceValue trace;

	if (!unchanged(&cached, outbox_traceparent))
	{
		set_trace(&trace, outbox_traceparent);
		remember(&cached, outbox_traceparent);
	}
	return trace.present ? &trace.storage.value : NULL;
}

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

void
OutboxTraceKeep(void)
{
	text *trace = statement_trace();

	if (trace == NULL)
		return;
	memcpy(&kept, trace, VARSIZE(trace));
	kept_in = OutboxLocalTransactionId();
}

text *
OutboxTraceContextAtCommit(void)
{
	text *trace = setting_trace();

	if (trace == NULL && kept_in == OutboxLocalTransactionId())
		trace = &kept.value;
	return trace ? trace : statement_trace();
}

static void
push_string(JsonbParseState **state, JsonbIteratorToken token, const char *s)
{
	JsonbValue value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, s);
	value.val.string.len = strlen(s);
	(void) pushJsonbValue(state, token, &value);
}

static Jsonb *
build_headers(const char *correlation_id, const char *causation_id)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (correlation_id[0] != '\0')
	{
		push_string(&state, WJB_KEY, "correlationid");
		push_string(&state, WJB_VALUE, correlation_id);
	}
	if (causation_id[0] != '\0')
	{
		push_string(&state, WJB_KEY, "causationid");
		push_string(&state, WJB_VALUE, causation_id);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
OutboxCorrelationHeaders(void)
{
	static CachedSetting correlation;
	static CachedSetting causation;
	static Jsonb *headers = NULL;
	const char *correlation_id = outbox_correlation_id ? outbox_correlation_id : "";
	const char *causation_id = outbox_causation_id ? outbox_causation_id : "";

	if (!unchanged(&correlation, correlation_id) || !unchanged(&causation, causation_id))
	{
		Jsonb *fresh = NULL;

		if (correlation_id[0] != '\0' || causation_id[0] != '\0')
		{
			Jsonb *built = build_headers(correlation_id, causation_id);

			fresh = MemoryContextAlloc(TopMemoryContext, VARSIZE(built));
			memcpy(fresh, built, VARSIZE(built));
			pfree(built);
		}
		if (headers != NULL)
			pfree(headers);
		headers = fresh;
		remember(&correlation, correlation_id);
		remember(&causation, causation_id);
	}
	return headers;
}
