/*-------------------------------------------------------------------------
 *
 * code_map.h
 *	  Code maps: legacy codes to canonical words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CODE_MAP_H
#define OUTBOX_CODE_MAP_H

/* The last code that outbox.decode() did not know since OutboxForgetUnknownCode(). */
typedef struct OutboxUnknownCode
{
	char	   *map;			/* NULL: none */
	char	   *code;
	bool		map_exists;
} OutboxUnknownCode;

extern void OutboxForgetUnknownCode(void);
extern const OutboxUnknownCode *OutboxLastUnknownCode(void);

/* Is this function outbox.decode()? It neither raises nor depends on settings. */
extern bool OutboxIsDecode(Oid function);

#endif							/* OUTBOX_CODE_MAP_H */
