/*-------------------------------------------------------------------------
 *
 * encoder.h
 *	  The compiled form of a schema and the columns that feed it: a flat list
 *	  of operations per record.
 *
 * Private to the encoder's compiler and the loop that runs its programs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_ENCODER_H
#define OUTBOX_AVRO_ENCODER_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "utils/typcache.h"

#include "avro/outbox_avro.h"
#include "avro/schema/schema.h"

typedef enum OutboxOpCode
{
	OP_BOOL,
	OP_INT2,
	OP_INT4,
	OP_INT8,
	OP_FLOAT4,
	OP_FLOAT4_AS_DOUBLE,
	OP_FLOAT8,
	OP_DATE,
	OP_TIME,
	OP_TIMESTAMPTZ,
	OP_UUID,
	OP_DECIMAL,          /* reads the digits as they are stored */
	OP_DECIMAL_PORTABLE, /* reads them through numeric_send */
	OP_ENUM,
	OP_TEXT,
	OP_BPCHAR,
	OP_NAME,
	OP_BYTEA,
	OP_JSONB,
	OP_STRING_MAP,
	OP_OUTPUT,
	OP_RECORD,
	OP_ARRAY
} OutboxOpCode;

typedef struct OutboxEnumEntry
{
	Oid label;
	int index; /* of the schema's symbol; -1: not in the schema */
} OutboxEnumEntry;

typedef struct OutboxEnumMap
{
	int count;
	OutboxEnumEntry *entries; /* ascending by label */
	int nsymbols;
	const char **symbols; /* of the schema */
} OutboxEnumMap;

typedef struct OutboxOp
{
	uint8 code;
	bool nullable;    /* the field is a union with null */
	char null_branch; /* its encoded index in the union */
	char value_branch;
	int column;        /* index into values[] */
	const char *field; /* dotted path, for errors */
	union
	{
		struct
		{
			int precision;
			int scale;
		} decimal;
		OutboxEnumMap *labels;
		FmgrInfo *output;
		struct OutboxRecordOp *record;
		struct OutboxArrayOp *array;
	} u;
} OutboxOp;

typedef struct OutboxProgram
{
	int nops;
	Size reserve; /* bytes that all ops need beside their variable parts */
	OutboxOp *ops;
} OutboxProgram;

typedef struct OutboxRecordOp
{
	OutboxProgram program;
	Oid type;
	TupleDesc tupdesc;     /* what the program was compiled for */
	TypeCacheEntry *entry; /* never freed by the server */
	uint64 tupdesc_id;     /* identifier under which entry was last found equal to tupdesc */
} OutboxRecordOp;

typedef struct OutboxArrayOp
{
	OutboxProgram item; /* one op, column 0 */
	Oid element_type;
	int16 typlen;
	bool typbyval;
	char typalign;
} OutboxArrayOp;

struct OutboxAvroEncoder
{
	OutboxProgram program;
	OutboxTextRule text;
	List *printed; /* OIDs of types that are turned into text by their output functions */
	int ncolumns;
	int *op_of_column; /* -1: the schema does not have it */
};

#endif /* OUTBOX_AVRO_ENCODER_H */
