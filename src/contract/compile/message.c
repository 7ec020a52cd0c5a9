/*-------------------------------------------------------------------------
 *
 * message.c
 *	  A row of a contract -> key, payload and size of its message.
 *
 * These are called as evaluate.c's functions are: between OutboxEvaluationStart
 * and OutboxEvaluationStop.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "contract/compile/compile_private.h"

#define INITIAL_PAYLOAD_SIZE 512
#define INITIAL_KEY_SIZE 64

/*
 * What framing, the names of headers and the headers' bounded values add. The
 * largest such values are the sink's source and the URL of its registry, at most
 * 256 bytes each.
 */
#define MESSAGE_OVERHEAD 1024

static void append_value(StringInfo out, Oid base, FmgrInfo *output, Datum value, bool escaped);
static void append_escaped(StringInfo out, const char *text, int len);

/*
 * The message key of a row of the contract: the values of aggregate_id as text,
 * palloc'd. NULL when one of them is NULL. May raise as the output functions of
 * types may that are no plain key types.
 */
text *
OutboxAggregateId(OutboxCompiledContract *contract, TupleTableSlot *row)
{
	StringInfoData out;
	text *result;

	/* mostly a number or a short code: the usual kilobyte of a StringInfo would cost more than the rest */
	out.data = palloc(INITIAL_KEY_SIZE);
	out.maxlen = INITIAL_KEY_SIZE;
	out.len = VARHDRSZ;
	out.cursor = 0;
	for (int i = 0; i < contract->naggregate; i++)
	{
		int column = contract->aggregate[i];

		if (row->tts_isnull[column])
			return NULL;
		if (i > 0)
			appendStringInfoChar(&out, ',');
		append_value(&out, contract->aggregate_base[i], &contract->aggregate_out[i], row->tts_values[column],
					 contract->naggregate > 1);
	}
	result = (text *) out.data;
	SET_VARSIZE(result, out.len);
	return result;
}

/* Does the text of a value of this base type need no output function? Then making a key of it never raises. */
bool
OutboxIsPlainKeyType(Oid base_type)
{
	return base_type == INT2OID || base_type == INT4OID || base_type == INT8OID || base_type == TEXTOID ||
		base_type == VARCHAROID || base_type == BPCHAROID;
}

/* Appends the text of a value. The separator of keys is escaped in keys of several columns alone. */
static void
append_value(StringInfo out, Oid base, FmgrInfo *output, Datum value, bool escaped)
{
	char number[MAXINT8LEN + 1];

	switch (base)
	{
		case INT2OID:
			appendBinaryStringInfo(out, number, pg_ltoa(DatumGetInt16(value), number));
			return;
		case INT4OID:
			appendBinaryStringInfo(out, number, pg_ltoa(DatumGetInt32(value), number));
			return;
		case INT8OID:
			appendBinaryStringInfo(out, number, pg_lltoa(DatumGetInt64(value), number));
			return;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		{
			text *string = DatumGetTextPP(value);
			int len = VARSIZE_ANY_EXHDR(string);

			/* as in the payload, and as the cast to text does */
			if (base == BPCHAROID)
				len = bpchartruelen(VARDATA_ANY(string), len);
			if (!escaped)
				appendBinaryStringInfo(out, VARDATA_ANY(string), len);
			else
				append_escaped(out, VARDATA_ANY(string), len);
			return;
		}
		default:
		{
			char *string = OutputFunctionCall(output, value);

			if (!escaped)
				appendStringInfoString(out, string);
			else
				append_escaped(out, string, strlen(string));
		}
	}
}

static void
append_escaped(StringInfo out, const char *text, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (text[i] == ',' || text[i] == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, text[i]);
	}
}

/*
 * The payload of an event type, palloc'd: the columns of `row`, then the fields
 * previous_* from `before`. A previous_* field is null where `unfit` says so, and
 * all are when `before` is NULL. `unfit` may be NULL: all fit. Returns NULL with
 * *error when a value has no Avro form.
 */
bytea *
OutboxEncodeEvent(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
				  TupleTableSlot *row, TupleTableSlot *before, const bool *unfit, OutboxAvroError *error)
{
	StringInfoData out;
	Datum *values = row->tts_values;
	bool *isnull = row->tts_isnull;

	if (type->nprevious > 0)
	{
		int total = contract->ncolumns + type->nprevious;

		values = palloc(sizeof(Datum) * total);
		isnull = palloc(sizeof(bool) * total);
		memcpy(values, row->tts_values, sizeof(Datum) * contract->ncolumns);
		memcpy(isnull, row->tts_isnull, sizeof(bool) * contract->ncolumns);
		for (int i = 0; i < type->nprevious; i++)
		{
			int column = type->previous[i];

			isnull[contract->ncolumns + i] = before == NULL || before->tts_isnull[column] || (unfit && unfit[i]);
			values[contract->ncolumns + i] = before ? before->tts_values[column] : (Datum) 0;
		}
	}
	out.data = palloc(INITIAL_PAYLOAD_SIZE);
	out.maxlen = INITIAL_PAYLOAD_SIZE;
	out.len = VARHDRSZ;
	out.cursor = 0;
	if (!OutboxAvroEncode(type->encoder, values, isnull, &out, error))
		return NULL;
	SET_VARSIZE(out.data, out.len);
	return (bytea *) out.data;
}

/* Has the value in `before` an Avro form that the field previous_* number `previous` of the event type would show? */
bool
OutboxPreviousFits(const OutboxCompiledContract *contract, const OutboxCompiledEventType *type,
				   int previous, TupleTableSlot *before)
{
	int column = type->previous[previous];

	return before->tts_isnull[column] ||
		OutboxAvroEncodes(type->encoder, contract->ncolumns + previous, before->tts_values[column]);
}

/*
 * The values of the event type's header columns in a row of the contract, as text;
 * NULL where the column is. Palloc'd. Raises as OutboxAggregateId() may.
 */
char **
OutboxHeaderValues(const OutboxCompiledEventType *type, TupleTableSlot *row)
{
	char **values = palloc0(sizeof(char *) * Max(type->nheaders, 1));

	for (int i = 0; i < type->nheaders; i++)
	{
		OutboxHeaderColumn *header = &type->headers[i];
		Datum value = row->tts_values[header->column];
		StringInfoData out;

		if (row->tts_isnull[header->column])
			continue;
		if (header->base == BOOLOID)
		{
			values[i] = pstrdup(DatumGetBool(value) ? "true" : "false");
			continue;
		}
		initStringInfo(&out);
		append_value(&out, header->base, &header->output, value, false);
		values[i] = out.data;
	}
	return values;
}

/* An upper bound of the message's size, with its framing and headers. `attributes`: those of the event; NULL: none. */
Size
OutboxMessageSize(const OutboxCompiledEventType *type, const bytea *payload, const text *key,
				  const Jsonb *attributes)
{
	Size size = (Size) VARSIZE(payload) + MESSAGE_OVERHEAD + strlen(type->config->ce_type);

	/* it is the message's key, ce_subject and ce_partitionkey */
	size += 3 * (Size) VARSIZE(key);
	if (attributes)
		size += VARSIZE(attributes);
	return size;
}
