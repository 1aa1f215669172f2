#include "host/fix.h"

#include <stdlib.h>
#include <string.h>

#include "host/api/bind.h"
#include "host/clock.h"
#include "host/config.h"
#include "host/first_word.h"
#include "host/loop/show.h"
#include "host/loop/visit.h"
#include "host/runner_lock.h"
#include "host/state.h"
#include "host/tenant.h"
#include "host/txn.h"
#include "host/undo.h"

int fix_check_statement(const struct db_statement *statement, struct error *error)
{
    static const char *const words[] = {"CREATE", "ALTER", "DROP", "TRUNCATE", "GRANT", "REVOKE", "COMMENT", "REINDEX",
                                        "CLUSTER", "REFRESH", "SECURITY", "IMPORT", "REASSIGN"};
    char word[16];
    size_t i;
    first_word(statement->sql, word, sizeof word);
    for (i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) != 0)
            continue;
        error_set(error, ERROR_REFUSED, "%s in a fix: DDL belongs into a migration", word);
        error_text(&error->hint, "`dmlua revision -m MESSAGE` makes one");
        error_put(&error->file, statement->origin.file);
        error->line = statement->origin.line;
        return -1;
    }
    return 0;
}

int fix_refuse_outside(const struct step *step, struct error *error)
{
    error_set(error, ERROR_USAGE, "%s sends a statement outside of run(tenant)", step->script->path);
    error_text(&error->hint,
               "the top level only assigns and defines; what works on the database stands in run(tenant)");
    return -1;
}

PGresult *fix_tenants(struct run *run, const struct script *script, struct error *error)
{
    struct graph_step plan = {.revision = script->revision, .up = true};
    struct step *step = step_new(run, &plan, script);
    PGresult *result;
    txn_begin_read_only(run->ledger);
    result = tenant_read(step, NULL, true, error);
    if (result == NULL) {
        txn_rollback(run->ledger, error);
    } else if (txn_commit(run->ledger, error) != 0) {
        PQclear(result);
        result = NULL;
    }
    step_free(step);
    return result;
}

static void forget_answers(struct fix *fix)
{
    PQclear(fix->first);
    PQclear(fix->last);
    PQclear(fix->loaded);
    fix->first = fix->last = fix->loaded = NULL;
}

int fix_begin(struct tenant_loop *loop, const char *id, struct error *error)
{
    struct step *step = loop->step;
    struct ledger *ledger = step->run->ledger;
    struct fix *fix = step->fix;
    forget_answers(fix);
    fix->before = db_rows(ledger->db);
    fix->began = clock_now();
    step->open = true;
    if (fix->log == NULL && fix->undoes == NULL)
        txn_begin(ledger);
    else
        txn_begin_snapshot(ledger);
    if (step->run->dirty) { /* what the tenants before have set is not this one's */
        ledger_send(ledger, LEDGER_RESET, 0, NULL, NULL);
        ledger_guard(ledger);
    }
    if (fix->undoes != NULL)
        undo_load(step, fix->undoes, id, &fix->loaded);
    if (fix->log != NULL && undo_keep_before(step, fix->log, id, error) != 0)
        return -1;
    ledger_send_wanted(ledger, LEDGER_FIX_BEGIN, 0, NULL, NULL, &fix->first); /* DDL of ours is before it */
    return tenant_enter(step, id, error);
}

enum fix_written { WRITTEN_CATALOGUE, WRITTEN_ROWS, WRITTEN_COUNTED, WRITTEN_NAMES, WRITTEN_OWN };

static long long written_since(const struct fix *fix, enum fix_written what)
{
    return strtoll(PQgetvalue(fix->last, 0, what), NULL, 10) - strtoll(PQgetvalue(fix->first, 0, what), NULL, 10);
}

/* What the fix has done that its header does not allow, by the server and, of rows, by the command tags too. Owned;
   null: nothing. */
static char *find_breach(const struct fix *fix, long long tagged)
{
    long long rows = written_since(fix, WRITTEN_ROWS);
    char *breach = NULL;
    if (tagged > rows)
        rows = tagged;
    if (strcmp(PQgetvalue(fix->last, 0, WRITTEN_COUNTED), "on") != 0)
        error_text(&breach, "track_counts is off: nothing counts what it writes");
    else if (written_since(fix, WRITTEN_CATALOGUE) > 0)
        error_text(&breach, "DDL: it has changed the catalogue");
    else if (!PQgetisnull(fix->last, 0, WRITTEN_OWN))
        error_text(&breach, "it has written to %s: dmlua's own tables are no fix's",
                   PQgetvalue(fix->last, 0, WRITTEN_OWN));
    else if (fix->tables != NULL && !PQgetisnull(fix->last, 0, WRITTEN_NAMES))
        error_text(&breach, "it has written to %s, which tables does not name",
                   PQgetvalue(fix->last, 0, WRITTEN_NAMES));
    else if (fix->max_rows != NULL && rows > strtoll(fix->max_rows, NULL, 10))
        error_text(&breach, "%lld rows written, max_rows is %s", rows, fix->max_rows);
    return breach;
}

static int judge(const struct step *step, long long tagged, struct error *error)
{
    char *breach = find_breach(step->fix, tagged);
    if (breach == NULL)
        return 0;
    error_set(error, ERROR_REFUSED, "the fix has done what its header does not allow");
    error_text(&error->detail, "%s", breach);
    error_text(&error->hint, "correct run(tenant), or what the header says of it; DDL belongs into a migration");
    error_put(&error->file, step->script->path);
    free(breach);
    return -1;
}

/* What is still to come of the fix comes before its context ends: what constraints were deferred to, and what a cursor
   WITH HOLD would do at the COMMIT, as the migrator. Then it is looked at what it has done. */
static int check_done(struct step *step, const char *id, long long *rows, struct error *error)
{
    const struct fix *fix = step->fix;
    struct ledger *ledger = step->run->ledger;
    struct origin origin = {.revision = step->plan->revision, .file = step->script->path, .tenant = id};
    const char *values[3] = {fix->tables, ledger->schema, ledger->table};
    ledger_send(ledger, LEDGER_CURSORS, 0, NULL, &origin);
    ledger_send(ledger, LEDGER_CONSTRAINTS, 0, NULL, &origin);
    tenant_leave(step);
    ledger_send_wanted(ledger, LEDGER_FIX_CHECK, 3, values, &origin, &step->fix->last);
    if (db_await(ledger->db, error) != 0)
        return -1;
    *rows = db_rows(ledger->db) - fix->before;
    if (fix->undoes != NULL) /* it brings back what was loaded, however many statements that takes */
        *rows = strtoll(PQcmdTuples(fix->loaded), NULL, 10);
    return judge(step, *rows, error);
}

/* What the ledger says of the tenant beside its rows. Owned; null: nothing. */
static char *note_of(const struct step *step)
{
    const struct fix *fix = step->fix;
    const char *confined = step->run->unconfined ? "unconfined" : "";
    char *note = NULL;
    if (fix->undoes != NULL)
        error_text(&note, "%s%sundoes %.8s", confined, *confined ? "; " : "", fix->undoes);
    else if (fix->log != NULL)
        error_text(&note, "%s%sundo log", confined, *confined ? "; " : "");
    else if (*confined)
        error_text(&note, "%s", confined);
    return note;
}

static int keep(struct step *step, const char *id, long long rows, struct error *error)
{
    struct run *run = step->run;
    const struct script *script = step->script;
    const char *values[5] = {script->sha256, run->id, id, script->revision, step->fix->again ? "true" : "false"};
    char *note = note_of(step);
    if (step->fix->undoes != NULL)
        undo_settle(step, step->fix->undoes, id);
    else
        ledger_send(run->ledger, LEDGER_FIX_TENANT, 5, values, NULL);
    run_record_tenant(run, script->revision, id, script->sha256, "done", note, rows, -1);
    free(note);
    return txn_commit(run->ledger, error);
}

int fix_commit(struct tenant_loop *loop, const char *id, long long *rows, struct error *error)
{
    struct step *step = loop->step;
    const struct fix *fix = step->fix;
    int rc = check_done(step, id, rows, error);
    if (rc == 0 && fix->log != NULL)
        rc = undo_keep_after(step, fix->log, id, fix->dry_run, error);
    if (rc == 0 && fix->dry_run) {
        txn_rollback(step->run->ledger, error);
        rc = error->kind == ERROR_NONE ? 0 : -1;
    } else if (rc == 0) {
        rc = keep(step, id, *rows, error);
    }
    if (rc != 0)
        return -1;
    step->open = false;
    if (fix->dry_run || fix->undoes != NULL) /* an undo's statements are the host's own */
        tally_drop(&step->run->counts);
    tally_keep(step->run, &step->run->counts, 0);
    if (tally_is_due(step->run))
        tally_write(step->run);
    loop->visited++;
    show_done(step);
    return 0;
}

/* Ends the transaction. What failed on the server stood before what the script tripped over. */
static void take_back(struct step *step, struct error *error)
{
    struct error earlier = {0};
    txn_rollback(step->run->ledger, &earlier);
    tally_drop(&step->run->counts);
    step->open = false;
    if (earlier.sqlstate[0] != '\0' && error->sqlstate[0] == '\0' && error->kind != ERROR_INTERRUPTED) {
        error_clear(error);
        error_move(error, &earlier);
    }
    error_clear(&earlier);
}

/* The failed tenant's row in the ledger, in a transaction of its own. It must not hide the failure. */
static void record_failure(struct step *step, const char *id, const char *message)
{
    struct error ignored = {0};
    char *note;
    if (step->fix->dry_run || !db_alive(step->run->ledger->db))
        return;
    note = error_note(message);
    txn_begin(step->run->ledger);
    run_record_tenant(step->run, step->script->revision, id, step->script->sha256, "failed", note, -1,
                      clock_now() - step->fix->began);
    txn_commit(step->run->ledger, &ignored);
    error_clear(&ignored);
    free(note);
}

int fix_fail(struct tenant_loop *loop, const char *id, int attempt, char **message, struct error *error)
{
    struct step *step = loop->step;
    char *masked;
    int decision = -1;
    take_back(step, error);
    masked = config_mask(step->run->config, error->message);
    error_text(message, "%s%s%s%s%s", error->sqlstate, error->sqlstate[0] ? ": " : "", masked,
               error->detail ? "; " : "", error->detail ? error->detail : "");
    free(masked);
    if (error->kind != ERROR_REFUSED)
        decision = loop_fail(loop, id, attempt, error);
    if (decision <= 0)
        record_failure(step, id, *message);
    return decision;
}

int fix_close(struct tenant_loop *loop, struct error *error)
{
    show_close(loop->step);
    if (loop->failures == 0)
        return 0;
    error_set(error, ERROR_PARTIAL, "%s%s failed for %d tenant%s; %d done in this run",
              loop->step->fix->undoes != NULL ? "the undo of " : "", loop->step->script->revision, loop->failures,
              loop->failures == 1 ? "" : "s", loop->visited);
    loop_tell_failures(loop, error);
    error_put(&error->file, loop->step->script->path);
    error_text(&error->hint, "mend the cause and run it again: tenants that are done are passed over");
    return -1;
}

/* A dry run leaves nothing, not even dmlua's own tables. */
static int begin(struct run *run, const struct fix *fix, struct error *error)
{
    if (!fix->dry_run)
        return run_begin(run, error);
    ledger_guard(run->ledger);
    return runner_lock(run, error);
}

static int settle_role(struct step *step, struct error *error)
{
    txn_begin_read_only(step->run->ledger);
    if (tenant_settle_role(step, error) == 0)
        return txn_commit(step->run->ledger, error);
    txn_rollback(step->run->ledger, error);
    return -1;
}

static void say_state(const struct step *step, struct error *error)
{
    char *standing = step->fix->dry_run ? NULL : show_standing(step);
    error_text(&error->state, "%s%swhat was done before is kept; run it again: tenants that are done are passed over",
               standing ? standing : "", standing ? "; " : "");
    free(standing);
}

/* 1: bind */
static int call_undo(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "dmlua.undo");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "run");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 0);
    return 0;
}

/* [-1, +0] The bind table at the top. */
static int call(lua_State *L, struct step *step, struct error *error)
{
    if (step->fix->undoes == NULL)
        return script_run(L, step->script, "run", error);
    lua_pushcfunction(L, call_undo);
    lua_insert(L, -2);
    return state_call(L, 1, 0, error);
}

/* [-2, +0] */
static int drive(lua_State *L, struct step *step, struct error *error)
{
    int rc;
    bind_push(L, step);
    lua_insert(L, -3);
    lua_setfield(L, -3, "options");
    lua_setfield(L, -2, "tenants");
    rc = call(L, step, error);
    bind_close(L, step);
    if (rc == 0)
        return 0;
    take_back(step, error); /* also when it was stopped in the middle of a tenant */
    if (error->kind != ERROR_PARTIAL)
        say_state(step, error);
    return -1;
}

/* [-2, +0] */
static int run_step(lua_State *L, struct step *step, struct error *error)
{
    struct fix *fix = step->fix;
    int top = lua_gettop(L) - 2, rc;
    step->looping = true;
    rc = begin(step->run, fix, error);
    if (rc == 0 && fix->log != NULL && !fix->dry_run)
        rc = undo_make_table(step->run, fix->log, error);
    if (rc == 0)
        rc = settle_role(step, error);
    if (rc == 0)
        rc = drive(L, step, error);
    tally_close(step->run);
    if (rc != 0) { /* a fix is none */
        free(error->revision);
        error->revision = NULL;
    }
    lua_settop(L, top);
    return rc;
}

int fix_run(lua_State *L, struct run *run, const struct script *script, struct fix *fix, struct error *error)
{
    struct graph_step plan = {.revision = script->revision, .up = true};
    struct step *step = step_new(run, &plan, script);
    int rc;
    step->direction = fix->undoes != NULL ? "undo" : "run";
    step->fix = fix;
    rc = run_step(L, step, error);
    step_free(step);
    forget_answers(fix);
    return rc;
}
