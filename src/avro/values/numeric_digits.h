/*-------------------------------------------------------------------------
 *
 * numeric_digits.h
 *	  The digits of a numeric, as it is stored and as it is sent.
 *
 * The stored layout is private to the server's numeric.c, though pg_upgrade
 * has kept it as it is since 9.1. We therefore read stored digits only after
 * comparing what we read of a set of numbers with numeric_send(), whose format
 * is public; if they ever differ, numeric_send() is used throughout.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_NUMERIC_DIGITS_H
#define OUTBOX_AVRO_NUMERIC_DIGITS_H

#include "compat.h"

/* Header of a stored numeric (server's numeric.c). */
#define STORED_SHORT 0x8000
#define STORED_SPECIAL 0xC000
#define STORED_LONG_NEGATIVE 0x4000
#define STORED_SHORT_NEGATIVE 0x2000
#define STORED_SHORT_WEIGHT_SIGN 0x0040
#define STORED_SHORT_WEIGHT 0x003F
#define STORED_SHORT_SCALE 0x1F80
#define STORED_SHORT_SCALE_SHIFT 7
#define STORED_LONG_SCALE 0x3FFF

typedef struct OutboxDigits
{
	bool special; /* NaN or an infinity */
	bool negative;
	int weight; /* the first digit counts 10000^weight */
	int count;
	const char *stored; /* count int16, perhaps unaligned */
} OutboxDigits;

static inline int
OutboxDigitAt(const OutboxDigits *digits, int i)
{
	int16 digit;

	memcpy(&digit, digits->stored + i * sizeof(int16), sizeof(int16));
	return digit;
}

/* Points into the datum (of any header, not compressed), which must stay. */
static inline void
OutboxReadStored(struct varlena *numeric, OutboxDigits *digits)
{
	const char *data = VARDATA_ANY(numeric);
	int length = VARSIZE_ANY_EXHDR(numeric);
	uint16 header;
	int16 weight;

	memcpy(&header, data, sizeof(header));
	digits->special = (header & STORED_SPECIAL) == STORED_SPECIAL;
	if (header & STORED_SHORT)
	{
		digits->negative = (header & STORED_SHORT_NEGATIVE) != 0;
		digits->weight = (header & STORED_SHORT_WEIGHT_SIGN) ? (int) (header & STORED_SHORT_WEIGHT) - (STORED_SHORT_WEIGHT + 1) : (int) (header & STORED_SHORT_WEIGHT);
		digits->stored = data + sizeof(header);
		digits->count = (length - (int) sizeof(header)) / (int) sizeof(int16);
		return;
	}
	memcpy(&weight, data + sizeof(header), sizeof(weight));
	digits->negative = (header & STORED_SPECIAL) == STORED_LONG_NEGATIVE;
	digits->weight = weight;
	digits->stored = data + sizeof(header) + sizeof(weight);
	digits->count = (length - (int) (sizeof(header) + sizeof(weight))) / (int) sizeof(int16);
}

/* At least the length of the text of a stored numeric, which is not compressed. */
static inline Size
OutboxStoredTextLength(struct varlena *numeric)
{
	OutboxDigits digits;
	uint16 header;

	OutboxReadStored(numeric, &digits);
	memcpy(&header, VARDATA_ANY(numeric), sizeof(header));
	if (digits.special)
		return strlen("-Infinity");
	return strlen("-0.") + 4 * (Size) Max(digits.weight + 1, 0) +
		((header & STORED_SHORT) ? (header & STORED_SHORT_SCALE) >> STORED_SHORT_SCALE_SHIFT : header & STORED_LONG_SCALE);
}

/* Copies the digits into palloc'd memory. */
extern void OutboxReadSent(Datum numeric, OutboxDigits *digits);

/* Checked once per process: are numerics stored as we expect? */
extern bool OutboxNumericLayoutKnown(void);

#endif /* OUTBOX_AVRO_NUMERIC_DIGITS_H */
