/*-------------------------------------------------------------------------
 *
 * trace.c
 *	  The trace context and correlation ids of the running transaction.
 *
 * They come from settings, which change a few times per transaction at most:
 * the values built from them are kept until the setting's text differs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "capture/trace.h"
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

text *
OutboxTraceContext(void)
{
	static CachedSetting cached;
	static union
	{
		text value;
		char bytes[VARHDRSZ + sizeof("traceparent=") + TRACEPARENT_LEN];
	} storage;
	static bool present = false;

	if (!unchanged(&cached, outbox_traceparent))
	{
		present = outbox_traceparent != NULL && valid_traceparent(outbox_traceparent);
		if (present)
		{
			/* of a later version only the fields that we know */
			int len = snprintf(VARDATA(&storage), sizeof(storage) - VARHDRSZ,
							   "traceparent=%.*s", TRACEPARENT_LEN, outbox_traceparent);

			SET_VARSIZE(&storage, VARHDRSZ + len);
		}
		remember(&cached, outbox_traceparent);
	}
	return present ? &storage.value : NULL;
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
