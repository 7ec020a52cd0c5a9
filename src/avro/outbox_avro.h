/*-------------------------------------------------------------------------
 *
 * outbox_avro.h
 *	  What the rest of the extension may ask of Avro.
 *
 * Everything is in terms of PostgreSQL types and our pinned schema texts;
 * <avro.h> stays behind this header.  The encoder never raises for bad data:
 * it returns false and fills OutboxAvroError, so that capture can write a
 * dead letter without a subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_H
#define OUTBOX_AVRO_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* A column that becomes a field. */
typedef struct OutboxAvroColumn
{
	const char *name;
	Oid type;
	int32 typmod;
	bool required;               /* plain type; otherwise ["null", T] with default null */
	const char *doc;             /* or NULL */
	const List *required_fields; /* of char *: parts of a nested column that are never null, as "sku" or "address.zip" */
} OutboxAvroColumn;

/* Why a row could not be encoded. Strings live in the caller's memory context. */
typedef struct OutboxAvroError
{
	int sqlerrcode;
	const char *field; /* name (dotted for nested ones) */
	char *message;     /* errmsg style, names the field */
	char *detail;      /* or NULL */
	const char *hint;  /* or NULL: the row, or the view's expression for the column, must be corrected */
} OutboxAvroError;

typedef struct OutboxAvroEncoder OutboxAvroEncoder;

/*
 * The schema text of a record with these columns, palloc'd. Raises with a hint
 * for every type, name or typmod that Avro cannot carry. `relation` names the
 * view in messages.  The text is linted and parsed by libavro before it is returned.
 */
extern char *OutboxAvroBuildSchema(const char *relation, const char *name_space, const char *record,
								   const char *doc, const OutboxAvroColumn *columns, int ncolumns);

/* CRC-64-AVRO of the Parsing Canonical Form. */
extern uint64 OutboxAvroFingerprint(const char *schema_text);

/*
 * Do two schemas, in UTF-8, give a reader the same values?  Names, types, logical types, precision and scale
 * count; doc, defaults and aliases do not.  A text that is no schema equals nothing.
 */
extern bool OutboxAvroReadsAlike(const char *a, const char *b);

/*
 * Compiles a pinned record schema against the columns that will feed it:
 * fields are matched by name, columns that the schema does not know are left
 * out. Returns NULL with *error set when a field has no column or a column's
 * type no longer fits its field. Allocates in CurrentMemoryContext.
 */
extern OutboxAvroEncoder *OutboxAvroCompile(const char *schema_text,
											const OutboxAvroColumn *columns, int ncolumns,
											OutboxAvroError *error);

/*
 * Appends one record. values/isnull are indexed as the columns given to
 * OutboxAvroCompile. On false *out is back at its length before the call.
 * Scratch memory comes from CurrentMemoryContext.
 */
extern bool OutboxAvroEncode(const OutboxAvroEncoder *encoder, const Datum *values, const bool *isnull,
							 StringInfo out, OutboxAvroError *error);

/*
 * True when both values of one column (neither NULL) encode to the same bytes.
 * A value that cannot be encoded equals nothing.
 */
extern bool OutboxAvroColumnEqual(const OutboxAvroEncoder *encoder, int column, Datum a, Datum b);

/* Can this value (not NULL) of one column be encoded? May raise as OutboxAvroEncode may. */
extern bool OutboxAvroEncodes(const OutboxAvroEncoder *encoder, int column, Datum value);

/* Does the schema have a field for this column (index into the columns given to OutboxAvroCompile)? */
extern bool OutboxAvroHasColumn(const OutboxAvroEncoder *encoder, int column);

/*
 * OIDs of the types whose output functions encoding calls. These may raise and
 * read settings; nothing else in the encoder does.
 */
extern const List *OutboxAvroPrintedTypes(const OutboxAvroEncoder *encoder);

/* Decodes one record to jsonb; NULL with *error (palloc'd) for anything that is not exactly one record. */
typedef struct OutboxAvroDecoder OutboxAvroDecoder;
extern OutboxAvroDecoder *OutboxAvroDecoderCreate(const char *schema_text);
extern Jsonb *OutboxAvroDecode(const OutboxAvroDecoder *decoder, const char *bytes, Size len, char **error);

/* Decodes by the id of a pinned schema, with a decoder that is kept; NULL: there is no such schema, or the bytes are no such record. */
extern Jsonb *OutboxDecodePayload(int32 schema_id, const bytea *payload);

/*
 * The second opinion: libavro decodes what our encoder wrote.  NULL when it
 * agrees with our own decoder, else a palloc'd description of the difference.
 * A reader lives in the memory context that is current at its creation.
 */
typedef struct OutboxAvroReader OutboxAvroReader;
extern OutboxAvroReader *OutboxAvroReaderCreate(const char *schema_text);
extern char *OutboxAvroSecondOpinion(const OutboxAvroReader *reader, const char *bytes, Size len);

#endif /* OUTBOX_AVRO_H */
