/*-------------------------------------------------------------------------
 *
 * wire_decode.h
 *	  Walks over one encoded value, driven by its schema, and shows every part
 *	  to a visitor.
 *
 * Plain C, see schema_model.h.  Any bytes are safe to decode: the walk is
 * bounded in depth and in the number of values, and reads nothing beyond them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_WIRE_DECODE_H
#define OUTBOX_AVRO_WIRE_DECODE_H

#include "avro/schema/schema_model.h"

/* Values inside one datum, and how deep they may be nested. */
#define AVRO_MAX_VALUES 1000000
#define AVRO_MAX_VALUE_DEPTH 128

/* A value without parts; which member is set follows from the node's kind. */
typedef struct AvroScalar
{
	bool boolean;
	int64_t integer; /* int and long; the index of an enum's symbol */
	float single;
	double number;
	const char *bytes; /* bytes, string (valid UTF-8) and fixed: not NUL-terminated */
	size_t length;
} AvroScalar;

/*
 * What the walk calls. A callback that returns false ends it; the visitor then
 * keeps its own reason, and AvroDecode leaves *fault empty.
 */
typedef struct AvroVisitor
{
	bool (*scalar)(void *state, const AvroNode *node, const AvroScalar *value);
	/* A record, array or map. Members of a record and map are preceded by member. */
	bool (*begin)(void *state, const AvroNode *node);
	bool (*member)(void *state, const AvroNode *node, const char *name, size_t length);
	bool (*end)(void *state, const AvroNode *node);
	/* The branch of a union that follows; optional. */
	bool (*branch)(void *state, const AvroNode *node, int index);
	/* Before each item of an array; optional. */
	bool (*item)(void *state, const AvroNode *node);
} AvroVisitor;

/* True when the bytes are exactly one value of the schema and the visitor took all of it. */
extern bool AvroDecode(const AvroNode *schema, const char *bytes, size_t length,
					   const AvroVisitor *visitor, void *state, AvroFault *fault);

#endif /* OUTBOX_AVRO_WIRE_DECODE_H */
