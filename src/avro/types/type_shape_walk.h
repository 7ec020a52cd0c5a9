/*-------------------------------------------------------------------------
 *
 * type_shape_walk.h
 *	  What the parts of the type map share while they walk through a type.
 *
 * Private to type_shape.c and type_shape_compound.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_TYPE_SHAPE_WALK_H
#define OUTBOX_AVRO_TYPE_SHAPE_WALK_H

#include "avro/types/type_shape.h"

/* Where the walk is, and what it is for. */
typedef struct OutboxShapeWalk
{
	const char *relation; /* or NULL */
	OutboxRefusal *refusal;
	int depth;
	const char *suffix;     /* of the casts in hints: "[]" inside an array */
	bool is_pinned;         /* only what `pinned` has is of interest */
	const AvroNode *pinned; /* the schema of the type at hand; NULL: it has another kind of type there */
} OutboxShapeWalk;

/*
 * type_shape.c. All shapes are palloc'd and NULL with the walk's refusal filled
 * when there is none; `path` is the column, or the dotted way to an attribute.
 */
extern OutboxShape *OutboxShapeOfType(OutboxShapeWalk *walk, const char *path, Oid type, int32 typmod);

/* Fill the refusal; NULL always. */
extern OutboxShape *OutboxShapeRefuse(OutboxShapeWalk *walk, int sqlerrcode, char *message, char *detail, char *hint);
extern OutboxShape *OutboxShapeRefuseType(OutboxShapeWalk *walk, const char *path, Oid type, char *detail, char *hint);

/* The column as messages name it, and as it would stand behind AS. */
extern char *OutboxShapeColumnWords(const char *relation, const char *path);
extern const char *OutboxShapeColumnAlias(const char *path);

/* type_shape_compound.c: complete a shape whose type is set. */
extern OutboxShape *OutboxShapeEnum(OutboxShapeWalk *walk, const char *path, OutboxShape *shape);
extern OutboxShape *OutboxShapeComposite(OutboxShapeWalk *walk, const char *path, OutboxShape *shape);
extern OutboxShape *OutboxShapeArray(OutboxShapeWalk *walk, const char *path, OutboxShape *shape,
									 Oid element, int32 typmod);

/* The schema of the values of a field: without its union with null. */
extern const AvroNode *OutboxShapePinnedValue(const AvroNode *node);

#endif /* OUTBOX_AVRO_TYPE_SHAPE_WALK_H */
