/*-------------------------------------------------------------------------
 *
 * portals.c
 *	  The cursors of a session, kept from code behind a contract.
 *
 * A procedural language can read, move and close any cursor whose name it guesses,
 * without a utility statement. The application would miss the rows that it was about
 * to read. So while code of users runs, every portal of the session has the state of
 * a failed one, which cannot be run. It is also pinned, so that it cannot be dropped.
 * Portals that are running already are safe from both.
 *
 * The server offers no list of portals. But each portal has a memory context that is
 * named after it, and all of these have the same parent.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/memnodes.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "contract/environment/environment_private.h"

/* A portal as it was. */
typedef struct FrozenPortal
{
	Portal portal;
	PortalStatus status;
	bool pinned;
	SubTransactionId active_subid;
} FrozenPortal;

/* A stack of frozen portals, in TopMemoryContext: evaluations are nested. */
static FrozenPortal *frozen = NULL;
static int nfrozen = 0;
static int capacity = 0;

static MemoryContext first_context(void);
static Portal portal_of(MemoryContext context);
static void make_room(int portals);
static void freeze(FrozenPortal *entry, Portal portal);
static bool is_new(Portal portal, int mark);

/*
 * From here on the session's cursors cannot be read, moved or closed. Returns a
 * mark for OutboxDropNewPortals() and OutboxThawPortals(). If it raises, nothing is
 * done.
 */
int
OutboxFreezePortals(void)
{
	int mark = nfrozen;
	int portals = 0;

	for (MemoryContext context = first_context(); context; context = context->nextchild)
		portals += portal_of(context) != NULL;
	make_room(portals);
	for (MemoryContext context = first_context(); context; context = context->nextchild)
	{
		Portal portal = portal_of(context);

		if (portal)
			freeze(&frozen[nfrozen++], portal);
	}
	return mark;
}

/* The first of the portals' memory contexts. Their parent exists as long as the session. */
static MemoryContext
first_context(void)
{
	static MemoryContext parent = NULL;

	for (MemoryContext context = TopMemoryContext->firstchild; parent == NULL && context; context = context->nextchild)
	{
		if (strcmp(context->name, "TopPortalContext") == 0)
			parent = context;
	}
	return parent ? parent->firstchild : NULL;
}

/* The portal of a memory context; NULL: the context belongs to something else. */
static Portal
portal_of(MemoryContext context)
{
	Portal portal = context->ident ? GetPortalByName(context->ident) : NULL;

	return portal && portal->portalContext == context ? portal : NULL;
}

static void
make_room(int portals)
{
	int room = Max(capacity, 8);

	while (room < nfrozen + portals)
		room *= 2;
	if (room == capacity)
		return;
	frozen = frozen ? repalloc(frozen, sizeof(FrozenPortal) * room) : MemoryContextAlloc(TopMemoryContext, sizeof(FrozenPortal) * room);
	capacity = room;
}

static void
freeze(FrozenPortal *entry, Portal portal)
{
	*entry = (FrozenPortal){.portal = portal, .status = portal->status, .pinned = portal->portalPinned, .active_subid = portal->activeSubid};
	if (portal->status == PORTAL_ACTIVE)
		return;
	portal->portalPinned = true;
	if (portal->status == PORTAL_READY)
	{
		portal->status = PORTAL_FAILED;
		/* or the abort of a subtransaction that used it last would take the failed one's resources */
		portal->activeSubid = portal->createSubid;
	}
}

/* Drops the portals that were made since the mark. May raise, as closing a cursor may. */
void
OutboxDropNewPortals(int mark)
{
	MemoryContext context = first_context();

	while (context)
	{
		Portal portal = portal_of(context);

		if (portal == NULL || !is_new(portal, mark))
		{
			context = context->nextchild;
			continue;
		}
		portal->portalPinned = false;
		PortalDrop(portal, false);
		/* other portals may have been dropped with it */
		context = first_context();
	}
}

static bool
is_new(Portal portal, int mark)
{
	for (int i = mark; i < nfrozen; i++)
	{
		if (frozen[i].portal == portal)
			return false;
	}
	return portal->status != PORTAL_ACTIVE;
}

/*
 * Restores the session's portals down to the mark, also after an abort. Never
 * raises. A portal of an aborted (sub)transaction stays failed: the abort has
 * released its resources and run its cleanup.
 */
void
OutboxThawPortals(int mark)
{
	while (nfrozen > mark)
	{
		FrozenPortal *entry = &frozen[--nfrozen];
		Portal portal = entry->portal;

		if (entry->status == PORTAL_ACTIVE)
			continue;
		portal->portalPinned = entry->pinned;
		if (entry->status == PORTAL_READY && portal->cleanup != NULL)
		{
			portal->status = PORTAL_READY;
			portal->activeSubid = entry->active_subid;
		}
	}
}
