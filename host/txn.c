#include "host/txn.h"

void txn_begin(struct ledger *ledger)
{
    ledger_send(ledger, LEDGER_BEGIN, 0, NULL, NULL);
}

void txn_begin_snapshot(struct ledger *ledger)
{
    ledger_send(ledger, LEDGER_BEGIN_SNAPSHOT, 0, NULL, NULL);
}

void txn_begin_read_only(struct ledger *ledger)
{
    ledger_send(ledger, LEDGER_BEGIN_READ_ONLY, 0, NULL, NULL);
}

void txn_rollback(struct ledger *ledger, struct error *error)
{
    struct error later = {0};
    struct db *db = ledger->db;
    PGTransactionStatusType status;
    db_sync(db); /* after a failure the server passes over everything up to here */
    db_await(db, error);
    if (!db_alive(db))
        return;
    status = PQtransactionStatus(db_connection(db));
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR) {
        ledger_send(ledger, LEDGER_ROLLBACK, 0, NULL, NULL);
        db_sync(db);
        db_await(db, &later);
    }
    error_clear(&later); /* the first failure is the one that explains */
}

void txn_send_commit(struct ledger *ledger)
{
    ledger_send(ledger, LEDGER_COMMIT, 0, NULL, NULL);
    db_sync(ledger->db);
    db_push(ledger->db);
}

int txn_commit(struct ledger *ledger, struct error *error)
{
    ledger_send(ledger, LEDGER_COMMIT, 0, NULL, NULL);
    db_sync(ledger->db);
    if (db_await(ledger->db, error) == 0)
        return 0;
    txn_rollback(ledger, error);
    return -1;
}
