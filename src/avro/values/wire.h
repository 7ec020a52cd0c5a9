/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  Avro's binary encoding (specification 1.11): the primitives.
 *
 * Writers take a cursor into space that the caller has reserved and return the
 * cursor behind what they wrote.  Readers never look beyond `end` and return
 * false when the bytes end early or are no valid number.
 *
 * Plain C, see schema_model.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_WIRE_H
#define OUTBOX_AVRO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The longest varint of a 64-bit and of a 32-bit number. */
#define AVRO_LONG_BYTES 10
#define AVRO_INT_BYTES 5

static inline uint64_t
AvroZigzag(int64_t value)
{
	return ((uint64_t) value << 1) ^ (uint64_t) (value >> 63);
}

/* Both int and long: an int is written like the long of the same value. */
static inline char *
AvroPutLong(char *p, int64_t value)
{
	uint64_t n = AvroZigzag(value);

	while (n >= 0x80)
	{
		*p++ = (char) (n | 0x80);
		n >>= 7;
	}
	*p++ = (char) n;
	return p;
}

static inline char *
AvroPutFloat(char *p, float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	bits = __builtin_bswap32(bits);
#endif
	memcpy(p, &bits, sizeof(bits));
	return p + sizeof(bits);
}

static inline char *
AvroPutDouble(char *p, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	bits = __builtin_bswap64(bits);
#endif
	memcpy(p, &bits, sizeof(bits));
	return p + sizeof(bits);
}

/* What is still to be read. */
typedef struct AvroInput
{
	const char *next;
	const char *end;
} AvroInput;

static inline size_t
AvroLeft(const AvroInput *in)
{
	return (size_t) (in->end - in->next);
}

/* At most 10 bytes, and nothing lost beyond bit 63. */
static inline bool
AvroGetLong(AvroInput *in, int64_t *value)
{
	uint64_t n = 0;
	int shift;

	for (shift = 0; shift < 70; shift += 7)
	{
		unsigned char byte;

		if (in->next >= in->end)
			return false;
		byte = (unsigned char) *in->next++;
		if (shift == 63 && byte > 1)
			return false;
		n |= (uint64_t) (byte & 0x7f) << shift;
		if (byte < 0x80)
		{
			*value = (int64_t) (n >> 1) ^ -(int64_t) (n & 1);
			return true;
		}
	}
	return false;
}

static inline bool
AvroGetFloat(AvroInput *in, float *value)
{
	uint32_t bits;

	if (AvroLeft(in) < sizeof(bits))
		return false;
	memcpy(&bits, in->next, sizeof(bits));
	in->next += sizeof(bits);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	bits = __builtin_bswap32(bits);
#endif
	memcpy(value, &bits, sizeof(bits));
	return true;
}

static inline bool
AvroGetDouble(AvroInput *in, double *value)
{
	uint64_t bits;

	if (AvroLeft(in) < sizeof(bits))
		return false;
	memcpy(&bits, in->next, sizeof(bits));
	in->next += sizeof(bits);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	bits = __builtin_bswap64(bits);
#endif
	memcpy(value, &bits, sizeof(bits));
	return true;
}

#endif /* OUTBOX_AVRO_WIRE_H */
