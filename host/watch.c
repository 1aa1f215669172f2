#include "host/watch.h"

#include <string.h>
#include <strings.h>

#include "host/config.h"
#include "host/first_word.h"
#include "host/report.h"

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

enum watch_class watch_class_of(const struct db_statement *statement)
{
    static const char *const never[] = {"SET",    "RESET",  "SHOW",    "LOCK",       "CLOSE",   "NOTIFY",    "LISTEN",
                                        "", "UNLISTEN", "ANALYZE", "DEALLOCATE", "DECLARE", "SAVEPOINT", NULL};
    static const char *const rows[] = {"INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "VALUES", "FETCH", "MOVE", NULL};
    static const char *const reads[] = {"SELECT", "WITH", "TABLE", NULL};
    char word[16];
    first_word(statement->sql, word, sizeof word);
    if (is_one_of(word, never))
        return WATCH_NO;
    if (is_one_of(word, rows))
        return WATCH_CALLS;
    if (!is_one_of(word, reads))
        return WATCH_DDL;
    if (!statement->origin.raw)
        return WATCH_NO;
    if (strcasestr(statement->sql, "INTO") != NULL)
        return WATCH_DDL;
    return strchr(statement->sql, '(') != NULL ? WATCH_CALLS : WATCH_NO;
}

void watch_note(struct step *step, const struct db_statement *statement)
{
    enum watch_class least = step->looping ? WATCH_DDL : WATCH_CALLS, class = watch_class_of(statement);
    if (class >= (step->tenant != NULL ? WATCH_DDL : WATCH_CALLS))
        step->run->role_stale = true; /* it may be a GRANT, or a table that its owner is not held at */
    step->can_be_ddl = step->can_be_ddl || class >= least;
}

void watch_values(const struct ledger *ledger, const struct config *config, const char *values[WATCH_VALUES])
{
    values[0] = config_get(config, "tenant_column");
    values[1] = config_get(config, "tenant_setting");
    values[2] = config_rls(config) ? "true" : "false";
    values[3] = config_get(config, "global_tables");
    values[4] = ledger->schema;
    values[5] = ledger->table;
    values[6] = config_get(config, "app_role");
}

/* Does the configuration ask for isolation? Where rls is only the default, a table that is for everybody is no leak. */
static bool asks_for_isolation(const struct config *config)
{
    return config_says(config, "isolation") || config_says(config, "enable_rls") ||
           config_says(config, "global_tables");
}

static bool is_lenient(const struct config *config)
{
    return !asks_for_isolation(config) || strcmp(config_environment(config), "development") == 0 ||
           config_flag(config, "allow_unsafe_migrations");
}

/* The answer in a lenient environment. */
static void warn(void *data)
{
    struct watch_answer *answer = data;
    PGresult *result = answer->result;
    if (result != NULL && PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
        report_log(REPORT_WARN, "dmlua.tenants", "%s leaves tables neither tenant-isolated nor declared global: %s",
                   answer->revision, PQgetvalue(result, 0, 0));
    PQclear(result);
    answer->result = NULL;
}

void watch_send_on(const struct step *step, struct ledger *ledger, struct watch_answer *answer)
{
    const struct run *run = step->run;
    const char *values[WATCH_VALUES];
    struct origin origin = {.revision = step->plan->revision, .file = step->script->path};
    if (strcmp(config_isolation(run->config), "rls") != 0)
        return;
    watch_values(ledger, run->config, values);
    if (!is_lenient(run->config)) {
        ledger_send(ledger, LEDGER_WATCH, WATCH_VALUES, values, &origin);
        return;
    }
    answer->revision = step->plan->revision;
    ledger_send_wanted(ledger, LEDGER_WATCH_MILDLY, WATCH_VALUES, values, &origin, &answer->result);
    db_call(ledger->db, warn, answer);
}

void watch_send(struct step *step)
{
    if (step->can_be_ddl)
        watch_send_on(step, step->run->ledger, &step->watched);
    step->can_be_ddl = false;
}
