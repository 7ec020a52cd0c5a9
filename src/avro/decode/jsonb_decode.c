/*-------------------------------------------------------------------------
 *
 * jsonb_decode.c
 *	  One encoded record as jsonb.
 *
 * A decimal becomes a number, a date or time ISO 8601 text in UTC with
 * microseconds, bytes base64. Values for which JSON has no number become the text
 * "NaN", "Infinity" or "-Infinity".  Bytes of any origin are safe: the jsonb code
 * would raise for a NUL in a text, a text without counterpart in the server's
 * encoding, or hundreds of megabytes; these are found before it is called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/base64.h"
#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/numeric.h"

#include "avro/decode/jsonb_decode.h"
#include "avro/decode/wire_decode.h"
#include "avro/schema/schema.h"
#include "avro/values/calendar.h"
#include "avro/values/decimal.h"
#include "compat.h"

/* jsonb ends at 256 MB; what numbers and nesting add is counted in. */
#define MAX_JSONB_BYTES (200 * 1024 * 1024)
#define VALUE_OVERHEAD 32

struct OutboxAvroDecoder
{
	AvroNode *schema;
	OutboxTextRule text;
};

typedef struct JsonState
{
	const OutboxAvroDecoder *decoder;
	OutboxJsonbState json;
	AvroFault *fault;
	Size bytes; /* of the jsonb so far, roughly */
	int depth;
	bool in_array[AVRO_MAX_VALUE_DEPTH + 1];
} JsonState;

static bool
count_bytes(JsonState *state, Size bytes)
{
	state->bytes += bytes + VALUE_OVERHEAD;
	if (state->bytes > MAX_JSONB_BYTES)
		return AvroFail(state->fault, "the event is too large for jsonb");
	return true;
}

static bool
push(JsonState *state, JsonbValue *value)
{
	JsonbIteratorToken token = state->in_array[state->depth] ? WJB_ELEM : WJB_VALUE;

	if (!count_bytes(state, value->type == jbvString ? value->val.string.len : 0))
		return false;
	OutboxPushJsonb(&state->json, token, value);
	return true;
}

static bool
push_text(JsonState *state, const char *text, Size length)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = unconstify(char *, text);
	value.val.string.len = (int) length;
	return push(state, &value);
}

static bool
push_number(JsonState *state, const char *text)
{
	JsonbValue value = {.type = jbvNumeric};

	value.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
															ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	return push(state, &value);
}

static bool
push_integer(JsonState *state, int64 integer)
{
	JsonbValue value = {.type = jbvNumeric};

	value.val.numeric = int64_to_numeric(integer);
	return push(state, &value);
}

/* The text in the server's encoding, without NULs; NULL with a fault. */
static const char *
server_text(JsonState *state, const char *utf8, Size *length)
{
	const char *text;

	if (*length > MAX_JSONB_BYTES)
	{
		AvroFail(state->fault, "the event is too large for jsonb");
		return NULL;
	}
	if (memchr(utf8, '\0', *length) != NULL)
	{
		AvroFail(state->fault, "a string has a NUL character, which jsonb cannot hold");
		return NULL;
	}
	text = OutboxTextFromUtf8(&state->decoder->text, utf8, length);
	if (text == NULL)
		AvroFail(state->fault, "a string has a character that the server encoding lacks");
	return text;
}

static bool
push_string(JsonState *state, const char *utf8, Size length)
{
	const char *text = server_text(state, utf8, &length);

	return text != NULL && push_text(state, text, length);
}

static bool
push_bytes(JsonState *state, const char *bytes, Size length)
{
	int size;
	char *text;

	if (length > MAX_JSONB_BYTES / 2)
		return AvroFail(state->fault, "the event is too large for jsonb");
	size = pg_b64_enc_len((int) length);
	text = palloc(size + 1);
	size = pg_b64_encode((const void *) bytes, (int) length, text, size);
	return push_text(state, text, size);
}

static bool
push_decimal(JsonState *state, const AvroNode *node, const AvroScalar *scalar)
{
	char *text = OutboxDecimalText(scalar->bytes, scalar->length, node->scale);

	if (text == NULL)
		return AvroFail(state->fault, "a decimal has more than %d digits", OUTBOX_DECIMAL_MAX_PRECISION);
	return push_number(state, text);
}

static bool
push_float(JsonState *state, double number, const AvroScalar *scalar, bool is_double)
{
	char text[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (isnan(number))
		return push_text(state, "NaN", 3);
	if (isinf(number))
		return number > 0 ? push_text(state, "Infinity", 8) : push_text(state, "-Infinity", 9);
	if (is_double)
		double_to_shortest_decimal_buf(scalar->number, text);
	else
		float_to_shortest_decimal_buf(scalar->single, text);
	return push_number(state, text);
}

static bool
push_date(JsonState *state, int64 days)
{
	char text[32];
	int year;
	int month;
	int day;

	days -= OUTBOX_EPOCH_DAYS;
	if (days < OUTBOX_MIN_DATE || days > OUTBOX_MAX_DATE)
		return AvroFail(state->fault, "a date is out of range");
	j2date((int) days + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
	return push_text(state, pstrdup(text), strlen(text));
}

/* hh:mm:ss.uuuuuu */
static void
format_time(char *text, Size size, int64 micros)
{
	int seconds = (int) (micros / USECS_PER_SEC);

	snprintf(text, size, "%02d:%02d:%02d.%06d", seconds / SECS_PER_HOUR,
			 seconds / SECS_PER_MINUTE % 60, seconds % 60, (int) (micros % USECS_PER_SEC));
}

static bool
push_time(JsonState *state, int64 micros)
{
	char text[32];

	if (micros < 0 || micros >= USECS_PER_DAY)
		return AvroFail(state->fault, "a time is out of range");
	format_time(text, sizeof(text), micros);
	return push_text(state, pstrdup(text), strlen(text));
}

static bool
push_timestamp(JsonState *state, int64 micros)
{
	char time[32];
	char text[64];
	int64 days = micros / USECS_PER_DAY;
	int year;
	int month;
	int day;

	micros -= days * USECS_PER_DAY;
	if (micros < 0)
	{
		micros += USECS_PER_DAY;
		days--;
	}
	days -= OUTBOX_EPOCH_DAYS;
	if (days < OUTBOX_MIN_DATE || days > OUTBOX_MAX_DATE)
		return AvroFail(state->fault, "a timestamp is out of range");
	j2date((int) days + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	format_time(time, sizeof(time), micros);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%sZ", year, month, day, time);
	return push_text(state, pstrdup(text), strlen(text));
}

static bool
push_whole(JsonState *state, const AvroNode *node, int64 integer)
{
	switch (node->logical)
	{
		case AVRO_LOGICAL_DATE:
			return push_date(state, integer);
		case AVRO_LOGICAL_TIME_MICROS:
			return push_time(state, integer);
		case AVRO_LOGICAL_TIMESTAMP_MICROS:
			return push_timestamp(state, integer);
		default:
			return push_integer(state, integer);
	}
}

static bool
visit_scalar(void *data, const AvroNode *node, const AvroScalar *scalar)
{
	JsonState *state = data;
	JsonbValue value = {.type = jbvNull};

	switch (node->kind)
	{
		case AVRO_KIND_BOOLEAN:
			value.type = jbvBool;
			value.val.boolean = scalar->boolean;
			return push(state, &value);
		case AVRO_KIND_INT:
		case AVRO_KIND_LONG:
			return push_whole(state, node, scalar->integer);
		case AVRO_KIND_FLOAT:
			return push_float(state, scalar->single, scalar, false);
		case AVRO_KIND_DOUBLE:
			return push_float(state, scalar->number, scalar, true);
		case AVRO_KIND_STRING:
			return push_string(state, scalar->bytes, scalar->length);
		case AVRO_KIND_ENUM:
			return push_text(state, node->symbols[scalar->integer], strlen(node->symbols[scalar->integer]));
		case AVRO_KIND_BYTES:
			if (node->logical == AVRO_LOGICAL_DECIMAL)
				return push_decimal(state, node, scalar);
			return push_bytes(state, scalar->bytes, scalar->length);
		case AVRO_KIND_FIXED:
			return push_bytes(state, scalar->bytes, scalar->length);
		default:
			return push(state, &value);
	}
}

static bool
visit_begin(void *data, const AvroNode *node)
{
	JsonState *state = data;
	bool is_array = node->kind == AVRO_KIND_ARRAY;

	if (!count_bytes(state, 0))
		return false;
	OutboxPushJsonb(&state->json, is_array ? WJB_BEGIN_ARRAY : WJB_BEGIN_OBJECT, NULL);
	state->in_array[++state->depth] = is_array;
	return true;
}

static bool
visit_member(void *data, const AvroNode *node, const char *name, size_t length)
{
	JsonState *state = data;
	JsonbValue key = {.type = jbvString};
	const char *text = server_text(state, name, &length);

	if (text == NULL || !count_bytes(state, length))
		return false;
	key.val.string.val = unconstify(char *, text);
	key.val.string.len = (int) length;
	OutboxPushJsonb(&state->json, WJB_KEY, &key);
	return true;
}

static bool
visit_end(void *data, const AvroNode *node)
{
	JsonState *state = data;

	state->depth--;
	OutboxPushJsonb(&state->json,
					node->kind == AVRO_KIND_ARRAY ? WJB_END_ARRAY : WJB_END_OBJECT, NULL);
	return true;
}

OutboxAvroDecoder *
OutboxDecoderLoad(const char *schema_text, AvroFault *fault)
{
	OutboxAvroDecoder *decoder = palloc0(sizeof(OutboxAvroDecoder));

	decoder->schema = OutboxLoadSchema(schema_text, fault);
	if (decoder->schema == NULL)
		return NULL;
	if (decoder->schema->kind != AVRO_KIND_RECORD)
	{
		AvroFail(fault, "the schema is not one of a record");
		return NULL;
	}
	decoder->text = OutboxTextRuleOfDatabase();
	return decoder;
}

OutboxAvroDecoder *
OutboxAvroDecoderCreate(const char *schema_text)
{
	AvroFault fault;
	OutboxAvroDecoder *decoder = OutboxDecoderLoad(schema_text, &fault);

	if (decoder == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_DEFINITION),
				 errmsg("the text is not a valid Avro schema of an event"),
				 errdetail("%s.", fault.text),
				 errhint("Schemas are written by outbox.enable(); restore the text that it pinned.")));
	return decoder;
}

Jsonb *
OutboxAvroDecode(const OutboxAvroDecoder *decoder, const char *bytes, Size len, char **error)
{
	static const AvroVisitor visitor = {
		.scalar = visit_scalar,
		.begin = visit_begin,
		.member = visit_member,
		.end = visit_end};
	AvroFault fault;
	JsonState state = {.decoder = decoder, .fault = &fault};

	if (!AvroDecode(decoder->schema, bytes, len, &visitor, &state, &fault))
	{
		*error = psprintf("the bytes are not a record of the schema: %s", fault.text);
		return NULL;
	}
	*error = NULL;
	return JsonbValueToJsonb(state.json.result);
}
