/*-------------------------------------------------------------------------
 *
 * fuzz_decimal.c
 *	  Fuzz targets for decimals, which take PostgreSQL's numeric as it is stored.
 *
 * The few functions of a server that decimal.c calls are here, on malloc.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "avro/values/decimal.h"
#include "avro/values/numeric_digits.h"
#include "avro/values/wire.h"
#include "fuzz.h"

#define MAX_DIGITS 300

void *
palloc(Size size)
{
	return malloc(size > 0 ? size : 1);
}

void
pfree(void *pointer)
{
	free(pointer);
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
	return datum;
}

/* Only the portable reader calls it, which is not asked for here. */
void
OutboxReadSent(Datum numeric, OutboxDigits *digits)
{
	broken(__FILE__, __LINE__, "numeric is read as stored");
}

typedef struct Number
{
	bool negative;
	int weight;
	int count;
	int16 digits[MAX_DIGITS];
} Number;

/* A numeric never begins or ends with a zero digit. */
static void
choose_numeric(Choices *choices, Number *number)
{
	int first = 0;
	int i;

	number->negative = choose_byte(choices) & 1;
	number->weight = (int) choose_byte(choices) % 260 - 5;
	if (choose_byte(choices) % 4 > 0)
		number->weight %= 5;
	number->count = choose_byte(choices) % 4 > 0 ? choose_byte(choices) % 12 : (int) (choose_number(choices) % MAX_DIGITS);
	for (i = 0; i < number->count; i++)
	{
		int shape = choose_byte(choices);

		number->digits[i] = shape < 100 ? 9999 : shape < 140 ? 0
															 : (int16) ((shape << 8 | choose_byte(choices)) % 10000);
	}
	while (number->count > 0 && number->digits[number->count - 1] == 0)
		number->count--;
	while (first < number->count && number->digits[first] == 0)
		first++;
	number->count -= first;
	number->weight -= first;
	memmove(number->digits, number->digits + first, sizeof(int16) * number->count);
	if (number->count == 0)
	{
		number->weight = 0;
		number->negative = false;
	}
}

/* As numeric.c stores it in its long format, with a short varlena header where that is possible. */
static struct varlena *
store(const Number *number)
{
	Size length = 2 * sizeof(uint16) + sizeof(int16) * number->count;
	Size header = length + VARHDRSZ_SHORT <= VARATT_SHORT_MAX ? VARHDRSZ_SHORT : VARHDRSZ;
	char *datum = malloc(header + length);
	uint16 sign = number->negative ? STORED_LONG_NEGATIVE : 0;
	int16 weight = (int16) number->weight;

	if (header == VARHDRSZ)
		SET_VARSIZE(datum, header + length);
	else
		SET_VARSIZE_SHORT(datum, header + length);
	memcpy(datum + header, &sign, sizeof(sign));
	memcpy(datum + header + sizeof(sign), &weight, sizeof(weight));
	memcpy(datum + header + sizeof(sign) + sizeof(weight), number->digits, sizeof(int16) * number->count);
	return (struct varlena *) datum;
}

/* The decimal digit at 10^place. */
static int
digit_at(const Number *number, int place)
{
	static const int powers[] = {1, 10, 100, 1000};
	int group = place >= 0 ? place / 4 : -((3 - place) / 4);
	int i = number->weight - group;

	return i < 0 || i >= number->count ? 0 : number->digits[i] / powers[place - group * 4] % 10;
}

/* The highest and lowest place that is not zero; false for zero. */
static bool
extent(const Number *number, int *high, int *low)
{
	if (number->count == 0)
		return false;
	*high = number->weight * 4 + 3;
	while (digit_at(number, *high) == 0)
		(*high)--;
	*low = (number->weight - number->count + 1) * 4;
	while (digit_at(number, *low) == 0)
		(*low)++;
	return true;
}

/* What OutboxDecimalText must say, by schoolbook. */
static void
check_text(const Number *number, int scale, const char *text)
{
	int high = 0;
	int low = 0;
	int place;

	extent(number, &high, &low);
	if (number->negative)
		REQUIRE(*text++ == '-');
	for (place = Max(high, 0); place >= -scale; place--)
	{
		if (place == -1)
			REQUIRE(*text++ == '.');
		REQUIRE(*text++ == '0' + digit_at(number, place));
	}
	REQUIRE(*text == '\0');
}

/* A numeric is written as the decimal that reads as the same number, or refused for the right reason. */
void
fuzz_decimal(const uint8_t *data, size_t size)
{
	Choices choices = {data, data + size};
	int precision = 1 + (int) (choose_byte(&choices) % 2 ? choose_byte(&choices) % 40 : choose_number(&choices) % OUTBOX_DECIMAL_MAX_PRECISION);
	int scale = (int) (choose_number(&choices) % (uint64) (precision + 1));
	Number number;
	struct varlena *stored;
	OutboxDecimalFault fault;
	char *room = malloc(OutboxDecimalReserve(precision));
	char *end;
	int high = 0;
	int low = 0;
	bool zero;

	choose_numeric(&choices, &number);
	zero = !extent(&number, &high, &low);
	stored = store(&number);
	end = OutboxPutDecimal(room, PointerGetDatum(stored), precision, scale, false, &fault);
	if (!zero && high >= precision - scale)
		REQUIRE(end == NULL && fault == DECIMAL_TOO_LARGE);
	else if (!zero && low < -scale)
		REQUIRE(end == NULL && fault == DECIMAL_TOO_FINE);
	else
	{
		AvroInput in = {.next = room, .end = end};
		int64_t length;
		char *text;

		REQUIRE(end != NULL && fault == DECIMAL_OK);
		REQUIRE(AvroGetLong(&in, &length) && length == end - in.next && length > 0);
		/* The shortest form. */
		REQUIRE(length == 1 || !((in.next[0] == 0 && !(in.next[1] & 0x80)) || (in.next[0] == -1 && (in.next[1] & 0x80))));
		text = OutboxDecimalText(in.next, (Size) length, scale);
		REQUIRE(text != NULL);
		check_text(&number, scale, text);
		free(text);
	}
	free(stored);
	free(room);
}

/* Bytes of no meaning are some number, or too many. */
void
fuzz_decimal_bytes(const uint8_t *data, size_t size)
{
	Choices choices = {data, data + size};
	int scale = (int) (choose_number(&choices) % 1100);
	size_t length = choices_left(&choices);
	char *copy = malloc(length > 0 ? length : 1);
	char *text;

	memcpy(copy, choices.next, length);
	text = OutboxDecimalText(copy, length, scale);
	if (text != NULL)
	{
		const char *p = text + (*text == '-');

		REQUIRE(strspn(p, "0123456789.") == strlen(p) && strlen(p) >= 1);
		free(text);
	}
	free(copy);
}
