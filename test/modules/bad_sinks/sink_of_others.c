/*-------------------------------------------------------------------------
 *
 * sink_of_others.c
 *	  A shared library, but none of this server.
 *
 *-------------------------------------------------------------------------
 */
extern int sink_of_others;

int sink_of_others = 0;
