/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the fuzz targets share: the input as a source of choices, and the
 *	  way to say that something must hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UNIT_FUZZ_H
#define UNIT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that drive a target; behind their end there are zeros. */
typedef struct Choices
{
	const uint8_t *next;
	const uint8_t *end;
} Choices;

static inline uint8_t
choose_byte(Choices *choices)
{
	return choices->next < choices->end ? *choices->next++ : 0;
}

static inline uint64_t
choose_number(Choices *choices)
{
	uint64_t number = 0;
	int n = choose_byte(choices) % 9;

	/* Of any magnitude alike: small ones and limits are where the cases are. */
	while (n-- > 0)
		number = number << 8 | choose_byte(choices);
	return number;
}

static inline size_t
choices_left(const Choices *choices)
{
	return (size_t) (choices->end - choices->next);
}

/* Ends the program, and the driver keeps the input. */
extern void broken(const char *file, int line, const char *condition) __attribute__((noreturn));
#define REQUIRE(condition) ((condition) ? (void) 0 : broken(__FILE__, __LINE__, #condition))

/* The targets: each takes any bytes. */
extern void fuzz_schema(const uint8_t *data, size_t size);
extern void fuzz_payload(const uint8_t *data, size_t size);
extern void fuzz_round_trip(const uint8_t *data, size_t size);
extern void fuzz_decimal(const uint8_t *data, size_t size);
extern void fuzz_decimal_bytes(const uint8_t *data, size_t size);
extern void fuzz_compatible(const uint8_t *data, size_t size);
#define FUZZ_TARGETS 6
#define FUZZ_COMPATIBLE 5 /* the first byte of an input for it, modulo FUZZ_TARGETS */

/* Schemas that mutations start from. */
extern const char *const fuzz_schemas[];
extern const int fuzz_schema_count;

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* UNIT_FUZZ_H */
