#ifndef DMLUA_TXN_H
#define DMLUA_TXN_H

#include "host/error.h"
#include "host/ledger.h"

/* The only BEGIN, COMMIT and ROLLBACK. Every transaction is an explicit block: between two Syncs without BEGIN a
   script's own COMMIT inside a DO block would succeed. */
void txn_begin(struct ledger *ledger);
void txn_begin_read_only(struct ledger *ledger);
/* All its statements see one state of the database, and what they write themselves (REPEATABLE READ). */
void txn_begin_snapshot(struct ledger *ledger);
/* Sends COMMIT and waits for nothing. */
void txn_send_commit(struct ledger *ledger);
/* Sends COMMIT and waits for all that was sent. On failure everything since txn_begin is rolled back. */
int txn_commit(struct ledger *ledger, struct error *error);
/* Leaves the transaction, whatever state it is in. What was sent before is waited for; its first failure goes to
   `error`. */
void txn_rollback(struct ledger *ledger, struct error *error);

#endif
