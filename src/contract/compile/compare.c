/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Rows compared: of a source by bytes, of a contract by what is published.
 *
 * An UPDATE that changes nothing that a contract reads makes no event. That is
 * told by comparing tuples, before anything is evaluated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/datum.h"

#include "contract/compile/compile_private.h"

static bool publishes(const OutboxCompiledEventType *type, int column);
static bool columns_equal(const OutboxCompiledContract *contract, int column);

/* Have two rows of the source the same bytes in all columns that the contract reads? Never raises. */
bool
OutboxSourceReadsEqual(const OutboxCompiledContract *contract, TupleTableSlot *before, TupleTableSlot *after)
{
	return OutboxColumnsEqual(before, after, contract->read, contract->nread);
}

/*
 * Have two rows of one table the same bytes in these columns? `columns` are
 * attribute numbers in ascending order. Never raises.
 */
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

/* Have contract->before and contract->after the same key? May detoast. */
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

/*
 * Have contract->before and contract->after the same published columns: those
 * of one event type, which must have an encoder, or those of all (type NULL)?
 * May detoast.
 */
bool
OutboxRowsEqual(OutboxCompiledContract *contract, const OutboxCompiledEventType *type)
{
	for (int i = 0; i < contract->ncolumns; i++)
	{
		if (type ? !publishes(type, i) : !contract->compared[i])
			continue;
		if (!columns_equal(contract, i))
			return false;
	}
	return true;
}

/* Is the column in the event type's payload or headers? */
static bool
publishes(const OutboxCompiledEventType *type, int column)
{
	for (int i = 0; i < type->nheaders; i++)
	{
		if (type->headers[i].column == column)
			return true;
	}
	return OutboxAvroHasColumn(type->encoder, column);
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

/* Has this column the same bytes in two rows of the contract? Compression and storage do not count. May detoast. */
bool
OutboxSameValue(const OutboxCompiledContract *contract, int column, TupleTableSlot *left, TupleTableSlot *right)
{
	Form_pg_attribute attribute = TupleDescAttr(contract->row_desc, column);

	if (left->tts_isnull[column] || right->tts_isnull[column])
		return left->tts_isnull[column] == right->tts_isnull[column];
	return datum_image_eq(left->tts_values[column], right->tts_values[column],
						  attribute->attbyval, attribute->attlen);
}

/* A hash of the contract and of its key in a row. Keys that are equal by OutboxSameValue() have equal hashes. May detoast. */
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
