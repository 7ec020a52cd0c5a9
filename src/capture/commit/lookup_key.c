/*-------------------------------------------------------------------------
 *
 * lookup_key.c
 *	  Lookup keys: their hash, their equality, and their image in memory.
 *
 * Keys are compared by the equality of their types and collations, as the
 * root's unique index does: two spellings that are equal there are one key.
 * The hash follows the same equality, because the aggregate lock of all
 * sessions is taken on it; a type that cannot be hashed contributes nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "capture/commit/commit_private.h"
#include "compat.h"
#include "contract/reach/reach.h"

/* The shape of keys with these columns, in CurrentMemoryContext; raises for a type that no unique index can have. */
OutboxKeyShape *
OutboxKeyShapeCreate(TupleDesc desc)
{
	OutboxKeyShape *shape = palloc0(offsetof(OutboxKeyShape, columns) + sizeof(OutboxKeyColumn) * desc->natts);

	shape->desc = CreateTupleDescCopy(desc);
	shape->ncolumns = desc->natts;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		OutboxKeyColumn *column = &shape->columns[i];

		column->type = lookup_type_cache(attribute->atttypid,
										 TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_EXTENDED_PROC_FINFO);
		column->collation = attribute->attcollation;
		column->len = attribute->attlen;
		column->byval = attribute->attbyval;
		if (!OidIsValid(column->type->eq_opr_finfo.fn_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("type %s of key column \"%s\" has no equality operator",
							format_type_be(attribute->atttypid), NameStr(attribute->attname))));
	}
	return shape;
}

/* Do keys of this description have the shape? */
bool
OutboxKeyShapeFits(const OutboxKeyShape *shape, TupleDesc desc)
{
	if (shape->ncolumns != desc->natts)
		return false;
	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(shape->desc, i)->atttypid != TupleDescAttr(desc, i)->atttypid ||
			shape->columns[i].collation != TupleDescAttr(desc, i)->attcollation)
			return false;
	}
	return true;
}

/* May hashing or comparing raise, because a type is not PostgreSQL's own? */
bool
OutboxKeyShapeMayRaise(const OutboxKeyShape *shape)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const TypeCacheEntry *type = shape->columns[i].type;

		if (((OutboxFunctionTraits(type->eq_opr_finfo.fn_oid) | OutboxCollationTraits(shape->columns[i].collation, false)) & OUTBOX_RAISES))
			return true;
	}
	return false;
}

/* Equal keys, as the types and collations have it, have equal hashes, in every session. */
uint64
OutboxKeyHash(const OutboxKeyShape *shape, const Datum *values)
{
	uint64 hash = 0;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		const OutboxKeyColumn *column = &shape->columns[i];
		FmgrInfo *function = &column->type->hash_extended_proc_finfo;

		if (OidIsValid(function->fn_oid))
			hash = hash_combine64(hash, DatumGetUInt64(FunctionCall2Coll(function, column->collation, values[i], UInt64GetDatum(0))));
	}
	return hash;
}

bool
OutboxKeyEqual(const OutboxKeyShape *shape, const Datum *a, const Datum *b)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const OutboxKeyColumn *column = &shape->columns[i];

		if (column->byval && a[i] == b[i])
			continue;
		if (!DatumGetBool(FunctionCall2Coll(&column->type->eq_opr_finfo, column->collation, a[i], b[i])))
			return false;
	}
	return true;
}

/* The values as an image needs them: not toasted. Detoasts in CurrentMemoryContext; may raise. */
void
OutboxKeyDetoast(const OutboxKeyShape *shape, const Datum *values, Datum *flat)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		flat[i] = values[i];
		if (shape->columns[i].len == -1)
			flat[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
	}
}

/* Bytes of the image of a key, a multiple of MAXALIGN. The values are not toasted. */
Size
OutboxKeyImageSize(const OutboxKeyShape *shape, const Datum *values)
{
	Size size = 0;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		const OutboxKeyColumn *column = &shape->columns[i];

		size += column->byval ? MAXALIGN(sizeof(Datum)) : MAXALIGN(datumGetSize(values[i], false, column->len));
	}
	return size;
}

/* Writes the image of a key; padding is zero. The values are not toasted. */
void
OutboxKeyWriteImage(const OutboxKeyShape *shape, const Datum *values, char *image)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const OutboxKeyColumn *column = &shape->columns[i];
		Size size = column->byval ? sizeof(Datum) : datumGetSize(values[i], false, column->len);

		memcpy(image, column->byval ? (const char *) &values[i] : DatumGetPointer(values[i]), size);
		memset(image + size, 0, MAXALIGN(size) - size);
		image += MAXALIGN(size);
	}
}

/* The values of an image that starts at a multiple of MAXALIGN; those by reference point into it. */
void
OutboxKeyReadImage(const OutboxKeyShape *shape, const char *image, Datum *values)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const OutboxKeyColumn *column = &shape->columns[i];
		Size size = sizeof(Datum);

		if (column->byval)
			memcpy(&values[i], image, sizeof(Datum));
		else
		{
			values[i] = PointerGetDatum(image);
			size = datumGetSize(values[i], false, column->len);
		}
		image += MAXALIGN(size);
	}
}
