/* What the script's calls become, on the connection that they go to. */
#include <string.h>
#include <strings.h>

#include "host/fix.h"
#include "host/loop/lane.h"
#include "host/loop/settings.h"
#include "host/step.h"
#include "host/step_parts.h"
#include "host/tenant_settings.h"
#include "host/watch.h"

static bool says(const char *sql, const char *word)
{
    return strncasecmp(sql + strspn(sql, " \t\r\n"), word, strlen(word)) == 0;
}

/* The settings that a finished part made were its session's: they are made anew for the parts that are left. */
static int set_again(struct step *step, const struct db_statement *statement, struct error *error)
{
    step->run->dirty = true;
    setting_keep(&step->settings, statement);
    db_send(step->run->ledger->db, statement);
    db_sync(step->run->ledger->db);
    return db_await(step->run->ledger->db, error);
}

struct db *step_db(const struct step *step)
{
    return step->visit != NULL ? step->visit->lane->ledger->db : step->run->ledger->db;
}

/* What the author's own SQL may leave in the session. */
static void note_raw(struct step *step, const struct db_statement *statement)
{
    step->run->dirty = step->run->dirty || step->fix == NULL || setting_is_possible(statement->sql);
    if (says(statement->sql, "DEALLOCATE"))
        db_forget_prepared(step_db(step));
    if (step->visit != NULL)
        step->visit->sets = step->visit->sets || setting_is_possible(statement->sql);
    else if (step->tenant == NULL)
        setting_keep(&step->settings, statement);
}

/* What has failed already of what was sent before. In a visit only what is the tenant's own, and nothing is waited
   for. */
static int find_failure(struct step *step, struct error *error)
{
    struct db *db = step_db(step);
    if (!db_failed(db))
        return 0;
    if (step->visit == NULL || step->visit->scope.failure.kind == ERROR_NONE)
        return db_await(db, error);
    error_copy(error, &step->visit->scope.failure);
    return -1;
}

static void send(struct step *step, const struct db_statement *statement, PGresult **into)
{
    tenant_settings_keep(step, statement);
    if (into != NULL)
        db_send_wanted(step_db(step), statement, into);
    else
        db_send(step_db(step), statement);
    watch_note(step, statement);
    if (statement->origin.raw)
        note_raw(step, statement);
}

int step_send(struct step *step, const struct db_statement *statement, const struct step_alone *alone,
              struct error *error)
{
    if (step->fix != NULL && fix_check_statement(statement, error) != 0)
        return -1;
    if (alone != NULL && step->alone)
        return step_run_alone(step, statement, alone, error);
    if (step_open_part(step, error) != 0)
        return -1;
    if (!step->looping)
        recorder_statement(&step->recorder, statement);
    if (step->kept == NULL) {
        send(step, statement, NULL);
        if (find_failure(step, error) != 0)
            return -1;
    } else if (statement->origin.raw && setting_is(statement->sql) && set_again(step, statement, error) != 0) {
        return -1;
    }
    return step->alone ? step_close_part(step, error) : 0;
}

int step_ask(struct step *step, const struct db_statement *statement, struct error *error)
{
    send(step, statement, &step->visit->answer);
    return find_failure(step, error);
}

PGresult *step_query(struct step *step, const struct db_statement *statement, struct error *error)
{
    PGresult *result;
    step->tag[0] = '\0';
    if (step->fix != NULL && fix_check_statement(statement, error) != 0)
        return NULL;
    if (step_open_part(step, error) != 0)
        return NULL;
    if (!step->looping)
        recorder_statement(&step->recorder, statement);
    if (step->kept != NULL) {
        result = step_kept_answer(step, error);
    } else {
        tenant_settings_keep(step, statement);
        result = db_query(step_db(step), statement, error);
        watch_note(step, statement);
        if (statement->origin.raw)
            note_raw(step, statement);
        if (result != NULL && !step->looping)
            recorder_answer(&step->recorder, result);
    }
    if (result != NULL && step->alone && step_close_part(step, error) != 0) {
        PQclear(result);
        return NULL;
    }
    return result;
}

int step_copy(struct step *step, const struct db_statement *statement, const char *data, size_t size,
              struct error *error)
{
    struct db_statement recorded = *statement;
    if (step->tenant != NULL) {
        error_set(error, ERROR_MIGRATION, "COPY inside tenants.each: PostgreSQL refuses it under row security");
        error_text(&error->hint, "op.bulk_insert inserts rows there");
        return -1;
    }
    if (step_open_part(step, error) != 0)
        return -1;
    recorded.count = 1;
    recorded.values = &data;
    recorder_statement(&step->recorder, &recorded);
    watch_note(step, statement);
    if (step->kept == NULL && db_copy(step->run->ledger->db, statement, data, size, error) != 0)
        return -1;
    return step->alone ? step_close_part(step, error) : 0;
}
