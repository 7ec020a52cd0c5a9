/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Counts the checks of a unit test and prints a line for each that failed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UNIT_CHECK_H
#define UNIT_CHECK_H

#include <stdio.h>

static int checks = 0;
static int failures = 0;

#define CHECK(condition)                                                     \
	do                                                                       \
	{                                                                        \
		checks++;                                                            \
		if (!(condition))                                                    \
		{                                                                    \
			failures++;                                                      \
			printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
		}                                                                    \
	} while (0)

#endif /* UNIT_CHECK_H */
