/*-------------------------------------------------------------------------
 *
 * avro_test.c
 *	  Functions through which tests reach the Avro layer directly.
 *
 * Not part of the extension's SQL: a test script declares the ones it needs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "fmgr.h"
#include "funcapi.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "avro/outbox_avro.h"
#include "avro/values/decimal.h"
#include "avro/values/numeric_digits.h"
#include "compat.h"
#include "contract/view/view_private.h"

PG_FUNCTION_INFO_V1(outbox_test_avro_schema);
PG_FUNCTION_INFO_V1(outbox_test_avro_fingerprint);
PG_FUNCTION_INFO_V1(outbox_test_avro_encode);
PG_FUNCTION_INFO_V1(outbox_test_avro_decode);
PG_FUNCTION_INFO_V1(outbox_test_avro_second_opinion);
PG_FUNCTION_INFO_V1(outbox_test_avro_equal);
PG_FUNCTION_INFO_V1(outbox_test_avro_equal_time);
PG_FUNCTION_INFO_V1(outbox_test_avro_traits);
PG_FUNCTION_INFO_V1(outbox_test_avro_time);
PG_FUNCTION_INFO_V1(outbox_test_avro_decimal);

/* A record datum taken apart. */
typedef struct Row
{
	int natts;
	OutboxAvroColumn *columns;
	Datum *values;
	bool *isnull;
} Row;

static OutboxAvroColumn *
columns_of(TupleDesc tupdesc, Oid relid)
{
	OutboxAvroColumn *columns = palloc0(sizeof(OutboxAvroColumn) * Max(tupdesc->natts, 1));
	int i;

	for (i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		columns[i].name = pstrdup(NameStr(att->attname));
		columns[i].type = att->atttypid;
		columns[i].typmod = att->atttypmod;
		if (OidIsValid(relid))
			columns[i].doc = GetComment(relid, RelationRelationId, att->attnum);
	}
	return columns;
}

static Row
take_apart(HeapTupleHeader header)
{
	TupleDesc tupdesc = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header),
													HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	Row row = {.natts = tupdesc->natts, .columns = columns_of(tupdesc, InvalidOid)};

	row.values = palloc(sizeof(Datum) * Max(row.natts, 1));
	row.isnull = palloc(sizeof(bool) * Max(row.natts, 1));
	heap_deform_tuple(&tuple, tupdesc, row.values, row.isnull);
	return row;
}

static void
raise_error(const OutboxAvroError *error)
{
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("%s", error->message),
			 error->detail != NULL ? errdetail("%s", error->detail) : 0,
			 errcontext("field %s", error->field)));
}

static OutboxAvroEncoder *
compile(const char *schema, const Row *row)
{
	OutboxAvroError error;
	OutboxAvroEncoder *encoder = OutboxAvroCompile(schema, row->columns, row->natts, &error);

	if (encoder == NULL)
		raise_error(&error);
	return encoder;
}

/* (relation regclass, namespace text, record text, required text[]) returns text */
Datum
outbox_test_avro_schema(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	char *space = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *record = text_to_cstring(PG_GETARG_TEXT_PP(2));
	ArrayType *required = PG_GETARG_ARRAYTYPE_P(3);
	Relation relation = relation_open(relid, AccessShareLock);
	OutboxAvroColumn *columns = columns_of(RelationGetDescr(relation), relid);
	int natts = RelationGetDescr(relation)->natts;
	char *name = psprintf("%s.%s", get_namespace_name(RelationGetNamespace(relation)),
						  RelationGetRelationName(relation));
	Datum *names;
	int nnames;
	int i;
	int j;

	deconstruct_array(required, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &nnames);
	for (i = 0; i < nnames; i++)
	{
		char *path = TextDatumGetCString(names[i]);
		char *dot = strchr(path, '.');

		if (dot != NULL)
			*dot = '\0';
		for (j = 0; j < natts; j++)
		{
			if (strcmp(columns[j].name, path) != 0)
				continue;
			if (dot != NULL)
				columns[j].required_fields = lappend(unconstify(List *, columns[j].required_fields), dot + 1);
			else
				columns[j].required = true;
		}
	}
	relation_close(relation, AccessShareLock);
	PG_RETURN_TEXT_P(cstring_to_text(OutboxAvroBuildSchema(name, space, record,
														   GetComment(relid, RelationRelationId, 0),
														   columns, natts)));
}

/* (schema text) returns bigint */
Datum
outbox_test_avro_fingerprint(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) OutboxAvroFingerprint(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/* (schema text, row record) returns bytea */
Datum
outbox_test_avro_encode(PG_FUNCTION_ARGS)
{
	char *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Row row = take_apart(PG_GETARG_HEAPTUPLEHEADER(1));
	OutboxAvroEncoder *encoder = compile(schema, &row);
	OutboxAvroError error;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "kept");
	if (!OutboxAvroEncode(encoder, row.values, row.isnull, &out, &error))
	{
		if (strcmp(out.data, "kept") != 0)
			elog(ERROR, "a failed row left bytes behind");
		raise_error(&error);
	}
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(out.data + 4, out.len - 4));
}

/* (schema text, bytes bytea) returns jsonb */
Datum
outbox_test_avro_decode(PG_FUNCTION_ARGS)
{
	OutboxAvroDecoder *decoder = OutboxAvroDecoderCreate(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	bytea *bytes = PG_GETARG_BYTEA_PP(1);
	char *error;
	Jsonb *json = OutboxAvroDecode(decoder, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &error);

	if (json == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s", error)));
	PG_RETURN_JSONB_P(json);
}

/* (schema text, bytes bytea) returns text, NULL when libavro agrees */
Datum
outbox_test_avro_second_opinion(PG_FUNCTION_ARGS)
{
	char *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea *bytes = PG_GETARG_BYTEA_PP(1);
	char *difference = OutboxAvroSecondOpinion(OutboxAvroReaderCreate(schema), VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));

	if (difference == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(difference));
}

/* (schema text, a record, b record, column int from 1) returns boolean */
Datum
outbox_test_avro_equal(PG_FUNCTION_ARGS)
{
	char *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Row a = take_apart(PG_GETARG_HEAPTUPLEHEADER(1));
	Row b = take_apart(PG_GETARG_HEAPTUPLEHEADER(2));
	int column = PG_GETARG_INT32(3) - 1;

	PG_RETURN_BOOL(OutboxAvroColumnEqual(compile(schema, &a), column, a.values[column], b.values[column]));
}

/* (schema text, a record, b record, column int from 1, loops int) returns float8: nanoseconds per comparison */
Datum
outbox_test_avro_equal_time(PG_FUNCTION_ARGS)
{
	char *schema = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Row a = take_apart(PG_GETARG_HEAPTUPLEHEADER(1));
	Row b = take_apart(PG_GETARG_HEAPTUPLEHEADER(2));
	int column = PG_GETARG_INT32(3) - 1;
	int loops = PG_GETARG_INT32(4);
	OutboxAvroEncoder *encoder = compile(schema, &a);
	instr_time start;
	instr_time end;
	int i;

	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < loops; i++)
		(void) OutboxAvroColumnEqual(encoder, column, a.values[column], b.values[column]);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	PG_RETURN_FLOAT8(INSTR_TIME_GET_DOUBLE(end) * 1e9 / Max(loops, 1));
}

/* (schema text, row record) returns text */
Datum
outbox_test_avro_traits(PG_FUNCTION_ARGS)
{
	Row row = take_apart(PG_GETARG_HEAPTUPLEHEADER(1));
	OutboxAvroEncoder *encoder = compile(text_to_cstring(PG_GETARG_TEXT_PP(0)), &row);

	OutboxTraits traits = 0;
	const ListCell *lc;

	foreach (lc, OutboxAvroPrintedTypes(encoder))
		traits |= OutboxTextTraits(lfirst_oid(lc));
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("may raise: %s, needs settings: %s",
											  (traits & OUTBOX_RAISES) ? "yes" : "no",
											  (traits & OUTBOX_READS_ALL) ? "yes" : "no")));
}

/* (schema text, row record, loops int) returns float8: nanoseconds per record */
Datum
outbox_test_avro_time(PG_FUNCTION_ARGS)
{
	Row row = take_apart(PG_GETARG_HEAPTUPLEHEADER(1));
	OutboxAvroEncoder *encoder = compile(text_to_cstring(PG_GETARG_TEXT_PP(0)), &row);
	int loops = PG_GETARG_INT32(2);
	OutboxAvroError error;
	StringInfoData out;
	instr_time start;
	instr_time end;
	int i;

	initStringInfo(&out);
	INSTR_TIME_SET_CURRENT(start);
	for (i = 0; i < loops; i++)
	{
		resetStringInfo(&out);
		if (!OutboxAvroEncode(encoder, row.values, row.isnull, &out, &error))
			raise_error(&error);
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	PG_RETURN_FLOAT8(INSTR_TIME_GET_DOUBLE(end) * 1e9 / Max(loops, 1));
}

/*
 * (value numeric, precision int, scale int) returns text: the decimal read
 * back, or the number of the fault; raises when the two readers differ.
 */
Datum
outbox_test_avro_decimal(PG_FUNCTION_ARGS)
{
	static const char *const faults[] = {"ok", "not finite", "too large", "too fine"};
	int precision = PG_GETARG_INT32(1);
	int scale = PG_GETARG_INT32(2);
	char *stored = palloc(OutboxDecimalReserve(precision));
	char *sent = palloc(OutboxDecimalReserve(precision));
	OutboxDecimalFault stored_fault;
	OutboxDecimalFault sent_fault;
	char *stored_end = OutboxPutDecimal(stored, PG_GETARG_DATUM(0), precision, scale, false, &stored_fault);
	char *sent_end = OutboxPutDecimal(sent, PG_GETARG_DATUM(0), precision, scale, true, &sent_fault);
	int skip;

	if (!OutboxNumericLayoutKnown())
		elog(ERROR, "numerics are not stored as expected");
	if (stored_fault != sent_fault || (stored_end == NULL) != (sent_end == NULL))
		elog(ERROR, "the two readers of numeric differ");
	if (stored_end == NULL)
		PG_RETURN_TEXT_P(cstring_to_text(faults[stored_fault]));
	if (stored_end - stored != sent_end - sent || memcmp(stored, sent, stored_end - stored) != 0)
		elog(ERROR, "the two readers of numeric differ");
	if (stored_end - stored > OutboxDecimalReserve(precision))
		elog(ERROR, "a decimal takes more room than reserved");
	skip = (stored[0] & 0x80) ? 2 : 1;
	PG_RETURN_TEXT_P(cstring_to_text(OutboxDecimalText(stored + skip, stored_end - stored - skip, scale)));
}
