/*-------------------------------------------------------------------------
 *
 * lookup_key.h
 *	  Lookup keys: their hash, their equality, and their image in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_LOOKUP_KEY_H
#define OUTBOX_LOOKUP_KEY_H

#include "access/tupdesc.h"
#include "utils/typcache.h"

typedef struct OutboxKeyColumn
{
	TypeCacheEntry *type; /* lives as long as the backend */
	Oid collation;
	int16 len;
	bool byval;
} OutboxKeyColumn;

/* What the keys of one contract look like. */
typedef struct OutboxKeyShape
{
	TupleDesc desc; /* a copy */
	int ncolumns;
	OutboxKeyColumn columns[FLEXIBLE_ARRAY_MEMBER];
} OutboxKeyShape;

/* In CurrentMemoryContext; raises for a type that no unique index can have. */
extern OutboxKeyShape *OutboxKeyShapeCreate(TupleDesc desc);

/* Do keys of this description have the shape? */
extern bool OutboxKeyShapeFits(const OutboxKeyShape *shape, TupleDesc desc);

/* May hashing or comparing raise, because a type is not PostgreSQL's own? */
extern bool OutboxKeyShapeMayRaise(const OutboxKeyShape *shape);

/* Equal keys, as the types and collations have it, have equal hashes, in every session. */
extern uint64 OutboxKeyHash(const OutboxKeyShape *shape, const Datum *values);
extern bool OutboxKeyEqual(const OutboxKeyShape *shape, const Datum *a, const Datum *b);

/*
 * The image of a key, a multiple of MAXALIGN bytes; its padding is zero. Values
 * must not be toasted: OutboxKeyDetoast sees to it, in CurrentMemoryContext.
 */
extern void OutboxKeyDetoast(const OutboxKeyShape *shape, const Datum *values, Datum *flat);
extern Size OutboxKeyImageSize(const OutboxKeyShape *shape, const Datum *values);
extern void OutboxKeyWriteImage(const OutboxKeyShape *shape, const Datum *values, char *image);

/* The values of an image that starts at a multiple of MAXALIGN; those by reference point into it. */
extern void OutboxKeyReadImage(const OutboxKeyShape *shape, const char *image, Datum *values);

#endif /* OUTBOX_LOOKUP_KEY_H */
