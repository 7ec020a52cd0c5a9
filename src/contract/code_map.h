/*-------------------------------------------------------------------------
 *
 * code_map.h
 *	  Code maps: legacy codes to canonical words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_CODE_MAP_H
#define OUTBOX_CODE_MAP_H

/*
 * The codes that outbox.decode() did not know since OutboxForgetUnknownCodes(),
 * as a list for people; NULL: none. Valid until the next decode().
 */
extern const char *OutboxUnknownCodes(void);
extern void OutboxForgetUnknownCodes(void);

/* Is this function outbox.decode()? It neither raises nor depends on settings. */
extern bool OutboxIsDecode(Oid function);

#endif /* OUTBOX_CODE_MAP_H */
