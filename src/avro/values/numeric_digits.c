/*-------------------------------------------------------------------------
 *
 * numeric_digits.c
 *	  The digits of a numeric through its public format, and the check that
 *	  reading them as they are stored gives the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "avro/values/numeric_digits.h"

/* Sign values of numeric_send (and of a long header). */
#define SENT_NEGATIVE 0x4000
#define SENT_SPECIAL 0xC000

static int
sent_int16(const char *sent, int i)
{
	uint16 value;

	memcpy(&value, sent + i * sizeof(value), sizeof(value));
	return (int16) pg_ntoh16(value);
}

void
OutboxReadSent(Datum numeric, OutboxDigits *digits)
{
	bytea *message = DatumGetByteaPP(DirectFunctionCall1(numeric_send, numeric));
	const char *sent = VARDATA_ANY(message);
	int16 *copy;
	int i;

	digits->count = sent_int16(sent, 0);
	digits->weight = sent_int16(sent, 1);
	digits->special = (sent_int16(sent, 2) & SENT_SPECIAL) == SENT_SPECIAL;
	digits->negative = (sent_int16(sent, 2) & SENT_SPECIAL) == SENT_NEGATIVE;
	copy = palloc(sizeof(int16) * Max(digits->count, 1));
	for (i = 0; i < digits->count; i++)
		copy[i] = (int16) sent_int16(sent, 4 + i);
	digits->stored = (char *) copy;
	pfree(message);
}

static bool
same_digits(const OutboxDigits *a, const OutboxDigits *b)
{
	if (a->special || b->special)
		return a->special && b->special;
	if (a->count == 0 && b->count == 0)
		return true;
	return a->negative == b->negative && a->weight == b->weight && a->count == b->count &&
		memcmp(a->stored, b->stored, a->count * sizeof(int16)) == 0;
}

bool
OutboxNumericLayoutKnown(void)
{
	static const char *const samples[] = {
		"0", "0.000", "1", "-1", "10000", "-9999.9999", "0.0001", "-0.00000000000000000001",
		"123456789012345678901234567890.123456789", "1e300", "-1e-300", "12345678901234567890e200",
		"0.1234567890123456789012345678901234567890123456789012345678901234567890", "NaN", "Infinity", "-Infinity"};
	static enum {
		UNCHECKED,
		KNOWN,
		UNKNOWN
	} answer = UNCHECKED;
	int i;

	if (answer != UNCHECKED)
		return answer == KNOWN;
	for (i = 0; i < lengthof(samples); i++)
	{
		Datum numeric = DirectFunctionCall3(numeric_in, CStringGetDatum(samples[i]),
											ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
		OutboxDigits stored;
		OutboxDigits sent;

		OutboxReadStored((struct varlena *) DatumGetPointer(numeric), &stored);
		OutboxReadSent(numeric, &sent);
		if (!same_digits(&stored, &sent))
		{
			answer = UNKNOWN;
			return false;
		}
	}
	answer = KNOWN;
	return true;
}
