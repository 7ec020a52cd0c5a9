/*-------------------------------------------------------------------------
 *
 * type_shape.h
 *	  What a PostgreSQL type is to Avro: the type map, with its refusals.
 *
 * A shape is the one description that both the schema builder and the encoder's
 * compiler start from, so that the two cannot disagree about a type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_TYPE_SHAPE_H
#define OUTBOX_AVRO_TYPE_SHAPE_H

#include "access/tupdesc.h"

#include "avro/schema/schema_model.h"

typedef enum OutboxShapeKind
{
	SHAPE_BOOL,
	SHAPE_INT2,
	SHAPE_INT4,
	SHAPE_INT8,
	SHAPE_FLOAT4,
	SHAPE_FLOAT8,
	SHAPE_TEXT, /* any varlena whose bytes are its text */
	SHAPE_BPCHAR,
	SHAPE_NAME,
	SHAPE_BYTEA,
	SHAPE_NUMERIC,
	SHAPE_DATE,
	SHAPE_TIME,
	SHAPE_TIMESTAMPTZ,
	SHAPE_UUID,
	SHAPE_JSONB,
	SHAPE_STRING_MAP, /* domain outbox.string_map */
	SHAPE_OUTPUT,     /* a string through the type's output function */
	SHAPE_ENUM,
	SHAPE_ARRAY,
	SHAPE_COMPOSITE
} OutboxShapeKind;

typedef struct OutboxShape OutboxShape;

typedef struct OutboxShapeField
{
	const char *name;
	const char *doc; /* or NULL */
	AttrNumber attnum;
	OutboxShape *shape;
} OutboxShapeField;

typedef struct OutboxShapeLabel
{
	Oid oid;
	float4 sort_order;
	const char *name;
} OutboxShapeLabel;

struct OutboxShape
{
	OutboxShapeKind kind;
	Oid type;      /* domains removed */
	int precision; /* SHAPE_NUMERIC */
	int scale;
	const char *name;     /* pg_type name of an enum or composite */
	const char *doc;      /* its comment, or NULL */
	OutboxShape *element; /* SHAPE_ARRAY */
	TupleDesc tupdesc;    /* SHAPE_COMPOSITE: a copy */
	int nfields;
	OutboxShapeField *fields; /* without dropped attributes, and those a pinned schema does not have */
	int nlabels;
	OutboxShapeLabel *labels; /* SHAPE_ENUM: in their order */
};

/* Why there is no shape: the parts of an error report, palloc'd. */
typedef struct OutboxRefusal
{
	int sqlerrcode;
	char *message;
	char *detail; /* or NULL */
	char *hint;   /* or NULL */
} OutboxRefusal;

/*
 * The shape of a column of this type, palloc'd; NULL with *refusal filled when
 * Avro cannot carry it. `relation` (NULL: unknown) and `column` are for the
 * messages. Looks in the system catalogs.
 */
extern OutboxShape *OutboxShapeOf(const char *relation, const char *column,
								  Oid type, int32 typmod, OutboxRefusal *refusal);

/*
 * The shape of a column for its pinned schema: without attributes that the
 * schema does not have, and whatever the names of labels and types are; names
 * and comments are the schema's business. Refused, as above, is what cannot be
 * encoded.
 */
extern OutboxShape *OutboxShapeOfPinned(const char *column, Oid type, int32 typmod,
										const AvroNode *pinned, OutboxRefusal *refusal);

/* False with *refusal filled when a column cannot be a field because of its name. */
extern bool OutboxShapeCheckName(const char *relation, const char *column, OutboxRefusal *refusal);

/* ---- required_fields.c: which fields are never null ---- */

extern bool OutboxSplitRequired(const List *required, const char *field, List **inner);
extern void OutboxCheckRequiredFields(const char *relation, const char *path, const OutboxShape *shape, const List *required);

/* ---- second_opinion.c: does libavro read the schema? ---- */

extern char *OutboxLibavroRefuses(const char *schema_utf8);

#endif /* OUTBOX_AVRO_TYPE_SHAPE_H */
