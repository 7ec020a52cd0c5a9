/*-------------------------------------------------------------------------
 *
 * decimal.c
 *	  numeric to Avro's decimal and back.
 *
 * A stored numeric is a list of base-10000 digits. The unscaled integer that
 * Avro wants is accumulated from them in 64 or 128 bits, which covers 36
 * decimal places, and in an array of words beyond that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "avro/values/decimal.h"
#include "avro/values/numeric_digits.h"
#include "avro/values/wire.h"
#include "compat.h"

/* A word array holds 10^1000 after rounding up to whole base-10000 digits: 1007 places, 3346 bits. */
#define MAX_WORDS 108

Size
OutboxDecimalReserve(int precision)
{
	/* 10^precision < 2^(3.3220 precision); a sign bit, a rounded byte, the length, and stores of whole words. */
	return AVRO_INT_BYTES + ((Size) precision * 3322 / 1000 + 1) / 8 + 2 + 2 * sizeof(uint64);
}

static inline char *
put_word(char *p, int64 value)
{
	int n = (64 - __builtin_clrsbll(value) + 7) / 8;
	uint64 bytes = pg_hton64((uint64) value << (64 - 8 * n));

	*p++ = (char) (n << 1);
	memcpy(p, &bytes, sizeof(bytes));
	return p + n;
}

/* The shortest two's complement of words[count], least significant first. */
static char *
put_words(char *p, const uint32 *words, int count, bool negative)
{
	unsigned char bytes[MAX_WORDS * sizeof(uint32) + 1];
	int size = count * (int) sizeof(uint32) + 1;
	int carry = 1;
	int start = 0;
	int i;

	for (i = 0; i < size; i++)
	{
		int byte = i / 4 < count ? (words[i / 4] >> (i % 4 * 8)) & 0xff : 0;

		if (negative)
		{
			byte = (byte ^ 0xff) + carry;
			carry = byte >> 8;
		}
		bytes[size - 1 - i] = (unsigned char) byte;
	}
	/* Leading bytes that only repeat the sign. */
	while (start < size - 1 &&
		   ((bytes[start] == 0 && bytes[start + 1] < 0x80) ||
			(bytes[start] == 0xff && bytes[start + 1] >= 0x80)))
		start++;
	p = AvroPutLong(p, size - start);
	memcpy(p, bytes + start, size - start);
	return p + (size - start);
}

static const uint32 power_of_ten[] = {1, 10, 100, 1000};

/* words = words * factor + addend; returns the new count. */
static int
multiply_add(uint32 *words, int count, uint32 factor, uint32 addend)
{
	uint64 carry = addend;
	int i;

	for (i = 0; i < count; i++)
	{
		carry += (uint64) words[i] * factor;
		words[i] = (uint32) carry;
		carry >>= 32;
	}
	if (carry > 0)
		words[count++] = (uint32) carry;
	return count;
}

/* words = words / divisor; returns the remainder. */
static uint32
divide(uint32 *words, int count, uint32 divisor)
{
	uint64 rest = 0;
	int i;

	for (i = count - 1; i >= 0; i--)
	{
		rest = (rest << 32) | words[i];
		words[i] = (uint32) (rest / divisor);
		rest %= divisor;
	}
	return (uint32) rest;
}

/* The general case of put_digits. */
static char *
put_many_digits(char *p, const OutboxDigits *digits, int groups, uint32 surplus, OutboxDecimalFault *fault)
{
	uint32 words[MAX_WORDS];
	int count = 0;
	int i;

	for (i = 0; i < groups; i++)
		count = multiply_add(words, count, 10000, i < digits->count ? (uint32) OutboxDigitAt(digits, i) : 0);
	if (divide(words, count, surplus) != 0)
	{
		*fault = DECIMAL_TOO_FINE;
		return NULL;
	}
	return put_words(p, words, count, digits->negative);
}

/* Up to 36 places. */
static char *
put_up_to_128_bits(char *p, const OutboxDigits *digits, int groups, uint32 surplus, OutboxDecimalFault *fault)
{
	unsigned __int128 sum = 0;
	uint32 words[4];
	int i;

	for (i = 0; i < groups; i++)
		sum = sum * 10000 + (i < digits->count ? (uint32) OutboxDigitAt(digits, i) : 0);
	if (surplus > 1)
	{
		if (sum % surplus != 0)
		{
			*fault = DECIMAL_TOO_FINE;
			return NULL;
		}
		sum /= surplus;
	}
	if (sum <= PG_INT64_MAX)
		return put_word(p, digits->negative ? -(int64) sum : (int64) sum);
	for (i = 0; i < 4; i++)
		words[i] = (uint32) (sum >> (32 * i));
	return put_words(p, words, 4, digits->negative);
}

/* Up to 16 places, that is nearly always. */
static inline char *
put_up_to_64_bits(char *p, const OutboxDigits *digits, int groups, int extra, OutboxDecimalFault *fault)
{
	uint64 sum = 0;
	uint64 rest = 0;
	int i;

	for (i = 0; i < groups; i++)
		sum = sum * 10000 + (i < digits->count ? (uint32) OutboxDigitAt(digits, i) : 0);
	/* Divisors as constants: several times faster than a variable one. */
	switch (extra)
	{
		case 1:
			rest = sum % 10;
			sum /= 10;
			break;
		case 2:
			rest = sum % 100;
			sum /= 100;
			break;
		case 3:
			rest = sum % 1000;
			sum /= 1000;
			break;
		default:
			break;
	}
	if (rest != 0)
	{
		*fault = DECIMAL_TOO_FINE;
		return NULL;
	}
	return put_word(p, digits->negative ? -(int64) sum : (int64) sum);
}

static inline int
places(int digit)
{
	return digit >= 1000 ? 4 : digit >= 100 ? 3
		: digit >= 10                       ? 2
											: 1;
}

static inline char *
put_digits(char *p, const OutboxDigits *digits, int precision, int scale, OutboxDecimalFault *fault)
{
	int fraction = (scale + 3) / 4;
	int groups = digits->weight + 1 + fraction;
	int extra = fraction * 4 - scale;

	if (unlikely(digits->special))
	{
		*fault = DECIMAL_NOT_FINITE;
		return NULL;
	}
	if (digits->count == 0)
		return put_word(p, 0);
	/* The first digit is never zero, so this is the number of integer places (negative below 0.1). */
	if (unlikely(digits->weight * 4 + places(OutboxDigitAt(digits, 0)) > precision - scale))
	{
		*fault = DECIMAL_TOO_LARGE;
		return NULL;
	}
	/* The last digit is never zero either. */
	if (unlikely(digits->count > groups))
	{
		*fault = DECIMAL_TOO_FINE;
		return NULL;
	}
	if (likely(groups <= 4))
		return put_up_to_64_bits(p, digits, groups, extra, fault);
	if (groups <= 9)
		return put_up_to_128_bits(p, digits, groups, power_of_ten[extra], fault);
	return put_many_digits(p, digits, groups, power_of_ten[extra], fault);
}

char *
OutboxPutDecimal(char *p, Datum value, int precision, int scale, bool portable, OutboxDecimalFault *fault)
{
	struct varlena *numeric;
	OutboxDigits digits;

	*fault = DECIMAL_OK;
	if (unlikely(portable))
	{
		OutboxReadSent(value, &digits);
		p = put_digits(p, &digits, precision, scale, fault);
		pfree(unconstify(char *, digits.stored));
		return p;
	}
	numeric = PG_DETOAST_DATUM_PACKED(value);
	OutboxReadStored(numeric, &digits);
	p = put_digits(p, &digits, precision, scale, fault);
	if (unlikely((Pointer) numeric != DatumGetPointer(value)))
		pfree(numeric);
	return p;
}

/* Splits the magnitude into words, least significant first. */
static int
words_of_bytes(const unsigned char *bytes, int length, bool negative, uint32 *words)
{
	int carry = 1;
	int count = (length + 3) / 4;
	int i;

	memset(words, 0, count * sizeof(uint32));
	for (i = 0; i < length; i++)
	{
		int byte = bytes[length - 1 - i];

		if (negative)
		{
			byte = (byte ^ 0xff) + carry;
			carry = byte >> 8;
			byte &= 0xff;
		}
		words[i / 4] |= (uint32) byte << (i % 4 * 8);
	}
	/* -2^(8n-1) and its like: the carry runs out of the top only for zero. */
	return count;
}

char *
OutboxDecimalText(const char *bytes, Size length, int scale)
{
	uint32 words[MAX_WORDS];
	bool negative = length > 0 && (bytes[0] & 0x80) != 0;
	char reversed[MAX_WORDS * 10 + 1];
	int n = 0;
	int count;
	char *text;
	char *p;

	if (length > (MAX_WORDS - 1) * sizeof(uint32) || scale > OUTBOX_DECIMAL_MAX_PRECISION)
		return NULL;
	count = words_of_bytes((const unsigned char *) bytes, (int) length, negative, words);
	while (count > 0)
	{
		if (words[count - 1] == 0)
			count--;
		else
			reversed[n++] = (char) ('0' + divide(words, count, 10));
	}
	p = text = palloc(Max(n, scale + 1) + 3);
	if (negative)
		*p++ = '-';
	for (count = Max(n, scale + 1); count > 0; count--)
	{
		if (count == scale)
			*p++ = '.';
		*p++ = count > n ? '0' : reversed[count - 1];
	}
	*p = '\0';
	return text;
}
