/*-------------------------------------------------------------------------
 *
 * traits.h
 *	  What a function may do that concerns whoever calls it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OUTBOX_TRAITS_H
#define OUTBOX_TRAITS_H

/*
 * A set of these bits, of a function, an expression, or a whole contract. A
 * contract without any but OUTBOX_RAISES is evaluated without further ado.
 */
typedef uint32 OutboxTraits;

/* It reads settings of the session, of a group that is pinned together (settings.c). */
#define OUTBOX_READS_NAMES 0x0001  /* search_path, quoting of names */
#define OUTBOX_READS_TIME 0x0002   /* styles and zones of dates and times */
#define OUTBOX_READS_FLOAT 0x0004  /* digits of floating-point numbers */
#define OUTBOX_READS_BYTEA 0x0008  /* text of bytea */
#define OUTBOX_READS_XML 0x0010    /* what is xml, and binary data in it */
#define OUTBOX_READS_LOCALE 0x0020 /* lc_monetary, lc_numeric, lc_time */
#define OUTBOX_READS_ARRAY 0x0040  /* NULL in the text of an array */
#define OUTBOX_READS_SEARCH 0x0080 /* the configuration of text search */
#define OUTBOX_READS_ZONES 0x0800  /* abbreviations of time zones */
#define OUTBOX_READS_ALL 0x08ff

#define OUTBOX_SPEAKS 0x0100  /* it may send messages that are no errors */
#define OUTBOX_FOREIGN 0x0200 /* it is not PostgreSQL's own: it reads everything, and may do anything */
#define OUTBOX_RAISES 0x0400  /* it may raise an error, other than for a lack of memory or corrupt storage */

#define OUTBOX_COMMANDS 0x1000 /* with OUTBOX_FOREIGN: commands of ours whose parsing runs such code; they are no utility to refuse */

/* Whatever is not known; and parsing, planning and folding, which run functions and read literals of any type. */
#define OUTBOX_ANYTHING (OUTBOX_READS_ALL | OUTBOX_SPEAKS | OUTBOX_FOREIGN | OUTBOX_RAISES)
#define OUTBOX_COMPILING OUTBOX_ANYTHING

#endif /* OUTBOX_TRAITS_H */
