/*-------------------------------------------------------------------------
 *
 * try_contract.c
 *	  A contract tried on the rows of its source.
 *
 * preview() and validate() see the rows as capture would: of a contract that is
 * evaluated per row the source is read itself, of one that is evaluated at commit
 * the view is read by the source's keys (examine_commit.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "contract/prove/prove_private.h"
#include "contract/view/view.h"

static void try_by_rows(OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function, void *arg);
static int64 try_table(OutboxCompiledContract *contract, Oid table, int64 max_rows, OutboxTrialRow function, void *arg);
static void try_by_keys(OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function, void *arg);
static OutboxCompiledContract *compile_locked(OutboxContractConfig *config);

/*
 * Tries a contract on the rows of its source, with the active snapshot. Calls the
 * function for the rows until it has said true max_rows times. Event types without
 * a pinned schema are tried with a draft of it. Raises for a contract that cannot
 * be compiled; the faults of a row are findings. Memory is bounded.
 */
void
OutboxTryContract(OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function, void *arg)
{
	if (config->at_commit)
		try_by_keys(config, max_rows, function, arg);
	else
		try_by_rows(config, max_rows, function, arg);
}

/* Of a contract that is evaluated per row: maps the rows of each table of the source, as capture would see them. */
static void
try_by_rows(OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function, void *arg)
{
	int64 rows = 0;
	ListCell *lc;

	foreach (lc, OutboxSourceTables(config->root))
	{
		OutboxCompiledContract *contract;

		/* rows of a foreign table are not captured either */
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			continue;
		contract = OutboxCompileContract(config, lfirst_oid(lc), true);
		rows += try_table(contract, lfirst_oid(lc), max_rows - rows, function, arg);
		OutboxFreeContract(contract);
	}
	/* a table without partitions has no rows: the contract must at least compile */
	if (get_rel_relkind(config->root) == RELKIND_PARTITIONED_TABLE)
		OutboxFreeContract(OutboxCompileContract(config, config->root, true));
}

/* Tries the rows of one table. Returns how many counted. */
static int64
try_table(OutboxCompiledContract *contract, Oid table, int64 max_rows, OutboxTrialRow function, void *arg)
{
	Relation rel = table_open(table, AccessShareLock);
	TupleTableSlot *source = table_slot_create(rel, NULL);
	TableScanDesc scan = OutboxBeginScan(rel, GetActiveSnapshot());
	int64 rows = 0;

	while (rows < max_rows && table_scan_getnextslot(scan, ForwardScanDirection, source))
	{
		OutboxFinding finding;
		bool in_view = OutboxExamineRow(contract, source, &finding);

		CHECK_FOR_INTERRUPTS();
		rows += function(arg, contract, in_view, &finding);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(source);
	table_close(rel, NoLock);
	return rows;
}

/* Of a contract that is evaluated at commit: reads its rows by the keys in the source. */
static void
try_by_keys(OutboxContractConfig *config, int64 max_rows, OutboxTrialRow function, void *arg)
{
	OutboxCompiledContract *contract = compile_locked(config);

	OutboxTryKeys(contract, max_rows, function, arg);
	OutboxFreeContract(contract);
}

/*
 * Compiles the contract with all relations of its query locked. Compiling keeps no
 * lock, but running the query needs them. While we wait for a lock the contract
 * may become outdated, so it is compiled again after that.
 */
static OutboxCompiledContract *
compile_locked(OutboxContractConfig *config)
{
	List *locked = NIL;

	for (;;)
	{
		OutboxCompiledContract *contract = OutboxCompileContract(config, config->root, true);
		ListCell *lc;

		if (list_difference_oid(contract->query->relations, locked) == NIL)
			return contract;
		locked = list_copy(contract->query->relations);
		OutboxFreeContract(contract);
		foreach (lc, locked)
			LockRelationOid(lfirst_oid(lc), AccessShareLock);
	}
}
