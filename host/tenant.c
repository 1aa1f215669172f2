#include "host/tenant.h"

#include <stdlib.h>
#include <string.h>

#include "host/config.h"
#include "host/loop/roll.h"
#include "host/first_word.h"
#include "host/tenant_settings.h"

/* The list may stand in another service's database: the guide keeps isp's tenants in management. */
static PGresult *query_elsewhere(struct step *step, const char *service, const char *query, struct error *error)
{
    struct config *config = NULL;
    struct db_statement statement = {.sql = query, .origin = {.revision = step->plan->revision}};
    struct db *db = NULL;
    PGresult *result = NULL;
    if (config_load_sibling(step->run->config, service, &config, error) == 0)
        db = db_open(config, error);
    if (db != NULL)
        result = db_query_alone(db, &statement, error);
    db_close(db);
    config_free(config);
    return result;
}

static PGresult *run_query(struct step *step, const char *query, struct error *error)
{
    const char *service = config_get(step->run->config, "tenants_service");
    const char *own = config_service(step->run->config);
    struct db_statement statement = {.sql = query, .origin = {.revision = step->plan->revision}};
    if (service != NULL && (own == NULL || strcmp(service, own) != 0)) {
        if (db_await(step->run->ledger->db, error) != 0) /* work elsewhere begins when all is well here */
            return NULL;
        return query_elsewhere(step, service, query, error);
    }
    return db_query(step->run->ledger->db, &statement, error);
}

int tenant_check_count(const struct step *step, const char *source, size_t count, bool allow_empty, struct error *error)
{
    if (count > 0 || allow_empty || step->run->was_empty)
        return 0;
    error_set(error, ERROR_USAGE, "%s gives no tenant: the loop would do nothing", source);
    error_text(&error->hint, "if that is right, say tenants.each(fn, { allow_empty = true })");
    return -1;
}

/* `source` gave the list: the key, or the call's own argument. An empty id would be no tenant context at all. */
static int check_list(struct step *step, const PGresult *result, const char *source, bool allow_empty,
                      struct error *error)
{
    int row;
    if (PQnfields(result) == 0) {
        error_set(error, ERROR_USAGE, "%s gives no column: its first one must be the tenant's id", source);
        return -1;
    }
    for (row = 0; row < PQntuples(result); row++)
        if (PQgetlength(result, row, 0) == 0) {
            error_set(error, ERROR_USAGE, "%s gives %s as a tenant's id, in row %d", source,
                      PQgetisnull(result, row, 0) ? "NULL" : "an empty text", row + 1);
            error_text(&error->hint, "leave such rows out of %s, or mend them", source);
            return -1;
        }
    return tenant_check_count(step, source, (size_t)PQntuples(result), allow_empty, error);
}

/* Its own transaction control, settings or COPY would be the step's; an id where a query belongs is a common slip. */
static int check_query(const char *query, const char *source, struct error *error)
{
    static const char *const reads[] = {"SELECT", "WITH", "VALUES", "TABLE"};
    char word[16];
    size_t i;
    first_word(query, word, sizeof word);
    for (i = 0; i < sizeof reads / sizeof *reads; i++)
        if (strcmp(word, reads[i]) == 0)
            return 0;
    error_set(error, ERROR_USAGE, "%s is no query: it begins with SELECT, WITH, VALUES or TABLE", source);
    error_text(&error->hint, "a list of ids is written in Lua: from = { \"acme\", \"globex\" }");
    return -1;
}

/* A failure that has a file is of a statement that the script had sent before: it says itself what is wrong. */
static PGresult *read_list(struct step *step, const char *query, struct error *error)
{
    PGresult *result = run_query(step, query, error);
    const char *key = config_get(step->run->config, "tenants_query");
    if (result == NULL && error->hint == NULL && error->file == NULL)
        error_text(&error->hint, key != NULL && strcmp(key, query) == 0
                                     ? "the tenant list comes from the keys tenants_query and tenants_service"
                                     : "the tenant list is the call's own, `from`; it runs where tenants_query runs");
    return result;
}

/* A list that a loop has read. */
struct tenant_seen {
    struct tenant_seen *next;
    char *query;
    struct roll ids; /* whose order a query may not say */
};

/* Remembers what a loop saw, for the second look before the step ends. */
static void remember(struct step *step, const char *query, const PGresult *result)
{
    struct tenant_seen *seen;
    for (seen = step->tenants_seen; seen != NULL; seen = seen->next)
        if (strcmp(seen->query, query) == 0)
            return;
    seen = calloc(1, sizeof *seen);
    if (seen == NULL)
        abort();
    error_text(&seen->query, "%s", query);
    seen->ids = roll_read(result);
    seen->next = step->tenants_seen;
    step->tenants_seen = seen;
}

void tenant_forget(struct step *step)
{
    while (step->tenants_seen != NULL) {
        struct tenant_seen *seen = step->tenants_seen;
        step->tenants_seen = seen->next;
        free(seen->query);
        roll_free(&seen->ids);
        free(seen);
    }
}

PGresult *tenant_read(struct step *step, const char *from, bool allow_empty, struct error *error)
{
    const char *query = from != NULL ? from : config_get(step->run->config, "tenants_query");
    const char *source = from != NULL ? "tenants.each's list" : "tenants_query";
    PGresult *result;
    if (query == NULL) {
        error_set(error, ERROR_USAGE, "nothing lists the tenants: no tenants_query is set");
        error_text(&error->hint, "set tenants_query (and tenants_service, if it is another service's database)");
        return NULL;
    }
    if (check_query(query, source, error) != 0)
        return NULL;
    result = read_list(step, query, error);
    if (result == NULL)
        return NULL;
    if (check_list(step, result, source, allow_empty, error) == 0)
        return result;
    PQclear(result);
    return NULL;
}

PGresult *tenant_list(struct step *step, const char *from, bool allow_empty, bool again, struct error *error)
{
    PGresult *result;
    if (step->kept != NULL) /* an earlier run's part: the list that it saw */
        return step_kept_answer(step, error);
    result = tenant_read(step, from, allow_empty, error);
    if (result == NULL)
        return NULL;
    recorder_answer(&step->recorder, result);
    if (again)
        remember(step, from != NULL ? from : config_get(step->run->config, "tenants_query"), result);
    return result;
}

static int check_seen(struct step *step, const struct tenant_seen *seen, struct error *error)
{
    PGresult *result = read_list(step, seen->query, error);
    struct roll now;
    bool same;
    if (result == NULL)
        return -1;
    now = roll_read(result);
    PQclear(result);
    same = roll_is(&now, &seen->ids);
    roll_free(&now);
    if (same)
        return 0;
    error_set(error, ERROR_BUSY, "the tenant list has changed while tenants.each ran");
    error_text(&error->hint,
               "run again: the step is rolled back, and the loop will see the new list; a script that changes"
               " the list itself does so before its loops");
    return -1;
}

int tenant_check_list(struct step *step, struct error *error)
{
    const struct tenant_seen *seen;
    for (seen = step->tenants_seen; seen != NULL; seen = seen->next)
        if (check_seen(step, seen, error) != 0)
            return -1;
    return 0;
}

/* Constraint triggers by name. A name that a constraint shares which cannot wait is refused by SET CONSTRAINTS …
   DEFERRED. */
#define CONSTRAINT_TRIGGERS(condition) \
    "(SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%I.%I', n.nspname, c.conname), ', ')" \
    " FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace" \
    " WHERE c.contype = 't' AND " condition ")"

/* What the policies do not hold: superusers, BYPASSRLS, and an owner whose tables are not FORCE'd. */
static const char passes_policies[] =
    "SELECT r.rolsuper OR r.rolbypassrls OR EXISTS (SELECT FROM pg_catalog.pg_class c"
    " WHERE c.relrowsecurity AND NOT c.relforcerowsecurity"
    " AND pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')),"
    " pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER'),"
    " " CONSTRAINT_TRIGGERS("c.condeferrable") ","
    " " CONSTRAINT_TRIGGERS("c.condeferred AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o"
                            " WHERE o.conname = c.conname AND o.connamespace = c.connamespace AND NOT o.condeferrable)")
    " FROM pg_catalog.pg_roles r WHERE r.rolname = coalesce(CAST($1 AS name), current_user)";

static int refuse_role(const struct run *run, const char *role, const char *what, const char *hint, struct error *error)
{
    error_set(error, ERROR_REFUSED, "TenantIsolationError: %s would run as role %s, %s",
              strcmp(run->kind, "run") == 0 ? "the fix" : "tenants.each", role, what);
    error_text(&error->hint, hint, role);
    return -1;
}

/* No role is configured, and the migrator itself passes every policy. */
static int settle_unconfined(struct run *run, struct error *error)
{
    if (strcmp(config_environment(run->config), "development") != 0)
        return refuse_role(
            run, run->ledger->user, "which passes row security: nothing would hold a tenant's statements",
            "set tenant_role (or app_role) to a role that the policies hold; %s stays the migrator", error);
    if (!run->unconfined)
        report_log(REPORT_WARN, "dmlua.tenants",
                   "role %s passes row security and no tenant_role is set: callbacks run unconfined",
                   run->ledger->user);
    run->unconfined = true;
    return 0;
}

static int judge_role(struct run *run, const char *role, const PGresult *result, struct error *error)
{
    bool passes, member;
    if (PQntuples(result) == 0)
        return refuse_role(run, role, "which does not exist", "CREATE ROLE %s NOLOGIN, and GRANT it to the migrator",
                           error);
    passes = *PQgetvalue(result, 0, 0) == 't';
    member = *PQgetvalue(result, 0, 1) == 't';
    if (role == NULL)
        return passes ? settle_unconfined(run, error) : 0;
    if (!member)
        return refuse_role(run, role, "of which the migrator is no member", "GRANT %s TO the migrator", error);
    if (passes)
        return refuse_role(run, role, "which passes row security: nothing would hold a tenant's statements",
                           "ALTER ROLE %s NOSUPERUSER NOBYPASSRLS, and let it own no tenant table that is not FORCE'd",
                           error);
    return 0;
}

/* Null: none. Owned. */
static char *copy_value(const PGresult *result, int column)
{
    char *copy = NULL;
    if (PQntuples(result) > 0 && !PQgetisnull(result, 0, column))
        error_text(&copy, "%s", PQgetvalue(result, 0, column));
    return copy;
}

static void keep_constraints(struct run *run, const PGresult *result)
{
    free(run->deferrable);
    free(run->deferred);
    run->deferrable = copy_value(result, 2);
    run->deferred = copy_value(result, 3);
}

int tenant_settle_role(struct step *step, struct error *error)
{
    struct run *run = step->run;
    const char *role = config_get(run->config, "tenant_role");
    struct db_statement statement = {.sql = passes_policies, .count = 1, .values = &role};
    PGresult *result;
    int rc;
    if ((run->tenant_role != NULL && !run->role_stale) || step->kept != NULL)
        return 0;
    if (role == NULL)
        role = config_get(run->config, "app_role");
    result = db_query(run->ledger->db, &statement, error);
    if (result == NULL)
        return -1;
    rc = judge_role(run, role, result, error);
    keep_constraints(run, result);
    PQclear(result);
    if (rc == 0)
        error_text(&run->tenant_role, "%s", role != NULL ? role : "none");
    run->role_stale = rc != 0;
    return rc;
}

static void send_constraints(struct step *step, const char *names, const char *when)
{
    struct origin origin = {.revision = step->plan->revision, .file = step->script->path, .tenant = step->tenant};
    struct db_statement statement = {.origin = origin};
    char *sql = NULL;
    if (names == NULL || step->kept != NULL)
        return;
    error_text(&sql, "SET CONSTRAINTS %s %s", names, when);
    statement.sql = sql;
    db_send(step->run->ledger->db, &statement);
    free(sql);
}

/* What triggers have put off comes before role and context change: at the step's COMMIT it would run as the migrator.
   (What foreign keys put off runs as their tables' owner, whenever that is.) */
static void send_put_off(struct step *step)
{
    send_constraints(step, step->run->deferrable, "IMMEDIATE");
}

/* The transaction goes on with them as they were made. */
static void send_defer(struct step *step)
{
    send_constraints(step, step->run->deferred, "DEFERRED");
}

int tenant_enter(struct step *step, const char *id, struct error *error)
{
    struct run *run = step->run;
    const char *values[3] = {config_get(run->config, "tenant_setting"), id, run->tenant_role};
    struct origin origin = {.revision = step->plan->revision, .tenant = id};
    error_text(&step->tenant, "%s", id);
    step->sent_before = step->recorder.count;
    send_put_off(step);
    send_defer(step);
    if (step->kept == NULL)
        ledger_send(run->ledger, LEDGER_TENANT_ENTER, 3, values, &origin);
    return db_failed(run->ledger->db) ? db_await(run->ledger->db, error) : 0;
}

/* The visit is the step's own; in a loop of transactions of their own these are counted. */
static void count_visit(struct step *step)
{
    if (step->looping || step->kept != NULL)
        return;
    step->visited++;
    if (step->recorder.count == step->sent_before)
        tally_tenant(&step->run->counts, step->plan->revision, step->tenant);
}

void tenant_leave(struct step *step)
{
    struct run *run = step->run;
    bool none = run->tenant_role != NULL && strcmp(run->tenant_role, "none") == 0;
    const char *user = none ? run->ledger->user : run->tenant_role;
    const char *values[4] = {config_get(run->config, "tenant_setting"), step->tenant, user, run->ledger->role};
    struct origin origin = {.revision = step->plan->revision, .file = step->script->path, .tenant = step->tenant};
    send_put_off(step);
    tenant_settings_put_back(step);
    if (step->kept == NULL) {
        ledger_send(run->ledger, LEDGER_HELD, 0, NULL, &origin);
        ledger_send(run->ledger, LEDGER_TENANT_LEAVE, 4, values, &origin);
    }
    send_defer(step);
    count_visit(step);
    free(step->tenant);
    step->tenant = NULL;
}
