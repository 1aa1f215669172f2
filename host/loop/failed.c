#include "host/loop/failed.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/loop/payment.h"
#include "host/loop/show.h"
#include "host/txn.h"

/* What dmlua itself refuses says in the detail which table, or what has changed. Owned. */
static char *message_of(const struct tenant_loop *loop, const struct error *error)
{
    char *text = NULL, *masked;
    bool detailed = error->sqlstate[0] == '\0' && error->detail != NULL;
    error_text(&text, "%s%s%s", error->message, detailed ? ": " : "", detailed ? error->detail : "");
    masked = config_mask(loop->step->run->config, text);
    free(text);
    return masked;
}

void loop_note_failure(struct tenant_loop *loop, const char *id, const struct error *error)
{
    char *masked = message_of(loop, error);
    failures_add(&loop->failed, id, masked, error);
    report_log(REPORT_DEBUG, "dmlua.tenants", "tenant %s failed: %s", id, masked);
    show_failed(loop->step, id, error);
    free(masked);
}

/* A row of the ledger: what ended the tenant, and where. */
static void record_failure(struct tenant_loop *loop, const struct failure *failure)
{
    const struct step *step = loop->step;
    char place[32] = "", *text = NULL, *note;
    if (failure->line > 0)
        snprintf(place, sizeof place, ":%d", failure->line);
    error_text(&text, "%s%s%s%s%s%s", failure->sqlstate, failure->sqlstate[0] ? ": " : "", failure->message,
               failure->file ? " at " : "", failure->file ? failure->file : "", failure->file ? place : "");
    note = error_note(text);
    run_record(step->run, step->plan->revision, step->part, failure->tenant, step->script->sha256, "failed", note, -1);
    free(note);
    free(text);
}

/* The failures' rows in the ledger, in a transaction of their own. It must not hide the failures. */
static void record_failures(struct tenant_loop *loop)
{
    struct ledger *ledger = loop->step->run->ledger;
    struct error ignored = {0};
    size_t i;
    if (loop->failed.count == 0 || !db_alive(ledger->db))
        return;
    txn_begin(ledger);
    if (!payment_runs(loop->step->run))
        loop_send_cursor(loop);
    for (i = 0; i < loop->failed.count; i++)
        record_failure(loop, &loop->failed.list[i]);
    txn_commit(ledger, &ignored);
    error_clear(&ignored);
}

void loop_tell_failures(struct tenant_loop *loop, struct error *error)
{
    failures_clear(&error->failures);
    error->failures = loop->failed;
    memset(&loop->failed, 0, sizeof loop->failed);
}

/* A tenant that has failed and is in the list no more is none of the loop's. */
static void forget_gone(struct tenant_loop *loop)
{
    struct failures kept = {0};
    size_t i;
    for (i = 0; i < loop->failed.count; i++) {
        const struct failure *failure = &loop->failed.list[i];
        struct error place = {.file = failure->file, .line = failure->line};
        memcpy(place.sqlstate, failure->sqlstate, sizeof place.sqlstate);
        if (roll_has(&loop->roll, failure->tenant))
            failures_add(&kept, failure->tenant, failure->message, &place);
        else
            report_log(REPORT_WARN, "dmlua.tenants", "tenant %s failed, and is in the list no more: %s",
                       failure->tenant, failure->message);
    }
    failures_clear(&loop->failed);
    loop->failed = kept;
    loop->failures = (int)kept.count;
}

int failed_close(struct tenant_loop *loop, struct error *error)
{
    const struct step *step = loop->step;
    if (!payment_runs(step->run))
        forget_gone(loop);
    if (loop->failures == 0)
        return 0;
    record_failures(loop);
    error_set(error, ERROR_PARTIAL, "%d tenant%s failed in part %d of %s; %d done in this run", loop->failures,
              loop->failures == 1 ? "" : "s", step->part, step->plan->revision, loop->visited);
    error_text(&error->file, "%s", step->script->path);
    if (loop->failures >= loop->max_failures)
        error_text(&error->detail, "the loop stopped there, at max_failures = %d; tenants behind them were not visited",
                   loop->max_failures);
    loop_tell_failures(loop, error);
    return -1;
}

void failed_break(struct tenant_loop *loop, struct error *error)
{
    record_failures(loop);
    loop_tell_failures(loop, error);
}

void failed_endless(struct tenant_loop *loop, int looks, struct error *error)
{
    error_set(error, ERROR_BUSY, "the tenant list had new tenants each of the %d times it was read", looks);
    error_text(&error->hint, "a query that makes ids as it is read (gen_random_uuid) is no list of tenants");
    failed_break(loop, error);
}
