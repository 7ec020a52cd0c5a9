/*-------------------------------------------------------------------------
 *
 * foreign_text.c
 *	  Words of brokers and libraries, made fit for our tables and logs.
 *
 * Whoever answers at a broker's address chooses them. As they come they could
 * end a line of the server's log and begin one of their own, move the cursor of
 * a terminal, or make a view unreadable for being invalid in the server's
 * encoding. So all of them pass here before anything is done with them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "sink/sink_private.h"

static void make_printable(char *text);

/* Blanks for control characters, question marks for what is not valid in the server's encoding; never raises. */
static void
make_printable(char *text)
{
	bool valid = pg_verifymbstr(text, strlen(text), true);
	bool utf8 = GetDatabaseEncoding() == PG_UTF8;

	for (unsigned char *c = (unsigned char *) text; *c != '\0'; c++)
	{
		if (*c < ' ' || *c == 0x7F)
			*c = ' ';
		else if (!valid && IS_HIGHBIT_SET(*c))
			*c = '?';
		else if (utf8 && c[0] == 0xC2 && c[1] < 0xA0)
			c[0] = c[1] = ' '; /* C1: some terminals obey them */
	}
}

/* A copy of which that is true, in the current memory context. */
char *
OutboxPrintable(const char *text)
{
	char *copy = pstrdup(text);

	make_printable(copy);
	return copy;
}

/* Of an error that a sink raised: its message, detail and hint. */
void
OutboxMakeErrorPrintable(ErrorData *error)
{
	if (error->message)
		make_printable(error->message);
	if (error->detail)
		make_printable(error->detail);
	if (error->hint)
		make_printable(error->hint);
}
