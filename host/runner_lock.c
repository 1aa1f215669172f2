#include "host/runner_lock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/signal.h"

/* The first half of the lock's key: "dmlu" in ASCII. The second is the hash of the version table's name. */
#define LOCK_CLASS "1684892789"
enum { POLL_MS = 100 };

/* Polled, never waited for: a waiter's snapshot would block CREATE INDEX CONCURRENTLY for ever. */
static int try_lock(struct run *run, const char *name, bool *taken, struct error *error)
{
    PGresult *result = ledger_query(run->ledger,
                                    "SELECT pg_catalog.pg_try_advisory_lock(" LOCK_CLASS ", pg_catalog.hashtext($1))",
                                    1, &name, error);
    if (result == NULL)
        return -1;
    *taken = *PQgetvalue(result, 0, 0) == 't';
    PQclear(result);
    return 0;
}

/* Who holds it, for people. Owned; never null. */
static char *find_holder(struct run *run, const char *name)
{
    struct error ignored = {0};
    char *text = NULL;
    PGresult *result = ledger_query(
        run->ledger,
        "SELECT 'process ' || a.pid || ' (' || coalesce(a.usename, '?') || ' from '"
        " || coalesce(pg_catalog.host(a.client_addr), 'this machine') || ', since '"
        " || pg_catalog.to_char(a.backend_start, 'HH24:MI:SS') || ')'"
        " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = " LOCK_CLASS
        " AND CAST(l.objid AS bigint) = (CAST(pg_catalog.hashtext($1) AS bigint) & 4294967295)"
        " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())",
        1, &name, &ignored);
    error_clear(&ignored);
    error_text(&text, "%s",
               result != NULL && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "a process that is gone");
    PQclear(result);
    return text;
}

static int refuse_busy(const char *holder, double waited, struct error *error)
{
    error_set(error, ERROR_BUSY, "another runner is at work: %s", holder);
    if (waited > 0)
        error_text(&error->detail, "waited %.0f s for it", waited);
    error_text(&error->hint, "let it end and run again, or wait longer with --lock-wait SECONDS");
    return -1;
}

static int wait_for(struct run *run, const char *name, struct error *error)
{
    double began = clock_now();
    char *holder = find_holder(run, name);
    bool taken = false;
    int rc = 0;
    if (!run->options.no_wait && run->options.lock_wait > 0)
        report_log(REPORT_INFO, "dmlua.lock", "waiting up to %.0f s for another runner: %s", run->options.lock_wait,
                   holder);
    while (rc == 0 && !taken) {
        struct pollfd fd = {.fd = signal_fd(), .events = POLLIN};
        double waited = clock_now() - began;
        if (run->options.no_wait || waited >= run->options.lock_wait) {
            rc = refuse_busy(holder, run->options.no_wait ? 0 : waited, error);
            break;
        }
        poll(&fd, 1, POLL_MS);
        if (signal_interrupted) {
            signal_noticed();
            error_set(error, ERROR_INTERRUPTED, "interrupted while waiting for another runner; nothing was changed");
            rc = -1;
            break;
        }
        rc = try_lock(run, name, &taken, error);
    }
    free(holder);
    return rc;
}

int runner_lock(struct run *run, struct error *error)
{
    char *name = NULL;
    bool taken = false;
    int rc;
    error_text(&name, "%s.%s", run->ledger->schema, run->ledger->table);
    rc = try_lock(run, name, &taken, error);
    if (rc == 0 && !taken)
        rc = wait_for(run, name, error);
    free(name);
    return rc;
}
