/*-------------------------------------------------------------------------
 *
 * fuzz_broken.c
 *	  How a property that does not hold ends the program: like a memory error,
 *	  so that every driver notices and keeps the input.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

void
broken(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
	abort();
}
