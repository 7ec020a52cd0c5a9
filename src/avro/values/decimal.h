/*-------------------------------------------------------------------------
 *
 * decimal.h
 *	  numeric to Avro's decimal (two's complement, big-endian) and back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_AVRO_DECIMAL_H
#define OUTBOX_AVRO_DECIMAL_H

/* numeric's own limit of a declared precision. */
#define OUTBOX_DECIMAL_MAX_PRECISION 1000

typedef enum OutboxDecimalFault
{
	DECIMAL_OK,
	DECIMAL_NOT_FINITE, /* NaN, Infinity */
	DECIMAL_TOO_LARGE,  /* more integer digits than precision - scale */
	DECIMAL_TOO_FINE    /* digits beyond the scale */
} OutboxDecimalFault;

/* Room that OutboxPutDecimal needs, its length included. */
extern Size OutboxDecimalReserve(int precision);

/*
 * Writes length and bytes of the value; returns the cursor behind them, NULL
 * with *fault set. The portable reader goes through numeric_send, the other
 * one reads the stored digits and may be used only when
 * OutboxNumericLayoutKnown() says so.
 */
extern char *OutboxPutDecimal(char *p, Datum value, int precision, int scale, bool portable,
							  OutboxDecimalFault *fault);

/* The decimal as text, palloc'd; NULL when it has more than 1000 digits. */
extern char *OutboxDecimalText(const char *bytes, Size length, int scale);

#endif /* OUTBOX_AVRO_DECIMAL_H */
