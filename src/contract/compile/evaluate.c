/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  A compiled contract applied to rows of its source.
 *
 * No query, no planner: the projections run on the tuples that are at hand.
 * This is the hot path of capture, and what preview shows.
 *
 * These run between OutboxEvaluationStart and OutboxEvaluationStop, in the
 * contract's row_context; they may raise only if OUTBOX_RAISES is among
 * contract->traits, and the start itself if contract->stale: then the caller
 * guards them. So it does where a value is stored out of line or compressed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "compat.h"
#include "contract/codes/codes.h"
#include "contract/compile/compile_private.h"

#define INITIAL_PAYLOAD_SIZE 512
#define INITIAL_KEY_SIZE 64

/*
 * What framing, the names of headers and their bounded values add. The largest
 * values are the sink's source and the URL of its registry, at most 256 bytes
 * each.
 */
#define MESSAGE_OVERHEAD 1024

/*
 * Evaluations within each other, when a function behind a view writes to a source. Each may write more than one row, so
 * their number grows by a power; the stack alone would end them after hours.
 */
#define MAX_DEPTH 4

static void raise_too_deep(const OutboxCompiledContract *contract);
static bool evaluate_row(OutboxCompiledContract *contract, TupleTableSlot *source, ProjectionInfo *project);
static void set_sides(OutboxCompiledContract *contract, TupleTableSlot *before, TupleTableSlot *after);
static bool evaluate_rule(OutboxCompiledContract *contract, ExprState *state, bool *isnull);
static bool columns_equal(const OutboxCompiledContract *contract, int column);
static void append_key_part(StringInfo out, OutboxCompiledContract *contract, int part, Datum value);
static void append_escaped(StringInfo out, const char *text, int len);

/* Forgets the previous row's values. */
void
OutboxEvaluateReset(OutboxCompiledContract *contract)
{
	ExecClearTuple(contract->before);
	ExecClearTuple(contract->after);
	ExecClearTuple(contract->key_row);
	if (!contract->stale)
		ResetExprContext(contract->econtext);
	MemoryContextReset(contract->row_context);
}

/* With the rights and settings of the contract; an error in between leaves it stale. */
void
OutboxEvaluationStart(OutboxCompiledContract *contract, OutboxEvaluation *evaluation)
{
	/* what is built checks rights on functions */
	OutboxEvaluationBegin(evaluation, contract->owner, contract->stale ? OUTBOX_ANYTHING : contract->traits);
	if (contract->stale)
		OutboxBuildExecutor(contract);
	contract->stale = true;
}

void
OutboxEvaluationStop(OutboxCompiledContract *contract, const OutboxEvaluation *evaluation)
{
	contract->stale = false;
	OutboxEvaluationEnd(evaluation);
}

/* After a caught error: keeps the rows computed so far for the evaluations that follow. */
void
OutboxEvaluationFailed(OutboxCompiledContract *contract)
{
	TupleTableSlot *rows[] = {contract->before, contract->after, contract->key_row};

	for (int i = 0; i < lengthof(rows); i++)
	{
		if (!TTS_EMPTY(rows[i]))
			ExecMaterializeSlot(rows[i]);
	}
}

/* Fills contract->before or contract->after; false: the row is not in the view. */
bool
OutboxEvaluateBefore(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	return evaluate_row(contract, source, contract->project_before);
}

bool
OutboxEvaluateAfter(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	return evaluate_row(contract, source, contract->project_after);
}

/* Fills contract->key_row: the key columns, everything else NULL. */
void
OutboxEvaluateKey(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	contract->econtext->ecxt_scantuple = source;
	ExecProject(contract->project_key);
}

/* The same with the columns of aggregate_id. Needs contract->makes_tombstones. */
void
OutboxEvaluateMessageKey(OutboxCompiledContract *contract, TupleTableSlot *source)
{
	contract->econtext->ecxt_scantuple = source;
	ExecProject(contract->project_message_key);
}

/* The same for the unknown row before: its key columns from key_row, everything else NULL. */
void
OutboxBeforeFromKey(OutboxCompiledContract *contract)
{
	TupleTableSlot *slot = contract->before;

	ExecStoreAllNullTuple(slot);
	if (TTS_EMPTY(contract->key_row))
		return;
	for (int i = 0; i < contract->nkey; i++)
	{
		slot->tts_values[contract->key[i]] = contract->key_row->tts_values[contract->key[i]];
		slot->tts_isnull[contract->key[i]] = contract->key_row->tts_isnull[contract->key[i]];
	}
	ExecMaterializeSlot(slot);
}

static bool
evaluate_row(OutboxCompiledContract *contract, TupleTableSlot *source, ProjectionInfo *project)
{
	if (OutboxEvaluationDepth() > MAX_DEPTH && (contract->traits & OUTBOX_FOREIGN))
		raise_too_deep(contract);
	OutboxForgetUnknownCodes();
	contract->econtext->ecxt_scantuple = source;
	if (contract->qual_state && !ExecQual(contract->qual_state, contract->econtext))
		return false;
	ExecProject(project);
	return true;
}

static void
raise_too_deep(const OutboxCompiledContract *contract)
{
	ereport(ERROR,
			(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
			 errmsg("contract \"%s\" is evaluated within %d other evaluations", contract->config->name, MAX_DEPTH),
			 errdetail("A function behind its view writes to its source, or to that of another contract which does the same."),
			 errhint("Let a trigger of the table write such rows, instead of a function that a view calls.")));
}

/* True when the source columns that the contract reads are the same bytes. Never raises. */
bool
OutboxSourceReadsEqual(const OutboxCompiledContract *contract, TupleTableSlot *before, TupleTableSlot *after)
{
	return OutboxColumnsEqual(before, after, contract->read, contract->nread);
}

/* The same of columns of two rows of one table, by ascending numbers. */
bool
OutboxColumnsEqual(TupleTableSlot *before, TupleTableSlot *after, const AttrNumber *columns, int ncolumns)
{
	/* ascending: the last one is the furthest */
	if (ncolumns == 0)
		return true;
	slot_getsomeattrs(before, columns[ncolumns - 1]);
	slot_getsomeattrs(after, columns[ncolumns - 1]);
	for (int i = 0; i < ncolumns; i++)
	{
		int column = columns[i] - 1;
		Form_pg_attribute attribute = TupleDescAttr(before->tts_tupleDescriptor, column);

		if (before->tts_isnull[column] != after->tts_isnull[column])
			return false;
		if (!before->tts_isnull[column] &&
			!datumIsEqual(before->tts_values[column], after->tts_values[column],
						  attribute->attbyval, attribute->attlen))
			return false;
	}
	return true;
}

/*
 * Do before and after have the same key? the same published columns, of one
 * event type (it has an encoder) or of all (NULL)? May detoast.
 */
bool
OutboxKeysEqual(OutboxCompiledContract *contract)
{
	for (int i = 0; i < contract->nkey; i++)
	{
		if (!OutboxSameValue(contract, contract->key[i], contract->before, contract->after))
			return false;
	}
	return true;
}

bool
OutboxRowsEqual(OutboxCompiledContract *contract, const OutboxCompiledEventType *type)
{
	for (int i = 0; i < contract->ncolumns; i++)
	{
		if (type ? !OutboxAvroHasColumn(type->encoder, i) : !contract->compared[i])
			continue;
		if (!columns_equal(contract, i))
			return false;
	}
	return true;
}

/* Is this column the same value, to the byte, in two rows of the contract? May detoast. */
bool
OutboxSameValue(const OutboxCompiledContract *contract, int column, TupleTableSlot *left, TupleTableSlot *right)
{
	Form_pg_attribute attribute = TupleDescAttr(contract->row_desc, column);

	if (left->tts_isnull[column] || right->tts_isnull[column])
		return left->tts_isnull[column] == right->tts_isnull[column];
	return datum_image_eq(left->tts_values[column], right->tts_values[column],
						  attribute->attbyval, attribute->attlen);
}

/* A hash of the contract and its key in a row; by images, as OutboxSameValue. May detoast. */
uint64
OutboxRowKeyHash(const OutboxCompiledContract *contract, TupleTableSlot *row)
{
	uint64 hash = contract->config->id;

	for (int i = 0; i < contract->nkey; i++)
	{
		Datum value = row->tts_values[contract->key[i]];
		Form_pg_attribute attribute = TupleDescAttr(contract->row_desc, contract->key[i]);
		const char *bytes = (const char *) &value;
		Size len = sizeof(Datum);

		if (row->tts_isnull[contract->key[i]])
			continue;
		if (attribute->attlen == -1)
		{
			struct varlena *flat = PG_DETOAST_DATUM_PACKED(value);

			bytes = VARDATA_ANY(flat);
			len = VARSIZE_ANY_EXHDR(flat);
		}
		else if (!attribute->attbyval)
		{
			bytes = DatumGetPointer(value);
			len = datumGetSize(value, false, attribute->attlen);
		}
		hash = hash_bytes_extended((const unsigned char *) bytes, len, hash);
	}
	return hash;
}

/*
 * Equal rows are rows with equal encoded bytes. Equal images encode equally;
 * different ones may (1.0 and 1.00), so only then the encoder decides.
 */
static bool
columns_equal(const OutboxCompiledContract *contract, int column)
{
	if (OutboxSameValue(contract, column, contract->before, contract->after))
		return true;
	if (contract->before->tts_isnull[column] || contract->after->tts_isnull[column])
		return false;
	for (int i = 0; i < contract->ntypes; i++)
	{
		OutboxAvroEncoder *encoder = contract->types[i].encoder;

		if (encoder && OutboxAvroHasColumn(encoder, column))
			return OutboxAvroColumnEqual(encoder, column, contract->before->tts_values[column],
										 contract->after->tts_values[column]);
	}
	return false;
}

/* Is the event type's condition true of these rows (NULL slots: all columns NULL)? */
bool
OutboxConditionHolds(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
					 TupleTableSlot *before, TupleTableSlot *after)
{
	bool isnull;

	if (type->condition_state == NULL)
		return true;
	set_sides(contract, before, after);
	return evaluate_rule(contract, type->condition_state, &isnull) && !isnull;
}

/*
 * The first check of the event type that is false of the published row; NULL
 * when all hold. before/after as above.
 */
const char *
OutboxFailedCheck(OutboxCompiledContract *contract, OutboxCompiledEventType *type,
				  TupleTableSlot *row, TupleTableSlot *before, TupleTableSlot *after)
{
	if (type->nchecks == 0)
		return NULL;
	set_sides(contract, before, after);
	contract->econtext->ecxt_scantuple = row;
	for (int i = 0; i < type->nchecks; i++)
	{
		bool isnull;

		if (!evaluate_rule(contract, type->checks[i].state, &isnull) && !isnull)
			return type->checks[i].name;
	}
	return NULL;
}

/* An absent side is a row of NULLs. */
static void
set_sides(OutboxCompiledContract *contract, TupleTableSlot *before, TupleTableSlot *after)
{
	TupleTableSlot *absent = contract->absent;

	contract->econtext->ecxt_innertuple = before ? before : absent;
	contract->econtext->ecxt_outertuple = after ? after : absent;
}

static bool
evaluate_rule(OutboxCompiledContract *contract, ExprState *state, bool *isnull)
{
	MemoryContext caller = MemoryContextSwitchTo(contract->econtext->ecxt_per_tuple_memory);
	Datum result = ExecEvalExpr(state, contract->econtext, isnull);

	MemoryContextSwitchTo(caller);
	return !*isnull && DatumGetBool(result);
}

/*
 * The message key of a contract row; NULL when one of its columns is NULL.
 *
 * no function turns it into the text of a key
 */
bool
OutboxIsPlainKeyType(Oid base_type)
{
	return base_type == INT2OID || base_type == INT4OID || base_type == INT8OID || base_type == TEXTOID ||
		base_type == VARCHAROID || base_type == BPCHAROID;
}

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
		append_key_part(&out, contract, i, row->tts_values[column]);
	}
	result = (text *) out.data;
	SET_VARSIZE(result, out.len);
	return result;
}

/* One value's text; only composite keys need escaping of the separator. */
static void
append_key_part(StringInfo out, OutboxCompiledContract *contract, int part, Datum value)
{
	char number[MAXINT8LEN + 1];

	switch (contract->aggregate_base[part])
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
			if (contract->aggregate_base[part] == BPCHAROID)
				len = bpchartruelen(VARDATA_ANY(string), len);
			if (contract->naggregate == 1)
				appendBinaryStringInfo(out, VARDATA_ANY(string), len);
			else
				append_escaped(out, VARDATA_ANY(string), len);
			return;
		}
		default:
		{
			char *string = OutputFunctionCall(&contract->aggregate_out[part], value);

			if (contract->naggregate == 1)
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
 * The payload of an event type: the published row, then previous_* from
 * `before` (NULL: all null), null where `unfit` (NULL: nowhere) says so. A
 * palloc'd bytea, or NULL with *error.
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

/* Has the value that previous_* number `previous` of the event type would show an Avro form? */
bool
OutboxPreviousFits(const OutboxCompiledContract *contract, const OutboxCompiledEventType *type,
				   int previous, TupleTableSlot *before)
{
	int column = type->previous[previous];

	return before->tts_isnull[column] ||
		OutboxAvroEncodes(type->encoder, contract->ncolumns + previous, before->tts_values[column]);
}

/* How large the message will be, with its framing and headers. attributes are those of the event, NULL: none. */
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
