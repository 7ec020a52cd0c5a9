/*-------------------------------------------------------------------------
 *
 * sink_of_more.c
 *	  A library that needs a symbol that nothing has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

extern void nobody_has_this(void);
extern void _PG_init(void);

void
_PG_init(void)
{
	nobody_has_this();
}
